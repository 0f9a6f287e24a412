"""What runs by the clock: the night's retraining, promotion by itself, and the doctor's round."""

from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from flows.pipeline import RETRIED, STAGES_AT_A_TIME, run_graph
from flows.results import COMMAND_SECONDS, Decision, decide, fpml, leave_artifacts, leave_report
from flows.stages import ROOT, Children, StageFailed, run_command

DVC_SECONDS = 4 * 3600.0


@flow(name="nightly", task_runner=ThreadPoolTaskRunner(max_workers=STAGES_AT_A_TIME), persist_result=False)  # type: ignore[arg-type]
def nightly(
    folder: str = str(ROOT),
    pull: bool = True,
    promote: bool = True,
    push: bool = False,
    minutes: dict[str, float] | None = None,
) -> dict[str, str]:
    """Pull the data, run what is stale, measure, register, and make champions of the challengers that are better.

    Args:
        folder: the project's folder on the worker's machine. It stays between runs: what a killed one had done is kept.
        pull: take new commits and data first (git pull --ff-only where the branch has an upstream; dvc pull).
        promote: let the gate decide about champions at the end.
        push: send the stages' outputs to the DVC remote at the end.
        minutes: time limits by the kind of stage (train, evaluate, ...).
    """
    children, place = Children(), Path(folder)
    try:
        if pull:
            pull_data(place, children)
        done = run_graph(place, minutes or {}, children)
        register(place, children)
        if promote:
            promote_task(place, children, [])
        if push:
            push_results(place, children)
    finally:
        children.end_all()
    return done


@flow(name="promote", persist_result=False)
def promote(folder: str = str(ROOT), runs: list[str] | None = None, anyway: str = "") -> list[Decision]:
    """Let the gate decide whether challengers become champions.

    Args:
        folder: the project's folder on the worker's machine.
        runs: names of runs in params.yaml; all of them where none is given.
        anyway: a reason for which the gate is passed by; kept with the version.
    """
    children = Children()
    try:
        given = ["--anyway", anyway] if anyway else []
        return promote_task(Path(folder), children, [*(runs or []), *given])
    finally:
        children.end_all()


@flow(name="doctor", persist_result=False)
def doctor(folder: str = str(ROOT)) -> None:
    """See whether anything stands in the way of the next run; fails where something does.

    Args:
        folder: the project's folder on the worker's machine.
    """
    children = Children()
    lines: list[str] = []
    try:
        run_command("doctor", fpml("doctor", "--cache"), children, lines.append, COMMAND_SECONDS, Path(folder))
    finally:
        children.end_all()
        for line in lines:
            get_run_logger().info(line)
        rows = [{"": line[:4].strip(), "finding": line[4:].strip()} for line in lines if line[:4] in ("ok  ", "note", "BAD ")]
        create_table_artifact(rows, "doctor", "What `fpml doctor` found")


@task(name="pull", task_run_name="pull", **RETRIED)
def pull_data(folder: Path, children: Children) -> None:
    """New commits, where the branch has an upstream, and the data that they name, where there is a DVC remote."""
    log = get_run_logger().info
    if _says(folder, children, "git", "rev-parse", "--abbrev-ref", "@{upstream}"):
        run_command("git fetch", ["git", "fetch"], children, log, DVC_SECONDS, folder)
        # Every run writes dvc.lock, which nobody commits here; where upstream has another, git would refuse. The run-cache has
        # what it said.
        if _says(folder, children, "git", "ls-files", "dvc.lock"):
            run_command("git checkout", ["git", "checkout", "--", "dvc.lock"], children, log, DVC_SECONDS, folder)
        elif _says(folder, children, "git", "ls-tree", "--name-only", "@{upstream}", "dvc.lock"):
            (folder / "dvc.lock").unlink(missing_ok=True)
        try:
            run_command("git pull", ["git", "pull", "--ff-only"], children, log, DVC_SECONDS, folder)
        except StageFailed as failed:
            if "fast-forward" not in str(failed):
                raise
            raise StageFailed(
                f"{folder} has commits that its upstream has not, and upstream others: put them together there "
                "(git pull --rebase), then push"
            ) from failed
    pointers = [str(p.relative_to(folder)) for p in sorted((folder / "data" / "raw").glob("*.dvc"))]
    if not pointers:
        log("no dataset is under DVC in data/raw: nothing to pull")
    elif not _says(folder, children, *_dvc("remote", "list")):
        log("no DVC remote: the data here is used")
    else:
        run_command("dvc pull", _dvc("pull", *pointers), children, log, DVC_SECONDS, folder)


@task(name="push", task_run_name="push", **RETRIED)
def push_results(folder: Path, children: Children) -> None:
    """The stages' outputs and what DVC knows of them, so that other machines restore instead of running."""
    run_command("dvc push", _dvc("push", "--run-cache"), children, get_run_logger().info, DVC_SECONDS, folder)


@task(name="register", task_run_name="register", **RETRIED)
def register(folder: Path, children: Children) -> None:
    """Runs that were cached, or were trained while the store was away, are sent to it."""
    lines = run_command("register", fpml("register"), children, get_run_logger().info, COMMAND_SECONDS, folder)
    for line in lines:
        if line.startswith("report: "):
            leave_report(line.removeprefix("report: "), "In MLflow: the report of the last run")


@task(name="promote", task_run_name="promote", **RETRIED)
def promote_task(folder: Path, children: Children, arguments: list[str]) -> list[Decision]:
    decisions, failed = decide(folder, children, *arguments)
    leave_artifacts(decisions)
    if failed:
        raise failed
    return decisions


def _dvc(*arguments: str) -> list[str]:
    return [fpml()[0], "-m", "dvc", *arguments]


def _says(folder: Path, children: Children, *command: str) -> str:
    """What a command prints; '' where it fails, as it does where there is nothing to tell."""
    try:
        return "\n".join(run_command(command[0], list(command), children, lambda line: None, 60, folder)).strip()
    except StageFailed:
        return ""
