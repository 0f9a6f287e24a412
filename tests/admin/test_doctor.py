import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fpml.admin import doctor
from fpml.admin.doctor import examine
from fpml.project.identity import stage_tags
from tests.conftest import run


def test_a_sound_project(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert examine()
    said = capsys.readouterr().out
    for word in (
        "Python",
        "params.yaml: 2 datasets",
        "git: all committed",
        "to be run: ",
        "MLflow's store answers",
        "torch",
        "disk free",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: (p / "params.yaml").write_text("run: [", encoding="utf-8"), "not valid YAML"),
        (lambda p: (p / "mlflow.db").write_text("no database", encoding="utf-8"), "MLflow's store can't be used"),
        (lambda p: (p / ".dvc").rename(p / "gone"), "dvc init"),
        (lambda p: (p / "raw" / "other").rename(p / "raw" / "gone"), "raw/other is not there"),
        (lambda p: (p / ".git").rename(p / "gone"), "not a git repository; run: git init"),
        (lambda p: (p / ".git" / "config").write_text("[core"), "git does not open this repository: fatal: bad config"),
    ],
)
def test_what_is_wrong_is_named(
    dvc_project: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], Any], words: str
) -> None:
    harm(dvc_project)
    assert not examine()
    said = capsys.readouterr().out
    assert any(line.startswith("BAD") and words in line for line in said.splitlines()), said
    assert "mend what is marked BAD" in said


@pytest.mark.parametrize("file", ["dvc.lock", "dvc.yaml", "params.yaml", "raw/mine.dvc", ".dvc/config", "fpml/cli/main.py"])
def test_an_unfinished_merge_is_named(dvc_project: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
    mine, theirs = "<" * 7 + " HEAD", ">" * 7 + " theirs"
    torn = dvc_project / file
    before = torn.read_text() if torn.exists() else ""
    torn.write_text(f"{mine}\n{before}=======\nx: 1\n{theirs}\n")
    assert not examine()
    said = capsys.readouterr().out
    assert f"BAD   git's conflict markers are in {file}: a merge was not finished" in said
    assert "at work" not in said


def test_a_repository_of_another_owner(
    dvc_project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests
    assert not examine()
    said = capsys.readouterr().out
    assert f"git config --global --add safe.directory {dvc_project}" in said
    assert "git init" not in said


def test_dvc_at_work_is_no_fault(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dvc.repo import Repo

    with Repo(str(dvc_project)) as repo, repo.lock:
        assert examine()
    assert "note  dvc status: DVC is at work here" in capsys.readouterr().out


def test_another_environments_tools_are_noticed(
    dvc_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert not examine()
    assert "'fpml' is not on PATH" in capsys.readouterr().out


def test_what_git_says_may_be_in_any_encoding(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("git", "config", "core.quotepath", "false", cwd=dvc_project)
    Path(os.fsdecode(os.fsencode(dvc_project) + b"/m\xfcller.txt")).touch()
    author = {"GIT_AUTHOR_NAME": os.fsdecode(b"M\xfcller"), "LC_ALL": "C"}
    message = os.fsdecode(b"gr\xfc\xdfe")
    run("git", "commit", "-q", "--allow-empty", "-m", message, cwd=dvc_project, env=author)
    assert examine()
    assert "git: changed and not committed: 1" in capsys.readouterr().out
    assert stage_tags("reconstruct")["git_commit"] != "none"


def test_unfinished_trainings_are_named(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dvc_project / ".fpml/checkpoints/reconstruct-abc/epoch-00001").mkdir(parents=True)
    examine()
    assert "trainings that did not end" in capsys.readouterr().out


def test_outside_a_project_it_says_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not examine()
    assert capsys.readouterr().out.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_show_names_only_what_is_there(dvc_project: Path, fpml: Callable[..., Any]) -> None:
    said = fpml("show").out
    assert "index.html" not in said
    assert said.count("not made yet; run: make demo") == 2


def test_a_branch_apart_from_its_upstream(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which stops the night's pull."""
    run("git", "clone", "-q", "--bare", ".", "upstream.git", cwd=dvc_project)
    run("git", "remote", "add", "origin", "upstream.git", cwd=dvc_project)
    run("git", "fetch", "-q", "origin", cwd=dvc_project)
    branch = run("git", "branch", "--show-current", cwd=dvc_project).stdout.strip()
    run("git", "branch", "-q", "-u", f"origin/{branch}", cwd=dvc_project)
    run("git", "commit", "-q", "--allow-empty", "-m", "theirs", cwd=dvc_project)
    run("git", "push", "-q", "origin", branch, cwd=dvc_project)
    assert examine()
    run("git", "reset", "-q", "--hard", "HEAD~1", cwd=dvc_project)
    run("git", "commit", "-q", "--allow-empty", "-m", "ours", cwd=dvc_project)
    assert not examine()
    assert "1 commits are only here, 1 only upstream" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, b'[{"name": "w", "status": "OFFLINE"}]', "BAD   Prefect answers, but no worker"),
        (200, b'[{"name": "w", "status": "ONLINE"}]', "ok    Prefect answers; workers: w"),
        (401, b"", "it refuses $PREFECT_API_AUTH_STRING"),
        (404, b"", "it has no work pool fpml: python -m flows.deploy"),
        (None, b"", "does not answer"),
    ],
)
def test_prefect_and_its_worker(monkeypatch: pytest.MonkeyPatch, status: int | None, answer: bytes, words: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status or 500)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    if status is None:
        server.server_close()
    else:
        threading.Thread(target=server.handle_request, daemon=True).start()
    found = [f"{grade}  {text}" for grade, text in doctor._prefect()]
    server.server_close()
    assert any(words in line for line in found), found
