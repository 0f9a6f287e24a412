"""The flow over small real DVC graphs, in one Prefect test harness."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import IN_BACKGROUND, REPOSITORY, run

pytestmark = pytest.mark.xdist_group("prefect")  # the harness starts a server: once


@pytest.fixture
def toy(tmp_path: Path, harness: str) -> Callable[[dict[str, Any]], Path]:
    """toy({"a": "cmd"}) makes a DVC project; stages run in a row, each makes a file of its name."""

    def make(stages: dict[str, str]) -> Path:
        run("git", "init", "-q", cwd=tmp_path)
        run("dvc", "init", "-q", cwd=tmp_path)
        graph: dict[str, Any] = {}
        before: list[str] = []
        for name, command in stages.items():
            graph[name] = {"cmd": command, "deps": list(before), "outs": [name]}
            before = [name]
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}, sort_keys=False), encoding="utf-8")
        return tmp_path

    return make


def test_the_graph_is_dvcs() -> None:
    from flows.stages import graph

    stages = graph(REPOSITORY)
    assert next(iter(stages)) == "synth"
    assert list(stages)[-1] == "report"
    assert stages["train@reconstruct"] == {"prepare@reconstruct", "split@reconstruct"}
    assert stages["ingest@synth-fvc"] == {"synth"}


def test_stages_run_and_are_cached(toy: Callable[..., Path]) -> None:
    from flows.pipeline import pipeline

    folder = toy({"a": "echo 1 > a", "b": "echo 2 > b"})
    assert pipeline(str(folder)) == {"a": "ran", "b": "ran"}
    assert pipeline(str(folder)) == {"a": "cached", "b": "cached"}
    graph = (folder / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(graph.replace("echo 2", "echo 3"), encoding="utf-8")
    assert pipeline(str(folder)) == {"a": "cached", "b": "ran"}
    (folder / "dvc.yaml").write_text(graph, encoding="utf-8")  # as it was before: restored from DVC's run-cache
    assert pipeline(str(folder)) == {"a": "cached", "b": "cached"}
    assert (folder / "b").read_text(encoding="utf-8") == "2\n"


def test_a_failing_stage_is_named_and_nothing_after_it_runs(toy: Callable[..., Path]) -> None:
    from flows.pipeline import pipeline
    from flows.stages import StageFailed

    folder = toy({"a": "echo 1 > a", "b": "echo 'fpml: the finger is missing' >&2; exit 2", "c": "echo 3 > c"})
    with pytest.raises(StageFailed, match=r"failed: b; not run: c\..*fpml: the finger is missing"):
        pipeline(str(folder))
    assert (folder / "a").exists()
    assert not (folder / "c").exists()


def test_a_stage_past_its_limit_is_ended_with_all_it_started(toy: Callable[..., Path]) -> None:
    from flows.pipeline import pipeline
    from flows.stages import StageFailed

    folder = toy({"a": "sleep 3001 & echo $! > pid; wait"})
    with pytest.raises(StageFailed, match="a ran past its limit"):
        pipeline(str(folder), minutes={"a": 0.1})
    assert not _runs(int((folder / "pid").read_text(encoding="utf-8")))
    graph = (folder / "dvc.yaml").read_text(encoding="utf-8")
    (folder / "dvc.yaml").write_text(
        graph.replace(graph[graph.index("sleep") : graph.index("wait") + 4], "echo 1 > a"), encoding="utf-8"
    )
    assert pipeline(str(folder)) == {"a": "ran"}  # DVC, ended with the stage, left no lock


def test_what_is_started_with_interrupts_ignored_ends_when_it_is_asked() -> None:
    """Not by being killed when its time of grace is over."""
    from flows.stages import Children

    children = Children()
    deaf = children.start([*IN_BACKGROUND, "sleep", "3004"], REPOSITORY, dict(os.environ))
    children.end_all()
    assert deaf.wait(10) == -signal.SIGTERM
    assert deaf.stdout
    deaf.stdout.close()


def _runs(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def test_lines_come_while_the_stage_runs(toy: Callable[..., Path]) -> None:
    from flows.stages import Children, run_stage

    folder = toy({"a": "echo first; while [ ! -e go ]; do sleep 0.05; done; echo 1 > a"})
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if line == "first":
            (folder / "go").touch()  # the stage ends only after its first line was seen

    assert run_stage("a", Children(), log, 60, folder) == "ran"


def test_a_busy_lock_is_waited_for(toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import stages

    monkeypatch.setattr(stages, "LOCK_WAIT", 0.2)
    folder = toy({"a": "echo 1 > a"})
    holder = subprocess.Popen(
        [sys.executable, "-c", "from dvc.repo import Repo\nr = Repo('.')\nwith r.lock:\n print('held', flush=True)\n input()"],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if "lock is busy" in line:
            holder.communicate("\n")

    assert stages.run_stage("a", stages.Children(), log, 60, folder) == "ran"
    assert any("lock is busy" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_flow_leaves_no_process(toy: Callable[..., Path], harness: str, number: signal.Signals) -> None:
    folder = toy({"a": "sleep 3002 & echo $! > pid; wait"})
    flow = subprocess.Popen(
        [sys.executable, "-c", f"from flows.pipeline import pipeline; pipeline({str(folder)!r})"],
        cwd=REPOSITORY, env={**os.environ, "PREFECT_API_URL": harness}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while not (folder / "pid").exists() or not (folder / "pid").read_text(encoding="utf-8").strip():
        assert time.monotonic() < deadline
        assert flow.poll() is None
        time.sleep(0.05)
    family = [p.pid for p in psutil.Process(flow.pid).children(recursive=True)] + [
        int((folder / "pid").read_text(encoding="utf-8"))
    ]
    flow.send_signal(number)
    flow.wait(60)
    while any(_runs(process) for process in family):
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)
    assert not (folder / "a").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_a_terminal_ends_it_soon(
    toy: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    """Also of a flow that a shell has started in the background, where SIGINT is ignored.

    A terminal interrupts every process of the group; with the server that Prefect starts, none may be left."""
    folder = toy({"a": "echo $$ > pid; exec sleep 3003"})
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment["PREFECT_HOME"] = str(tmp_path_factory.mktemp("home"))
    flow = subprocess.Popen(
        [*IN_BACKGROUND, sys.executable, "-m", "flows.pipeline", str(folder)], cwd=REPOSITORY, env=environment,
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (folder / "pid").exists() or not (folder / "pid").read_text(encoding="utf-8").strip():
        assert time.monotonic() < deadline
        assert flow.poll() is None
        time.sleep(0.05)
    family = [p.pid for p in psutil.Process(flow.pid).children(recursive=True)] + [
        int((folder / "pid").read_text(encoding="utf-8"))
    ]
    os.killpg(flow.pid, number)
    said = flow.communicate(timeout=60)[1]
    assert flow.returncode == 130
    assert said.rstrip().endswith("flow: interrupted; run it again to go on")
    assert "Traceback" not in said
    while any(_runs(process) for process in family):
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)


def test_what_may_pass_is_tried_again_and_bad_input_is_not(toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import pipeline
    from flows.stages import StageFailed

    task = pipeline.stage_task.with_options(retry_delay_seconds=0)
    monkeypatch.setattr(pipeline, "stage_task", task)
    refused = "echo 'fpml: http://store: Connection refused' >&2; exit 2"
    flaky = f"echo x >> tries; test $(wc -l < tries) -ge 3 || {{ {refused}; }}; echo 1 > a"
    folder = toy({"a": flaky})
    assert pipeline.pipeline(str(folder)) == {"a": "ran"}
    assert (folder / "tries").read_text(encoding="utf-8") == "x\n" * 3
    (folder / "tries").unlink()
    bad = "echo x >> tries; echo 'fpml: the finger has no prints' >&2; exit 2"
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"a": {"cmd": bad, "outs": ["a"]}}}), encoding="utf-8")
    with pytest.raises(StageFailed, match="the finger has no prints"):
        pipeline.pipeline(str(folder))
    assert (folder / "tries").read_text(encoding="utf-8") == "x\n"


def test_without_memory_it_is_tried_with_half_the_batch(toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import pipeline

    task = pipeline.stage_task.with_options(retry_delay_seconds=0)
    monkeypatch.setattr(pipeline, "stage_task", task)
    full = "echo 'fpml: OutOfMemoryError: CUDA out of memory. Tried' >&2; exit 70"
    order = f'if [ -z "$FPML_HALVE_BATCH" ]; then {full}; fi; echo 1 > a'
    folder = toy({"a": order, "b": 'echo "$FPML_HALVE_BATCH" > b'})
    assert pipeline.pipeline(str(folder)) == {"a": "ran", "b": "ran"}
    assert (folder / "b").read_text(encoding="utf-8").strip() == ""  # only the stage that needs it


def test_a_corrupt_cache_entry_is_found_and_rebuilt(toy: Callable[..., Path]) -> None:
    from flows.pipeline import pipeline

    folder = toy({"a": "echo one > a", "b": "mkdir b; cat a > b/x; echo two > b/y", "c": "cat b/x b/y > c"})
    pipeline(str(folder))
    (damaged,) = [p for p in (folder / ".dvc/cache/files/md5").glob("??/*") if p.read_bytes() == b"two\n"]
    damaged.chmod(0o644)
    damaged.write_bytes(b"tow\n")
    damaged.chmod(0o444)
    shutil.rmtree(folder / "b")
    (folder / "c").unlink()
    done = pipeline(str(folder))
    assert done == {"a": "cached", "b": "ran", "c": "cached"}
    assert (folder / "b" / "y").read_text(encoding="utf-8") == "two\n"
    assert (folder / "c").read_text(encoding="utf-8") == "one\ntwo\n"


def test_without_a_home_behind_a_proxy_in_an_ascii_terminal(toy: Callable[..., Path]) -> None:
    """As it is in a container: nothing but one line about the home, and the flow's own."""
    folder = toy({"a": "echo $HOME > a; echo '\u00fc'; printf '\\374\\n'"})
    (folder / "params.yaml").touch()
    shutil.copytree(REPOSITORY / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_") and k.lower() != "no_proxy"}
    environment |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment |= {"all_proxy": "socks5://127.0.0.1:9", "HOME": "/proc/nonexistent", "PYTHONPATH": str(REPOSITORY)}
    environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
    done = subprocess.run(
        [sys.executable, "-m", "flows.pipeline", str(folder)], cwd=folder, env=environment, capture_output=True, timeout=150
    )
    said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    assert done.returncode == 0, said
    assert said.count("home: /proc/nonexistent: missing, or can't be written to") == 1
    assert "Traceback" not in said
    assert (folder / "a").read_text(encoding="utf-8") == f"{folder}/.fpml/home\n"


def test_a_server_that_is_away_is_one_line_with_its_proxy(toy: Callable[..., Path]) -> None:
    away = {"PREFECT_API_URL": "http://10.9.8.7:4200/api", "HTTP_PROXY": "http://user:secret@127.0.0.1:9"}
    said = run(sys.executable, "-m", "flows.pipeline", str(toy({"a": "echo 1 > a"})), cwd=REPOSITORY, code=1, env=away).stderr
    assert said.splitlines()[-1].startswith("flow: http://10.9.8.7:4200/api through the proxy 127.0.0.1:9 does not answer")
    assert "secret" not in said
