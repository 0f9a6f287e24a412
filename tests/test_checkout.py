"""A clone has the same bytes everywhere: DVC hashes the code, and shells read the scripts."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY, run


def test_a_clone_that_turns_line_ends_has_the_same_bytes(tmp_path: Path) -> None:
    """core.autocrlf=true is what Git for Windows sets."""
    project = tmp_path / "project"
    project.mkdir()
    for folder in ("fpml", "flows", "infra", "docs", ".ci"):
        shutil.copytree(REPOSITORY / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (".gitattributes", ".gitignore", "dvc.yaml", "params.yaml", "Makefile", "constraints.txt"):
        shutil.copy(REPOSITORY / file, project / file)
    run("git", "init", "-q", cwd=project)
    run("git", "add", "-A", cwd=project)
    run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "all", cwd=project)
    run("git", "clone", "-q", "-c", "core.autocrlf=true", "project", "clone", cwd=tmp_path)
    names = run("git", "ls-files", cwd=tmp_path / "clone").stdout.splitlines()
    assert {"Makefile", "fpml/cli/main.py", "infra/backup.sh", "docs/generated.png"} <= set(names)
    assert [n for n in names if (tmp_path / "clone" / n).read_bytes() != (project / n).read_bytes()] == []
    assert run("git", "status", "--porcelain", cwd=tmp_path / "clone").stdout == ""
    for script in (n for n in names if n.endswith(".sh") or n == ".ci/run"):
        subprocess.run(["bash", "-n", tmp_path / "clone" / script], check=True)
