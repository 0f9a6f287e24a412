"""What breaks in the night, broken on purpose: nothing that was computed may be lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.local.services import Services
from tests.conftest import run
from tests.ops.conftest import REPOSITORY, command, epochs_kept, mlflow_client, set_params, slow, the_run, until

EPOCHS = 30


def start_training(project: Path) -> "subprocess.Popen[str]":
    """`dvc repro train@…` in the background, once its third epoch is kept."""
    child = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", f"train@{the_run(project)}"], cwd=project, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    until(lambda: epochs_kept(project) >= 3 or child.poll() is not None, what="the third epoch")
    assert child.poll() is None, "the training ended too soon"
    return child


def steps(team: Services, project: Path) -> list[int]:
    identity = json.loads((project / "models" / the_run(project) / "run.json").read_text(encoding="utf-8"))
    return sorted(m.step for m in mlflow_client(team).get_metric_history(identity["run_id"], "train/loss"))


@pytest.fixture
def register(team_project: Path) -> Callable[[], str]:
    def send() -> str:
        command("dvc", "repro", f"evaluate@{the_run(team_project)}", cwd=team_project)
        return command("fpml.cli", "register", cwd=team_project)

    return send


def test_the_tracking_server_goes_and_comes_back(team_project: Path, team: Services, register: Callable[[], str]) -> None:
    slow(team_project, EPOCHS)
    training = start_training(team_project)
    team.end("mlflow", signal.SIGKILL)
    said = training.communicate(timeout=480)[0]
    assert training.returncode == 0, said
    assert "metrics stay in files" in said or "did not arrive" in said
    team.up()
    register()
    assert steps(team, team_project) == list(range(1, EPOCHS + 1))
    assert mlflow_client(team).search_registered_models(f"name = '{the_run(team_project)}'")[0].aliases["challenger"]


def test_the_database_is_restarted_while_training(team_project: Path, team: Services, register: Callable[[], str]) -> None:
    slow(team_project, EPOCHS)
    training = start_training(team_project)
    team.end("postgres", signal.SIGINT)
    team.start(team.postgres())
    said = training.communicate(timeout=480)[0]
    assert training.returncode == 0, said
    register()
    assert steps(team, team_project) == list(range(1, EPOCHS + 1))


def test_the_object_store_refuses(team_project: Path, team: Services, register: Callable[[], str]) -> None:
    training = command("dvc", "repro", f"split@{the_run(team_project)}", cwd=team_project)
    team.end("s3")
    training = command("dvc", "repro", f"evaluate@{the_run(team_project)}", cwd=team_project)
    assert "could not be logged" in training
    weights = (team_project / "models" / the_run(team_project) / "weights.safetensors").read_bytes()
    team.up()
    assert "registered" in register()
    assert (team_project / "models" / the_run(team_project) / "weights.safetensors").read_bytes() == weights
    name = the_run(team_project)
    told = command("fpml.cli", "reconstruct", "raw/other/p0.png", "--out", "o", "--model", f"models:/{name}@challenger",
                   cwd=team_project)  # fmt: skip
    assert "PSNR" in told


def test_two_pipelines_at_once_on_one_workspace(team_project: Path, team: Services) -> None:
    flows = [
        subprocess.Popen([sys.executable, "-m", "flows.pipeline", str(team_project)], cwd=REPOSITORY, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]  # fmt: skip
    said = [f.communicate(timeout=480)[0] for f in flows]
    assert [f.returncode for f in flows] == [0, 0], said
    assert "up to date" in command("dvc", "status", cwd=team_project)
    name = the_run(team_project)
    versions = mlflow_client(team).search_model_versions(f"name = '{name}'")
    assert len({v.tags["model_md5"] for v in versions}) == len(versions)
    assert any(line.endswith("cached") for text in said for line in text.splitlines())  # not everything was run twice


def test_results_go_through_an_s3_remote_to_another_machine(team_project: Path, team: Services, tmp_path: Path) -> None:
    """A second clone, with the remote alone, restores what the first one computed instead of running it."""
    command("fpml.cli", "data", "add", "mine", "raw/prints", "--reader", "fvc", "--dpi", "500", cwd=team_project)
    set_params(team_project, **{"data.train": ["mine"], "data.test": []})
    run("dvc", "remote", "add", "-d", "team", "s3://dvc/one", cwd=team_project)
    command("dvc", "repro", cwd=team_project)
    run("git", "add", "-A", cwd=team_project)
    run("git", "commit", "-qm", "results", cwd=team_project)
    command("dvc", "push", "--run-cache", "--quiet", cwd=team_project)
    secret = team.secret("s3")
    assert not [
        p for p in team_project.rglob("*") if p.is_file() and p.stat().st_size < 1e6 and secret.encode() in p.read_bytes()
    ]

    other = tmp_path / "other machine"
    run("git", "clone", "-q", str(team_project), str(other), cwd=tmp_path)
    command("dvc", "pull", "--run-cache", "--quiet", cwd=other)
    said = command("dvc", "repro", cwd=other)
    assert "Running stage" not in said, said
    name = the_run(team_project)
    for made in (f"models/{name}/weights.safetensors", "report/index.html", "data/raw/mine/DB1_B/1_1.tif"):
        assert (other / made).read_bytes() == (team_project / made).read_bytes()


def test_a_clock_put_back_or_forward_changes_nothing(team_project: Path, team: Services) -> None:
    """By days, in the training's process alone: what is stale, which epoch was last and the order of metrics don't go by it."""
    name = the_run(team_project)
    (team_project / "wrong").mkdir()
    (team_project / "wrong" / "sitecustomize.py").write_text(
        "import os, time\nreal = time.time\ntime.time = lambda: real() + float(os.environ.get('WRONG', 0))\n",
        encoding="utf-8",
    )
    slow(team_project, 6)
    command("dvc", "repro", f"split@{name}", cwd=team_project)
    for epochs, days in ((6, 3), (8, -3)):
        set_params(team_project, **{"train.epochs": epochs})
        environment = {**os.environ, "PYTHONPATH": f"{team_project / 'wrong'}:{os.environ.get('PYTHONPATH', '')}",
                       "WRONG": str(86400 * days)}  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "dvc", "repro", f"evaluate@{name}"], cwd=team_project, env=environment,
                              capture_output=True, text=True, timeout=480)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert steps(team, team_project) == list(range(1, epochs + 1))
    assert "up to date" in command("dvc", "repro", f"evaluate@{name}", cwd=team_project)
    assert mlflow_client(team).search_registered_models(f"name = '{name}'")[0].aliases["challenger"] in (2, "2")


def test_of_many_promotions_one_wins(team_project: Path, team: Services) -> None:
    command("dvc", "repro", f"evaluate@{the_run(team_project)}", cwd=team_project)
    arguments = [sys.executable, "-m", "fpml.cli", "promote", "--json"]
    racers = [
        subprocess.Popen(arguments, cwd=team_project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [r.communicate(timeout=480) for r in racers]
    won = [out for out, _ in said if "it is the first" in out]
    assert len(won) == 1, said
    assert all("already" in out or "under way" in err for out, err in said if "it is the first" not in out), said


@pytest.mark.parametrize("hook", ["failed"])
def test_a_failure_is_told(team_project: Path, team: Services, hook: str) -> None:
    """A real notification, to a web server of the test's."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    from tests.ops.test_flows import deploy, finished, start

    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        block = CustomWebhookNotificationBlock(
            name="alerts", url=f"http://127.0.0.1:{server.server_port}/", method="POST",
            json_data={"title": "{{subject}}", "text": "{{body}}"},
        )  # fmt: skip
        block.save("alerts", overwrite=True)
        assert "are told to" in deploy(team_project, "--notify", "custom-webhook/alerts")
        set_params(team_project, **{"split.validation": 0.01})
        night = start("nightly/nightly")
        assert finished(night).is_failed()
        until(lambda: any("leaves 'validation' empty" in text for text in heard), what="the notification")
        server.shutdown()


def test_bad_input_is_not_tried_again(team_project: Path, team: Services) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from tests.ops.test_flows import deploy, finished, start

    deploy(team_project)
    set_params(team_project, **{"split.validation": 0.01})
    night = start("nightly/nightly")
    assert finished(night).is_failed()
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[night])))
    (split,) = [t for t in tasks if t.name.startswith("split@")]
    assert split.state.is_failed()
    assert split.run_count == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_leaves_nothing_half_written(team_project: Path, team: Services) -> None:
    name = the_run(team_project)
    small = team_project / "models"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        command("dvc", "repro", f"split@{name}", cwd=team_project)
        set_params(team_project, **{"model.widths": [64, 64, 64]})
        said = subprocess.run(
            [sys.executable, "-m", "fpml.cli", "train", name],
            cwd=team_project,
            capture_output=True,
            text=True,
            timeout=480,
        )
        assert said.returncode == 2
        assert "the disk is full" in said.stderr.splitlines()[-1]
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
    # With room again it goes on after its last epoch, and trains none twice.
    said_again = command("fpml.cli", "train", name, cwd=team_project)
    assert "going on after epoch 2" in said_again
