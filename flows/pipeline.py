"""The graph of dvc.yaml under Prefect: a task a stage, named after it. `python -m flows.pipeline`

DVC decides what is stale; a task only shows whether its stage ran or was cached. Prefect retries, limits the
time and shares the GPU. Without a server, Prefect starts one for the time of the flow.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

import httpx
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.futures import wait
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import WITHHELD
from flows.results import show_results
from flows.stages import ROOT, Children, StageFailed, graph, run_stage
from fpml.base.environment import heed_signals, through_proxy

GPU_TAG = "gpu"
STAGES_AT_A_TIME = 4
MINUTES = {"train": 24 * 60, "evaluate": 4 * 60}  # a stage's time limit
OTHER_MINUTES = 2 * 60
RETRY_SECONDS = (10, 60, 300)  # waits before a second, third and fourth try, where what failed may pass
IN_SESSION = "--in-session"
INTERRUPT_SECONDS = 45  # twice the stages' own grace, and Prefect's goodbye


def may_pass(task: Any, task_run: Any, state: State[Any]) -> bool:
    """Whether to try again: what failed was the network, a lock, or a device's memory. Never bad input."""
    return isinstance(state.data, StageFailed) and bool(state.data.passing)


RETRIED: Any = {
    "cache_policy": NO_CACHE, "persist_result": False, "retries": len(RETRY_SECONDS),
    "retry_delay_seconds": list(RETRY_SECONDS), "retry_condition_fn": may_pass,
}  # fmt: skip


@task(**RETRIED)
def stage_task(
    stage: str, children: Children, turn: AbstractContextManager[Any], limit: float, folder: str, run_id: str
) -> Any:
    """One stage. Its state is named Ran or Cached; StageFailed fails it with the stage's last words. One that ran out of
    the device's memory is tried again with half its batch."""
    logger = get_run_logger()
    with turn:
        what = run_stage(stage, children, logger.info, limit, Path(folder), run_id)
    return Completed(name=what.capitalize(), message=f"{stage}: {what}")


@flow(name="fpml", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_A_TIME), persist_result=False)  # type: ignore[arg-type]
def pipeline(folder: str = str(ROOT), minutes: dict[str, float] | None = None) -> dict[str, str]:
    """Run every stage of the folder's dvc.yaml that is stale, and show how its models stand to their champions.

    Args:
        folder: the project's folder, with its dvc.yaml.
        minutes: time limits by the kind of stage (train, evaluate, ...).

    Returns 'ran' or 'cached' for each stage; fails naming the stages that failed.
    """
    children = Children()
    try:
        done = run_graph(Path(folder), minutes or {}, children)
        show_results(Path(folder), children)
    finally:
        # Also when the flow is cancelled or interrupted: no child outlives it.
        children.end_all()
    return done


def run_graph(folder: Path, minutes: dict[str, float], children: Children) -> dict[str, str]:
    """Inside a flow: a task for every stage of the folder's graph; 'ran' or 'cached' for each. Raises StageFailed."""
    logger = get_run_logger()
    limits = {**MINUTES, **minutes}
    stages = graph(folder)
    no_turn: AbstractContextManager[Any] = nullcontext()
    train_turn: AbstractContextManager[Any] = no_turn if _gpu_is_limited() else threading.Lock()
    futures: dict[str, Any] = {}
    try:
        for stage, upstream in stages.items():
            kind = stage.split("@")[0]
            training = kind == "train"
            limit = 60 * limits.get(kind, OTHER_MINUTES)
            turn = train_turn if training else no_turn
            named = stage_task.with_options(name=stage, task_run_name=stage, tags=[GPU_TAG] if training else [])
            upstream_done = [futures[u] for u in upstream]
            run_id = str(flow_run.id or "")
            futures[stage] = named.submit(stage, children, turn, limit, str(folder), run_id, wait_for=upstream_done)  # type: ignore[call-overload]
        wait(list(futures.values()))
    except BaseException:
        children.end_all()
        raise
    states: dict[str, State[Any]] = {stage: future.state for stage, future in futures.items()}
    failed = [stage for stage, state in states.items() if state.is_failed() or state.is_crashed()]
    waiting = [stage for stage, state in states.items() if not state.is_completed() and stage not in failed]
    for stage, state in states.items():
        logger.info("%s: %s", stage, (state.name or "").lower())
    if failed:
        reasons = "; ".join(str(states[s].message) for s in failed)
        raise StageFailed(f"failed: {', '.join(failed)}; not run: {', '.join(waiting) or 'none'}. {reasons}")
    return {stage: (state.name or "").lower() for stage, state in states.items()}


def _gpu_is_limited() -> bool:
    """Whether the server shares the GPU between all flows, by a limit on the tag."""
    with get_client(sync_client=True) as client:
        try:
            client.read_concurrency_limit_by_tag(GPU_TAG)
        except ObjectNotFound:
            return False
    return True


def main(arguments: list[str]) -> int:
    """Run the flow over a folder (the project's, where none is given); 0, 1 where a stage failed, 130 interrupted.

    It runs in a session of its own: a Ctrl-C in the terminal then reaches the flow alone, and not the server that
    Prefect started for it, to which the flow still has to say that it ends."""
    heed_signals()
    if arguments[:1] != [IN_SESSION]:
        command = [sys.executable, "-m", "flows.pipeline", IN_SESSION, *arguments]
        child = subprocess.Popen(command, env={**os.environ, **WITHHELD}, start_new_session=True)
        try:
            return child.wait()
        except KeyboardInterrupt:
            print("flow: interrupted; ending its stages", file=sys.stderr, flush=True)
            child.send_signal(signal.SIGINT)
        try:
            child.wait(INTERRUPT_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            os.killpg(child.pid, signal.SIGKILL)
        print("flow: interrupted; run it again to go on", file=sys.stderr)
        return 130
    try:
        for name, what in pipeline(arguments[1] if len(arguments) > 1 else str(ROOT)).items():
            print(f"{name:32} {what}")
    except StageFailed as error:
        print(f"flow: {error}", file=sys.stderr)
        return 1
    except (httpx.TransportError, RuntimeError) as error:
        server = os.environ.get("PREFECT_API_URL", "")
        if not server or (not isinstance(error, httpx.TransportError) and "Failed to reach API" not in str(error)):
            raise
        print(f"flow: {server}{through_proxy(server)} does not answer; unset PREFECT_API_URL, or run: make up", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # of which the process outside the session tells
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
