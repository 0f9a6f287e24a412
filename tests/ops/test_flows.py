import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from infra.local.services import Services
from tests.ops.conftest import REPOSITORY, command, epochs_kept, mlflow_client, set_params, slow, the_run, until


def deploy(project: Path, *arguments: str) -> str:
    return command("flows.deploy", "--project", str(project), *arguments, cwd=REPOSITORY)


def start(name: str, **parameters: Any) -> Any:
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(name)
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def state_of(flow_run: Any) -> Any:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run).state


def finished(flow_run: Any) -> Any:
    return until(lambda: (s := state_of(flow_run)) and s.is_final() and s, 480, f"flow run {flow_run}")


def task_states(flow_run: Any) -> dict[str, str]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
        return {t.name: t.state.name for t in found}


def artifacts(flow_run: Any) -> dict[str, Any]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run])))
        return {a.key: a for a in found}


def logs(flow_run: Any) -> list[str]:
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    with get_client(sync_client=True) as client:
        found = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run])))
        return [entry.message for entry in found]


def test_deployments_are_what_their_file_says(team_project: Path, team: Services) -> None:
    for _ in range(2):  # putting them in place again changes nothing
        assert "nobody is told of failures" in deploy(team_project)
    with get_client(sync_client=True) as client:
        found = {d.name: d for d in client.read_deployments()}
        assert set(found) == {"nightly", "on-new-data", "promote", "doctor"}
        assert client.read_concurrency_limit_by_tag("gpu").concurrency_limit == 1
        nightly = found["nightly"]
        (schedule,) = nightly.schedules
        assert (schedule.schedule.cron, schedule.schedule.timezone, schedule.active) == ("0 2 * * *", "UTC", True)
        assert nightly.concurrency_options.collision_strategy.value == "CANCEL_NEW"
        assert client.read_deployment_by_name("nightly/nightly").global_concurrency_limit.limit == 1
        form = nightly.parameter_openapi_schema["properties"]
        assert form["promote"]["type"] == "boolean"
        assert "gate" in form["promote"]["description"]
        until(
            lambda: client.read_flow_runs(), what="scheduled runs"
        )  # the scheduler makes runs, as it would not with other pins


def test_a_night(team_project: Path, team: Services) -> None:
    """From raw prints to a champion, through a worker; the second night finds everything cached."""
    name = the_run(team_project)
    deploy(team_project)
    first = start("nightly/nightly")
    state = finished(first)
    assert state.is_completed(), state.message
    tasks = task_states(first)
    assert tasks[f"train@{name}"] == "Ran"
    assert tasks["report"] == "Ran"
    assert {"pull", "register", "promote"} <= set(tasks)
    left = artifacts(first)
    assert set(left) == {f"metrics-{name}", f"mlflow-{name}", "report"}
    assert "/artifacts/index.html" in left["report"].data  # in MLflow, where a browser may open it
    (row, *_) = json.loads(left[f"metrics-{name}"].data)
    assert set(row) == {"metric", "part", "challenger", "champion", "difference", "better"}
    assert "promoted: it is the first" in left[f"metrics-{name}"].description
    assert team.url("mlflow") in left[f"mlflow-{name}"].data
    client = mlflow_client(team)
    (model,) = client.search_registered_models(f"name = '{name}'")
    assert {k: str(v) for k, v in model.aliases.items()} == {"challenger": "1", "champion": "1"}
    stored = [p.name for p in (team.folder / "objects" / "mlflow").rglob("*.onnx")]
    assert stored, "the model lies in the object store"
    training = client.get_run(client.get_model_version(name, "1").run_id)
    assert training.data.tags["prefect_flow_run"] == str(first)

    second = start("nightly/nightly")
    assert finished(second).is_completed()
    tasks = task_states(second)
    assert tasks[f"train@{name}"] == tasks[f"evaluate@{name}"] == tasks["report"] == "Cached"
    assert "it is the champion already" in artifacts(second)[f"metrics-{name}"].description


def test_a_second_run_is_refused_while_one_runs(team_project: Path, team: Services) -> None:
    slow(team_project, 3000)
    deploy(team_project)
    first = start("nightly/nightly")
    until(lambda: epochs_kept(team_project), what="the training")
    second = start("nightly/nightly")
    assert finished(second).is_cancelled()
    # Its lines are in Prefect's pages while the stage still runs.
    assert until(
        lambda: any(line.startswith("train ") or "epochs" in line for line in logs(first)), what="a line of the training"
    )
    assert state_of(first).is_running()
    with get_client(sync_client=True) as client:
        from prefect.states import Cancelling

        client.set_flow_run_state(first, Cancelling())
    assert finished(first).is_cancelled()


def test_a_night_after_the_worker_was_killed(team_project: Path, team: Services) -> None:
    """The worker and all it started die by SIGKILL in the middle of a training: the next night goes on."""
    name = the_run(team_project)
    slow(team_project, 60)
    deploy(team_project)
    first = start("nightly/nightly", promote=False)
    until(lambda: epochs_kept(team_project) >= 3, what="the third epoch")
    resumed = next(team_project.glob(".fpml/checkpoints/*/run")).read_text(encoding="utf-8")
    worker = team.process("worker")
    assert worker
    everything = [worker, *worker.children(recursive=True)]
    assert any("train" in p.cmdline() for p in everything)
    for process in everything:
        process.kill()
    assert not (team_project / "models" / name).exists()
    team.up()
    # Its heart beats no more: an automation says so, and its place is free for the next night.
    assert finished(first).is_crashed()
    second = start("nightly/nightly", promote=False)
    state = finished(second)
    assert state.is_completed(), state.message
    tasks = task_states(second)
    assert tasks["ingest@prints"] == "Cached"
    assert tasks[f"train@{name}"] == "Ran"
    assert any("going on after epoch" in line for line in logs(second))
    assert json.loads((team_project / "models" / name / "run.json").read_text(encoding="utf-8"))["run_id"] == resumed
    history = mlflow_client(team).get_metric_history(resumed, "train/loss")
    assert sorted(m.step for m in history) == list(range(1, 61))


def test_the_doctor_on_a_project_that_is_ill(team_project: Path, team: Services) -> None:
    deploy(team_project)
    well = start("doctor/doctor")
    assert finished(well).is_completed(), logs(well)
    assert "params.yaml" in artifacts(well)["doctor"].data
    (team_project / "params.yaml").write_text("datasets: 3\n", encoding="utf-8")
    ill = start("doctor/doctor")
    assert finished(ill).is_failed()
    assert until(lambda: any(line.startswith("BAD") for line in logs(ill)), what="the log lines")


def test_new_prints_are_taken_in_and_drift_is_told(team_project: Path, team: Services, tmp_path: Path) -> None:
    from tests.conftest import write_fvc

    name = the_run(team_project)
    arrived = tmp_path / "arrived"
    write_fvc(tmp_path / "first", fingers=6)
    command("fpml.cli", "data", "add", "mine", str(tmp_path / "first"), "--reader", "fvc", "--dpi", "500", cwd=team_project)
    set_params(team_project, **{"data.train": ["mine"], "data.test": []})
    command("dvc", "repro", f"train@{name}", cwd=team_project)
    deploy(team_project)
    arrived.mkdir()
    nothing = start("on-new-data/on-new-data", dataset="mine", incoming=str(arrived))
    assert finished(nothing).is_completed(), state_of(nothing).message
    assert "drift" not in " ".join(artifacts(nothing))

    from PIL import Image

    from tests.conftest import make_print

    (arrived / "DB1_B").mkdir()
    for number in range(12):  # other ridges, and darker
        picture = (make_print(9000 + number, period=14.0) * 0.4).astype("uint8")
        file = arrived / "DB1_B" / f"{50 + number}_1.tif"
        Image.fromarray(picture).save(file)
        os.utime(file, (0, 0))  # long ago: a file that was just written may not be whole
    new = start("on-new-data/on-new-data", dataset="mine", incoming=str(arrived))
    state = finished(new)
    assert state.is_completed(), state.message
    left = artifacts(new)[f"drift-{name}"]
    rows = {row["statistic"]: row for row in json.loads(left.data)}
    assert rows["grey"]["drifted"] == "True"
    assert "12 new prints" in left.description
    from prefect.events.filters import EventFilter, EventNameFilter

    with get_client(sync_client=True) as client:
        wanted = EventFilter(event=EventNameFilter(name=["fpml.drift"]))

        def told() -> Any:
            answer = client.request("POST", "/events/filter", json={"filter": wanted.model_dump(mode="json")})
            return answer.json()["events"]

        (event, *_) = until(told, what="the event")
    assert event["resource"]["prefect.resource.id"] == f"fpml.run.{name}"
    assert "grey" in event["payload"]["drifted"]


def test_one_gpu_is_shared_between_flows(team_project: Path, team: Services, tmp_path: Path) -> None:
    """Two flows at once, of two projects: their train stages take turns."""
    from tests.conftest import run

    deploy(team_project)
    folders = []
    for number in range(2):
        folder = tmp_path / f"toy-{number}"
        folder.mkdir()
        note = tmp_path / "turns"
        order = f"echo in >> {note}; sleep 3; echo out >> {note}; echo 1 > a"
        (folder / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {order}\n    outs: [a]\n", encoding="utf-8")
        run("git", "init", "-q", cwd=folder)
        run("dvc", "init", "-q", cwd=folder)
        folders.append(folder)
    flows = [
        subprocess.Popen([sys.executable, "-m", "flows.pipeline", str(f)], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        for f in folders
    ]
    assert [p.wait(480) for p in flows] == [0, 0]
    assert (tmp_path / "turns").read_text(encoding="utf-8").split() == ["in", "out", "in", "out"]


@pytest.mark.parametrize("arguments", [["--gpus", "0"]])
def test_a_limit_of_no_gpu_is_refused(team: Services, arguments: list[str]) -> None:
    assert "0 would end every training" in command("flows.deploy", *arguments, cwd=REPOSITORY, code=2)
