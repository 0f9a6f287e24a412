import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fpml.admin import doctor
from fpml.tracking import runs as tracking
from tests.conftest import REPOSITORY, challenger, run, runs

ODD = "a b%20c#d?e ü"  # what means something in an address, and what is not ASCII


def test_a_server_that_is_away_stops_nothing(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None], client: Any
) -> None:
    change_params("tracking.uri", "http://127.0.0.1:9")
    said = prepared("train", "reconstruct").err
    assert "http://127.0.0.1:9 does not answer; metrics stay in files" in said
    prepared("evaluate", "reconstruct")
    assert "could not be reached" in prepared("register", "reconstruct", code=2).err
    prepared("report")
    assert len(pd.read_parquet(project / "models/reconstruct/history.parquet")) == 2
    change_params("tracking.uri", "")
    prepared("register", "reconstruct")
    assert challenger(client) == 1
    assert len(client.get_metric_history(runs(client)["reconstruct"].info.run_id, "train/loss")) == 2


def test_a_store_that_fails_in_the_middle(
    project: Path, prepared: Callable[..., Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    def fail(*arguments: Any, **more: Any) -> None:
        raise mlflow.exceptions.MlflowException("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow, "log_metrics", fail)
        assert "the store failed at epoch 1 (database is locked)" in prepared("train", "reconstruct").err
    prepared("evaluate", "reconstruct")
    assert len(client.get_metric_history(runs(client)["reconstruct"].info.run_id, "train/loss")) == 2


def test_who_interrupts_while_a_run_is_opened_leaves_it_killed(
    project: Path, prepared: Callable[..., Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    start = mlflow.start_run

    def interrupted(*arguments: Any, **more: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return start(*arguments, **more)

    with monkeypatch.context() as slow:
        slow.setattr(mlflow, "start_run", interrupted)
        prepared("train", "reconstruct", code=130)
    [run_of_it] = client.search_runs([client.get_experiment_by_name("fpml").experiment_id])
    assert run_of_it.info.status == "KILLED"


def test_a_model_that_was_cut_off_is_sent_again(
    project: Path, prepared: Callable[..., Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(mlflow: Any, *arguments: Any) -> None:
        run = mlflow.active_run().info
        mlflow.MlflowClient().create_logged_model(run.experiment_id, name="model", source_run_id=run.run_id)
        raise OSError("broken pipe")

    with monkeypatch.context() as broken:
        broken.setattr(tracking, "log_model", cut_off)
        assert "the model could not be logged (broken pipe)" in prepared("train", "reconstruct").err
    prepared("evaluate", "reconstruct")
    version = client.get_model_version_by_alias("reconstruct", "challenger")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    assert str(model.status) == "READY"


@pytest.mark.parametrize("harm", ["damaged", "deleted experiment"])
def test_training_goes_on_whatever_the_store_has(project: Path, prepared: Callable[..., Any], client: Any, harm: str) -> None:
    if harm == "damaged":
        (project / "mlflow.db").write_text("this is no database", encoding="utf-8")
        assert "metrics stay in files" in prepared("train", "reconstruct").err
    else:
        prepared("train", "reconstruct")
        client.delete_experiment(client.get_experiment_by_name("fpml").experiment_id)
        assert "is restored" in prepared("train", "reconstruct").err
    assert (project / "models/reconstruct/model.onnx").exists()


def test_a_password_in_the_address_is_not_shown(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("tracking.uri", "http://user:secret@127.0.0.1:9")
    assert "secret" not in prepared("train", "reconstruct").err
    assert "secret" not in (project / "models/reconstruct/run.json").read_text(encoding="utf-8")
    prepared("evaluate", "reconstruct")
    prepared("report")
    page = (project / "report/index.html").read_text(encoding="utf-8")
    assert "secret" not in page
    assert 'href="http://127.0.0.1:9/#/experiments/' in page


def test_a_server_that_asks_for_a_password_answers() -> None:
    class Locked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever).start()
        assert tracking._answers(f"http://user:secret@127.0.0.1:{server.server_port}")
        server.shutdown()
    assert not tracking._answers(f"http://127.0.0.1:{server.server_port}")
    assert not tracking._answers("http://not an address:x")


def _go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # mlflow sets it in its own process


def _inside(project: Path) -> set[Path]:
    """The folders of models in a project."""
    return {p.parent for p in (project / "mlartifacts").rglob("MLmodel")}


@pytest.mark.parametrize("how", [os.rename, shutil.copytree])
@pytest.mark.parametrize("name", ["moved", ODD])
def test_a_project_that_moves_takes_its_models_along(
    project: Path, trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, how: Callable[..., Any], name: str
) -> None:
    place = project.with_name(f"{project.name} {name}")
    how(project, place)
    _go(place, monkeypatch)
    said = trained("reconstruct", "raw/other/p0.png", "--model", "models:/reconstruct@challenger", "--out", "out").err
    assert f"the project was moved to {place}" in said
    said = trained("register")
    assert "registered: reconstruct version 1" in said.err
    assert "the project was moved" not in said.err
    assert "models:/reconstruct@challenger, version 1" in said.out  # and where all is
    before = _inside(place), _inside(project)
    trained("train", "reconstruct")
    assert len(_inside(place)) == len(before[0]) + 1
    assert _inside(project) == before[1]


def test_files_elsewhere_stay_there(
    project: Path, trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As where somebody else's experiments are kept on a larger disk."""
    import mlflow

    elsewhere = tmp_path_factory.mktemp("disk") / "mlartifacts"
    uri = f"sqlite:///{project / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    run = client.create_run(client.create_experiment("theirs", artifact_location=elsewhere.as_uri()))
    client.log_text(run.info.run_id, "text", "kept.txt")
    place = project.with_name(f"{project.name} moved")
    project.rename(place)
    _go(place, monkeypatch)
    trained("register")
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["kept.txt"]


def test_a_store_of_several_projects_follows_none(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("shared") / "mlflow.db"
    shutil.copy(project / "mlflow.db", shared)
    change_params("tracking.uri", f"sqlite:///{shared}")
    (project / "mlartifacts").rename(shared.with_name("mlartifacts"))
    assert "the project was moved" not in trained("register").err


def test_odd_characters_in_the_path(
    project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(project, folder / ODD)
    (folder / ODD / "mlflow.db").unlink()
    _go(folder / ODD, monkeypatch)
    prepared("train", "reconstruct")
    prepared("evaluate", "reconstruct")
    prepared("reconstruct", "raw/other/p0.png", "--model", "models:/reconstruct@challenger", "--out", "out")
    assert (folder / ODD / "mlflow.db").exists()
    assert len(_inside(folder / ODD)) == 1
    assert [p.name for p in folder.iterdir()] == [ODD]
    ascii_locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(REPOSITORY)}
    del os.environ["MLFLOW_TRACKING_URI"]
    code = """
from fpml.settings.sections import Tracking
from fpml.tracking import runs as tracking
mlflow = tracking.connect(Tracking("", "fpml", "none"))
mlflow.models.get_model_info(mlflow.artifacts.download_artifacts("models:/reconstruct@challenger"))
"""
    assert "tracking:" not in run(sys.executable, "-c", code, cwd=folder / ODD, env=ascii_locale).stderr


def test_a_model_whose_files_are_lost_is_registered_again(
    project: Path, trained: Callable[..., Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mlartifacts").rename(project / "gone")
    assert any(grade == "BAD " and "fpml register reconstruct" in text for grade, text in doctor._store())
    trained("register")
    trained("reconstruct", "raw/other/p0.png", "--model", "models:/reconstruct@challenger", "--out", "out")
    trained("promote", "reconstruct")  # what was measured is there again, too
    assert all(grade != "BAD " for grade, text in doctor._store())
    assert len(_inside(project)) == 1
