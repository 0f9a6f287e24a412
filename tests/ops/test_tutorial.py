"""docs/tutorial.md, run as a newcomer would: every command as it is written, in a clone, and what the page says of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run
from tests.test_docs import blocks

PAGE = REPOSITORY / "docs" / "tutorial.md"
NAMES = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@localhost")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git has, as they are now, with the demo's settings, and this environment as .venv."""
    folder = tmp_path / "fpml"
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "clone"]):
        run("git", *command, cwd=folder, env=NAMES)
    run("fpml", "preset", "demo", cwd=folder)
    return folder


@pytest.mark.timeout(1800)  # three minutes of processor time; longer on a busy machine
def test_the_tutorial_leads_from_no_data_to_a_promoted_model(clone: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    script = "set -eo pipefail\n" + "".join(blocks(text, "sh"))
    log = clone.parent / "said.txt"  # a file: what was said until then is seen where it takes too long
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            ["bash", "-c", script], cwd=clone, env={**os.environ, **NAMES}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )  # fmt: skip
    said = log.read_text(encoding="utf-8")
    assert done.returncode == 0, said[-5000:]
    expected = [line for block in blocks(text, "text") for line in block.splitlines()]
    assert len(expected) > 8
    after = 0  # what the page shows comes in the page's order
    for line in expected:
        found = re.compile(".*".join(re.escape(part) for part in line.split("…"))).search(said, after)
        assert found, f"the page shows '{line}', and the commands said:\n{said[-5000:]}"
        after = found.start()
    for made in ("out/reconstructed/1_1-reconstruction.png", "out/reconstruct.fpml.zip"):
        assert (clone / made).stat().st_size > 1000
