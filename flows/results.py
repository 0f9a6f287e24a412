"""What a flow leaves in Prefect's pages: each model's metrics beside its champion's, and links to its run and report."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.stages import Children, StageFailed, run_command

Decision = dict[str, Any]  # a line of `fpml promote --json`
COMMAND_SECONDS = 1800.0


def fpml(*arguments: str) -> list[str]:
    """The command of this environment, whatever PATH says."""
    return [sys.executable, "-m", "fpml.cli", *arguments]


def decide(folder: Path, children: Children, *arguments: str) -> tuple[list[Decision], StageFailed | None]:
    """`fpml promote --json` in a folder, with these arguments: the decisions, and why there is none about some runs."""
    lines: list[str] = []
    failed = None

    def heard(line: str) -> None:
        lines.append(line)
        said = json.loads(line) if line.startswith("{") else None
        get_run_logger().info("%s", f"{said['run']}: {said['decision']}; {said['reason']}" if said else line)

    try:
        run_command("promote", fpml("promote", "--json", *arguments), children, heard, COMMAND_SECONDS, folder)
    except StageFailed as error:
        failed = error
    return [json.loads(line) for line in lines if line.startswith("{")], failed


@task(name="results", task_run_name="results", cache_policy=NO_CACHE, persist_result=False)
def show_results(folder: Path, children: Children) -> None:
    """How the models stand to their champions; nothing is promoted. A store that can't be reached only leaves this out."""
    if not (folder / "params.yaml").exists():
        return
    decisions, failed = decide(folder, children, "--dry-run")
    if failed:
        get_run_logger().warning("no comparison with some champions: %s", failed)
    leave_artifacts(decisions)
    report = folder / "report" / "index.html"
    if report.exists():
        leave_report(report.resolve().as_uri(), "On this machine: the report of the last run")


def leave_report(address: str, where: str) -> None:
    create_link_artifact(address, "report", "report", where)


def leave_artifacts(decisions: list[Decision]) -> None:
    for decision in decisions:
        name = artifact_key(decision["run"])
        rows = [_row(m) for m in decision["metrics"]]
        before = f"champion: version {decision['champion']}" if decision["champion"] else "no champion yet"
        told = f"**{decision['run']}** version {decision['version']}, {before}. {decision['decision']}: {decision['reason']}"
        create_table_artifact(rows, f"metrics-{name}", told)
        create_link_artifact(decision["page"], "MLflow run", f"mlflow-{name}", f"The run of {decision['run']}")


def _row(metric: dict[str, Any]) -> dict[str, str]:
    new, old = metric["challenger"], metric["champion"]
    return {
        "metric": metric["metric"],
        "part": metric["part"],
        "challenger": "–" if new is None else f"{new:.4g}",
        "champion": "–" if old is None else f"{old:.4g}",
        "difference": "–" if old is None or new is None else f"{new - old:+.3g}",
        "better": metric["better"],
    }


def artifact_key(name: str) -> str:
    """A run's name in the letters that an artifact's key may have."""
    return re.sub(r"[^a-z0-9-]", "-", name)
