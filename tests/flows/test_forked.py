"""Forks in the place of processes: a small graph, and which commands are called in them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.flows.test_local import project

SYNTH = "fpml synth --out {} --fingers 1 --impressions 1 --sensor socofing --workers 1"


def test_a_command_of_fpml_s_is_called_and_any_other_is_dvc_s_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.stage.exceptions import StageCmdFailedError

    from flows.forked import called_or

    monkeypatch.setenv("DVC_STAGE", "")  # put back, since what is called changes this process's own
    left: list[str] = []

    def start(executable: str | None, command: str, **options: Any) -> None:
        left.append(command)

    run, there = called_or(start), {"env": {**os.environ, "DVC_STAGE": "made"}, "cwd": str(tmp_path)}
    run("/bin/sh", SYNTH.format("made"), **there)
    assert (tmp_path / "made" / "socofing" / "1_1.png").exists()
    for command in (SYNTH.format("made"), "fpml no-such-command"):  # a folder in the way, and argparse's own end
        with pytest.raises(StageCmdFailedError, match="exited with 2"):
            run("/bin/sh", command, **there)
    others = ["echo 1 > first", "fpml report > report", "fpml synth; rm made", "fpmlx"]
    for command in others:
        run("/bin/sh", command, **there)
    assert left == others


def test_all_that_stages_import_is_there() -> None:
    """Where a module is not, multiprocessing says nothing, and what comes after it is imported by each fork."""
    ended = subprocess.run([sys.executable, "-c", "import flows.imported"], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_an_interrupt_while_all_is_imported_ends_quietly(tmp_path: Path) -> None:
    folder = project(tmp_path, {"a": ("echo $$ > a; exec sleep 3006", [])})
    code = "import sys; from flows import local; local.FEW = 0; sys.exit(local.main(sys.argv[1:]))"
    ours = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline, server = time.monotonic() + 90, None
    while server is None or server.memory_info().rss < 64 << 20 or not (folder / "a").exists():  # well on its way
        assert time.monotonic() < deadline
        assert ours.poll() is None
        with contextlib.suppress(psutil.Error):  # one that has just ended
            server = next((p for p in psutil.Process(ours.pid).children() if "forkserver" in " ".join(p.cmdline())), None)
        time.sleep(0.02)
    os.killpg(ours.pid, signal.SIGINT)  # as a terminal does
    said = ours.communicate(timeout=60)[1]
    assert ours.returncode == 130
    assert said.splitlines() == ["interrupted; run it again to go on"]
    stage = int((folder / "a").read_text(encoding="utf-8"))
    assert not psutil.pid_exists(stage) or psutil.Process(stage).status() == psutil.STATUS_ZOMBIE


def test_what_was_edited_since_is_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC notes the code that lies on the disk; a fork would run what was imported before."""
    from flows import forked

    file = tmp_path / "fpml" / "a.py"
    file.parent.mkdir()
    file.write_text("1", encoding="utf-8")
    monkeypatch.setattr(forked, "ROOT", tmp_path)
    monkeypatch.setattr(forked, "Fork", lambda *given: "fork")
    monkeypatch.setattr(forked, "started", lambda *given: "process")
    monkeypatch.setattr(forked, "SOURCES", forked._sources())
    monkeypatch.setattr(forked, "READY", threading.Event())
    assert forked.begun([], tmp_path, {}) == "process"
    forked.READY.set()
    assert forked.begun([], tmp_path, {}) == "fork"
    os.utime(file, ns=(0, 1))
    assert forked.begun([], tmp_path, {}) == "process"


def test_a_graph_of_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import forked, local
    from flows.stages import StageFailed

    monkeypatch.setattr(local, "FEW", 0)
    begun: list[int] = []

    class Counted(forked.Fork):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            assert os.getpgid(self.pid) == self.pid
            begun.append(self.pid)

    monkeypatch.setattr(forked, "Fork", Counted)
    forked.get_ready()
    assert forked.READY.wait(90)
    each = "touch in-{}; until [ -e in-{} ]; do sleep 0.05; done; echo 1 > {}"  # ends only beside the other
    stages = {
        "made": (SYNTH.format("made"), []),
        "a": (each.format("a", "b", "a"), ["made"]),
        "b": (each.format("b", "a", "b"), ["made"]),
    }
    folder, lines = project(tmp_path, stages), list[str]()
    assert local.run_graph(folder, lines.append) == dict.fromkeys(stages, "ran")
    assert len(begun) == 3
    assert any("1 prints of 1 fingers on socofing" in line for line in lines)
    assert local.run_graph(folder, lines.append) == {}
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(StageFailed, match=r"made failed \(code \d+\): fpml: .*star"):
        local.run_graph(project(other, {"made": ("fpml synth --out made --sensor star", [])}), lines.append)


WATCHES = """
import sys
from fpml.base.errors import FpmlError
from fpml.stages.train import _parent_watch
check = _parent_watch()
for line in sys.stdin:
    try:
        print(check(), flush=True)
    except FpmlError as error:
        print(error, flush=True)
"""
SERVES = "import subprocess, sys  # as multiprocessing.forkserver\nsubprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_a_training_in_a_fork_ends_with_the_server_that_made_the_fork() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVES, WATCHES], env={**os.environ, "DVC_STAGE": "train@r"}, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None

    def asked() -> str:
        server.stdin.write("still wanted?\n")
        return server.stdout.readline()

    with server:
        assert asked() == "None\n"
        server.kill()
        server.wait(60)
        assert asked() == "the process that started this training is gone; stopped after the last checkpoint\n"
