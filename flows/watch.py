"""A watch on the data: new prints are taken in, compared with what the models were trained on, and trained on when asked."""

import json
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.task_runners import ThreadPoolTaskRunner

from flows.nightly import promote_task, pull_data, register
from flows.pipeline import RETRIED, STAGES_AT_A_TIME, run_graph
from flows.results import COMMAND_SECONDS, artifact_key, fpml
from flows.stages import ROOT, Children, StageFailed, run_command, run_stage
from fpml.project.params import load

DRIFT_EVENT = "fpml.drift"
SETTLED_SECONDS = 60  # a file that was written to since may not be whole yet
INGEST_SECONDS = 2 * 3600.0


@flow(name="on-new-data", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_A_TIME), persist_result=False)  # type: ignore[arg-type]
def on_new_data(
    dataset: str, folder: str = str(ROOT), incoming: str = "", retrain: bool = False, minutes: dict[str, float] | None = None
) -> dict[str, list[str]]:
    """Take in the new prints of a dataset, say how far they are from what the models were trained on, retrain when asked.

    Args:
        dataset: its name in params.yaml.
        folder: the project's folder on the worker's machine.
        incoming: a folder in which new prints arrive, copied into the dataset; where it is empty, the data remote is looked at.
        retrain: run the graph where there was anything new, and let the gate decide about champions.
        minutes: time limits by the kind of stage (train, evaluate, ...).

    Returns for each run trained on the dataset the statistics that drifted.
    """
    children, place = Children(), Path(folder)
    if dataset not in (known := load(place / "params.yaml").datasets):
        raise ValueError(f"dataset is '{dataset}'; datasets has: {', '.join(known)}")
    try:
        if incoming:
            take_in(place, children, dataset, incoming)
        else:
            pull_data(place, children)
        ingest(place, children, dataset)
        # Whatever the models have not seen is new, also where a run before this one was cut off after its ingest.
        drifts = {run: drift_of(place, children, run) for run in _runs_of(place, dataset)}
        found = {run: drifted for run, (_, drifted) in drifts.items()}
        if retrain and any(prints for prints, _ in drifts.values()):
            run_graph(place, minutes or {}, children)
            register(place, children)
            promote_task(place, children, [])
    finally:
        children.end_all()
    return found


@task(name="take in", task_run_name="take in", **RETRIED)
def take_in(folder: Path, children: Children, dataset: str, incoming: str) -> None:
    command = fpml("data", "extend", dataset, incoming, "--settled", str(SETTLED_SECONDS))
    run_command("data extend", command, children, get_run_logger().info, INGEST_SECONDS, folder)


@task(name="ingest", task_run_name="ingest@{dataset}", **RETRIED)
def ingest(folder: Path, children: Children, dataset: str) -> str:
    """The dataset's ingest stage: 'ran' where its prints are others than at the last time."""
    return run_stage(f"ingest@{dataset}", children, get_run_logger().info, INGEST_SECONDS, folder)


@task(name="drift", task_run_name="drift {run}", cache_policy=NO_CACHE, persist_result=False)
def drift_of(folder: Path, children: Children, run: str) -> tuple[int, list[str]]:
    """How many prints of a run's datasets it was not trained on, and in which statistics they differ from those it was trained
    on; an event where there are any."""
    if not (folder / "data" / "prepared" / run / "meta.json").exists():
        get_run_logger().info("%s: not trained yet, nothing to compare with", run)
        return 1, []  # all its prints are new
    lines: list[str] = []
    try:
        run_command(f"drift {run}", fpml("drift", run, "--json"), children, lines.append, COMMAND_SECONDS, folder)
    except StageFailed:
        if not any(line.startswith("{") for line in lines):  # with a finding, the command says by its code that there is drift
            raise
    found: dict[str, Any] = next(json.loads(line) for line in lines if line.startswith("{"))
    rows = [{k: f"{v:.3g}" if isinstance(v, float) else str(v) for k, v in row.items()} for row in found["table"]]
    drifted: list[str] = found["drifted"]
    if not found["table"]:
        get_run_logger().info("%s: %s new prints", run, found["prints"])
        return int(found["prints"]), []
    said = f"drift in {', '.join(drifted)}" if drifted else "no drift"
    create_table_artifact(
        rows, f"drift-{artifact_key(run)}", f"**{run}**: {found['prints']} new prints, {said}. Figure: {found['folder']}"
    )
    if drifted:
        distances = {row["statistic"]: row["distance"] for row in found["table"]}
        emit_event(DRIFT_EVENT, {"prefect.resource.id": f"fpml.run.{run}", "folder": str(folder)}, payload={
            "run": run, "prints": found["prints"], "drifted": drifted, "distances": distances,
        })  # fmt: skip
    get_run_logger().info("%s: %s", run, said)
    return int(found["prints"]), drifted


def _runs_of(folder: Path, dataset: str) -> list[str]:
    """The runs of params.yaml that train on a dataset."""
    params = load(folder / "params.yaml")
    return [r for r in params.run if any(e.split("/")[0] == dataset for e in params.recipes[r].data.train)]
