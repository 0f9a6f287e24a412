"""The graph of dvc.yaml under Prefect: a task a stage, named after it. `python -m flows.pipeline`

DVC decides what is stale; a task only shows whether its stage ran or was cached. Prefect retries, limits the
time and shares the GPU. Without a server, Prefect starts one for the time of the flow.
"""

import os
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.futures import wait
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.stages import ROOT, Children, StageFailed, graph, run_stage

GPU_TAG = "gpu"
STAGES_AT_A_TIME = 4
MINUTES = {"train": 24 * 60, "evaluate": 4 * 60}  # a stage's time limit
OTHER_MINUTES = 2 * 60


@task(cache_policy=NO_CACHE, persist_result=False, retries=0)
def stage_task(
    stage: str, children: Children, turn: AbstractContextManager[Any], limit: float, folder: str, run_id: str
) -> Any:
    """One stage. Its state is named Ran or Cached; StageFailed fails it with the stage's last words."""
    logger = get_run_logger()
    with turn:
        what = run_stage(stage, children, logger.info, limit, Path(folder), run_id)
    return Completed(name=what.capitalize(), message=f"{stage}: {what}")


@flow(name="fpml", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_A_TIME), persist_result=False)  # type: ignore[arg-type]
def pipeline(folder: str = str(ROOT), minutes: dict[str, float] | None = None) -> dict[str, str]:
    """Run every stage of the folder's dvc.yaml that is stale. minutes: time limits by stage name (train, evaluate …).

    Returns 'ran' or 'cached' for each stage; fails naming the stages that failed."""
    logger = get_run_logger()
    limits = {**MINUTES, **(minutes or {})}
    stages = graph(Path(folder))
    children = Children()
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
            futures[stage] = named.submit(stage, children, turn, limit, folder, str(flow_run.id or ""), wait_for=upstream_done)  # type: ignore[call-overload]
        wait(list(futures.values()))
    finally:
        # Also when the flow is cancelled or interrupted: no child outlives it.
        children.end_all()
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


if __name__ == "__main__":
    try:
        for name, what in pipeline().items():
            print(f"{name:32} {what}")
    except StageFailed as error:
        sys.exit(f"flow: {error}")
