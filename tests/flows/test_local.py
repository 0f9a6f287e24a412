"""The graph without a scheduler, over small real DVC graphs."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import REPOSITORY, run


def project(folder: Path, stages: dict[str, tuple[str, list[str]]]) -> Path:
    """A DVC project: name → command and the stages it needs; each makes a file of its name."""
    run("git", "init", "-q", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    write(folder, stages)
    return folder


def write(folder: Path, stages: dict[str, tuple[str, list[str]]]) -> None:
    graph: dict[str, Any] = {name: {"cmd": cmd, "deps": deps, "outs": [name]} for name, (cmd, deps) in stages.items()}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}, sort_keys=False), encoding="utf-8")


def test_two_stages_run_at_once_and_what_is_cached_is_left(tmp_path: Path) -> None:
    from flows.local import run_graph

    each = "touch in-{}; until [ -e in-{} ]; do sleep 0.05; done; echo 1 > {}"  # ends only beside the other
    stages = {
        "first": ("echo 1 > first", []),
        "a": (each.format("a", "b", "a"), ["first"]),
        "b": (each.format("b", "a", "b"), ["first"]),
        "last": ("cat a b > last", ["a", "b"]),
        "apart": ("echo hello; echo 1 > apart", ["first"]),
    }
    folder = project(tmp_path, stages)
    lines: list[str] = []
    done = run_graph(folder, lines.append)
    assert done == dict.fromkeys(stages, "ran")
    assert next(iter(done)) == "first"
    assert list(done).index("last") > max(list(done).index(name) for name in "ab")
    assert any(line.split() == ["apart", "hello"] for line in lines)
    assert not any("Running stage" in line for line in lines)
    assert run_graph(folder, lines.append) == {}
    stages["a"] = ("echo 2 > a", ["first"])
    write(folder, stages)
    assert run_graph(folder, lines.append) == {"a": "ran", "last": "ran"}
    assert (folder / "last").read_text(encoding="utf-8") == "2\n1\n"
    stages["a"] = ("echo 2 > a; true", ["first"])  # as before
    write(folder, stages)
    assert run_graph(folder, lines.append) == {"a": "ran", "last": "cached"}


def test_a_failing_stage_is_named_and_nothing_after_it_runs(tmp_path: Path) -> None:
    folder = project(tmp_path, {"a": ("echo 'fpml: the finger is missing' >&2; exit 2", []), "b": ("echo 1 > b", ["a"])})
    ended = subprocess.run(
        [sys.executable, "-m", "flows.local", str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "a failed" in ended.stderr
    assert "fpml: the finger is missing" in ended.stderr
    assert "dvc repro a" in ended.stderr
    assert not (folder / "b").exists()


def test_what_dvc_can_not_read_is_one_line(tmp_path: Path) -> None:
    folder = project(tmp_path, {"a": ("echo 1 > a", [])})
    (folder / "dvc.yaml").write_text("stages: [", encoding="utf-8")
    for place in (folder, folder.parent):  # which is no project at all
        ended = subprocess.run(
            [sys.executable, "-m", "flows.local", str(place)], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert ended.stderr.startswith("DVC: ")
        assert "Traceback" not in ended.stderr


FAILS = "until [ -s pid ]; do sleep 0.05; done; exit 2"


@pytest.mark.parametrize(
    ("beside", "few"), [("echo 1 > b", 8), (FAILS, 8), (FAILS, 0)], ids=["done", "failed", "failed-in-forks"]
)
def test_an_interrupt_ends_what_runs(tmp_path: Path, beside: str, few: int) -> None:
    """Also what runs on beside a stage that failed."""
    folder = project(tmp_path, {"a": ("echo $$ > pid; exec sleep 3005", []), "b": (beside, []), "c": ("echo 1 > c", ["a"])})
    ready = "" if few else "forked.get_ready(); assert forked.READY.wait(90); "
    code = f"import sys; from flows import forked, local; {ready}local.FEW = {few}; sys.exit(local.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, str(folder)]
    ours = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ours.stdout
    ended = "failed; a still runs" if "exit 2" in beside else "ran in"
    assert next(line for line in ours.stdout if line.startswith("b ") and ended in line)
    deadline = time.monotonic() + 90
    while not (folder / "pid").exists() or not (folder / "pid").read_text(encoding="utf-8").strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stage = int((folder / "pid").read_text(encoding="utf-8"))
    ours.send_signal(signal.SIGINT)
    said = ours.communicate(timeout=60)[1]
    assert ours.returncode == 130
    assert said.rstrip().endswith("run it again to go on")
    assert not psutil.pid_exists(stage) or psutil.Process(stage).status() == psutil.STATUS_ZOMBIE
    assert not (folder / "c").exists()
