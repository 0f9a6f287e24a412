import json
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from fpml import tracking
from fpml.config import load
from fpml.evaluate.figures import matrix
from fpml.evaluate.publish import input_example, may_show
from tests.conftest import make_print


@pytest.fixture
def trained(prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(tracking, "SYSTEM_METRICS_SECONDS", 0.3)  # a tiny training is over before five seconds
    prepared("train", "reconstruct")
    prepared("evaluate", "reconstruct")
    return prepared


@pytest.fixture
def client(project: Path) -> Any:
    from mlflow import MlflowClient

    uri = f"sqlite:///{project / 'mlflow.db'}"
    return MlflowClient(uri, registry_uri=uri)


def runs(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("fpml")
    # the newest of a name wins
    return {r.info.run_name: r for r in reversed(client.search_runs([experiment.experiment_id]))}


def challenger(client: Any) -> int:
    return int(client.get_model_version_by_alias("reconstruct", "challenger").version)


def test_a_run_shows_all_that_was_asked(project: Path, trained: Callable[..., Any], client: Any) -> None:
    found = runs(client)
    train, evaluation = found["reconstruct"], found["reconstruct evaluation"]
    assert train.info.status == evaluation.info.status == "FINISHED"
    assert train.data.params["train.epochs"] == "2"
    assert train.data.params["parameters"] == "669"
    assert len(client.get_metric_history(train.info.run_id, "train/loss")) == 2
    assert any(name.startswith("system/") for name in train.data.metrics)
    (entry,) = train.inputs.dataset_inputs
    tags = {t.key: t.value for t in entry.tags}
    assert (entry.dataset.name, tags) == ("prints", {"mlflow.data.context": "training", "digest_from": "manifest"})
    assert entry.dataset.digest == json.loads((project / "models/reconstruct/run.json").read_text())["datasets"][0]["digest"]
    assert evaluation.data.tags["mlflow.parentRunId"] == train.info.run_id
    metrics = json.loads((project / "results/reconstruct/metrics.json").read_text())
    assert evaluation.data.metrics["psnr_mask/prints/DB1"] == pytest.approx(metrics["psnr_mask"]["prints/DB1"])
    assert {d.dataset.name for d in evaluation.inputs.dataset_inputs} == {"prints/DB1", "prints/DB2", "other"}
    model = client.get_logged_model(json.loads((project / "models/reconstruct/run.json").read_text())["model_id"])
    by_sensor = {(m.key, m.dataset_name) for m in model.metrics if m.dataset_name}
    assert ("psnr/other", "other") in by_sensor
    assert challenger(client) == 1


def test_registering_again_changes_nothing(trained: Callable[..., Any], client: Any) -> None:
    before = set(runs(client))
    trained("register")
    assert set(runs(client)) == before
    assert len(client.search_model_versions("name = 'reconstruct'")) == 1
    assert len(client.search_logged_models([client.get_experiment_by_name("fpml").experiment_id])) == 1


def test_a_deleted_store_is_made_again_from_files(project: Path, trained: Callable[..., Any], empty_store: Path) -> None:
    import shutil

    from mlflow import MlflowClient

    identity = json.loads((project / "models/reconstruct/run.json").read_text())
    shutil.rmtree(project / "mlartifacts")
    shutil.copy(empty_store, project / "mlflow.db")
    trained("register")
    uri = f"sqlite:///{project / 'mlflow.db'}"
    client = MlflowClient(uri, registry_uri=uri)
    found = runs(client)
    rebuilt = found["reconstruct"]
    assert rebuilt.data.tags["rebuilt"] == "from files"
    assert rebuilt.data.tags["fpml.run"] == identity["run_id"]  # what the report's links search for
    assert rebuilt.data.params == identity["params"]
    assert len(client.get_metric_history(rebuilt.info.run_id, "validation/loss")) == 2
    assert "psnr_mask/other" in found["reconstruct evaluation"].data.metrics
    assert challenger(client) == 1


def test_the_registered_model_loads_without_this_project_or_pickle(
    project: Path, trained: Callable[..., Any], tmp_path: Path
) -> None:
    import onnxruntime

    prints = np.stack([make_print(n, 32, 32) for n in range(3)])[:, None]
    np.save(tmp_path / "prints.npy", prints)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    code = f"""
import sys, pickle
sys.modules["fpml"] = None
def no(*a, **k): raise RuntimeError("pickle")
pickle.load = pickle.loads = no
import numpy as np, mlflow
mlflow.set_tracking_uri("sqlite:///{project}/mlflow.db")
model = mlflow.pyfunc.load_model("models:/reconstruct@challenger")
assert model.input_example is not None
out = model.predict({{"prints": np.load("{tmp_path}/prints.npy")}})
np.save("out.npy", out["reconstruction"])
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=fresh, timeout=120)
    session = onnxruntime.InferenceSession(project / "models/reconstruct/model.onnx")
    assert np.abs(np.load(fresh / "out.npy") - session.run(None, {"prints": prints})[0]).max() < 1e-4


def test_real_prints_stay_here(project: Path, trained: Callable[..., Any], client: Any) -> None:
    """Made prints without ground truth count as real: no picture of one reaches MLflow or the report."""
    evaluation = runs(client)["reconstruct evaluation"].info.run_id
    names = {f.path for f in client.list_artifacts(evaluation, "figures")}
    assert names == {"figures/loss.png", "figures/cross-sensor.png"}
    trained("report")
    page = (project / "report" / "index.html").read_text()
    assert page.count("<img") == 3  # the matrix, the loss, the heat map
    assert "3 figure(s) show real prints and are left out" in page
    model = json.loads((project / "models/reconstruct/run.json").read_text())["model_id"]
    saved = list((project / "mlartifacts").rglob("*input_example*"))
    assert saved, model
    assert set(
        np.unique([json.loads(p.read_text())["inputs"]["prints"] for p in saved if p.name == "serving_input_example.json"])
    ) == {128}


@pytest.mark.parametrize(
    ("policy", "synthetic", "shown"),
    [("all", False, True), ("synthetic-only", False, False), ("synthetic-only", True, True), ("none", True, False)],
)
def test_what_may_be_shown(policy: str, synthetic: bool, shown: bool) -> None:
    assert may_show({"shows_prints": True, "synthetic": synthetic}, policy) is shown
    assert may_show({"shows_prints": False, "synthetic": synthetic}, policy)


def test_generated_prints_may_be_the_input_example(project: Path, prepared: Callable[..., Any]) -> None:
    from fpml.data.store import Prepared, open_prepared

    prints = open_prepared(project / "data" / "prepared" / "reconstruct")
    marked = Prepared(
        prints.images, prints.masks, prints.index.assign(truth=["x/truth", *[None] * (len(prints) - 1)]), prints.meta
    )
    assert np.array_equal(input_example(marked, "synthetic-only")[0, 0], prints.images[0][0])
    assert (input_example(prints, "synthetic-only") == 128).all()
    assert (input_example(marked, "none") == 128).all()


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


def test_a_password_in_the_address_is_not_shown(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("tracking.uri", "http://user:secret@127.0.0.1:9")
    assert "secret" not in prepared("train", "reconstruct").err
    assert "secret" not in (project / "models/reconstruct/run.json").read_text()
    prepared("evaluate", "reconstruct")
    prepared("report")
    page = (project / "report/index.html").read_text()
    assert "secret" not in page
    assert 'href="http://127.0.0.1:9/#/experiments/' in page


def test_the_report_is_one_page_with_nothing_to_load(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    (project / "raw/prints/DB1_B/x_y_z.tif").write_text("<script>alert(1)</script>")
    Image.fromarray(make_print(1)).save(project / "raw/prints/DB1_B/<b>.tif")
    trained("ingest", "prints")
    change_params("tracking.log_images", "all")
    trained("report")
    page = (project / "report/index.html").read_text()
    assert "<script" not in page
    assert "<b>.tif" not in page
    assert "&lt;b&gt;.tif" in page
    assert 'src="http' not in page
    assert page.count("<img") > 6
    run_id = json.loads((project / "models/reconstruct/run.json").read_text())["run_id"]
    assert page.count(run_id) > 5
    assert load(project / "params.yaml").tracking.log_images == "all"


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


def test_figures_follow_when_the_policy_allows_them(
    trained: Callable[..., Any], client: Any, change_params: Callable[..., None]
) -> None:
    change_params("tracking.log_images", "all")
    trained("register")
    evaluation = runs(client)["reconstruct evaluation"].info.run_id
    assert len(client.list_artifacts(evaluation, "figures")) == 5


@pytest.mark.parametrize("harm", ["damaged", "deleted experiment"])
def test_training_goes_on_whatever_the_store_has(project: Path, prepared: Callable[..., Any], client: Any, harm: str) -> None:
    if harm == "damaged":
        (project / "mlflow.db").write_text("this is no database")
        assert "metrics stay in files" in prepared("train", "reconstruct").err
    else:
        prepared("train", "reconstruct")
        client.delete_experiment(client.get_experiment_by_name("fpml").experiment_id)
        assert "is restored" in prepared("train", "reconstruct").err
    assert (project / "models/reconstruct/model.onnx").exists()


def test_the_matrix_joins_the_rows_of_all_runs(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    """One run for each training sensor: the report has a row each, and every sensor's column."""
    recipe = yaml.safe_load((project / "params.yaml").read_text())["recipes"]["reconstruct"]
    recipe["data"] |= {"train": ["prints/DB1"], "test": ["prints/DB2", "other"]}
    change_params("recipes.on-db1", recipe)
    change_params("run.on-db1", {"task": "reconstruct", "model": "autoencoder"})
    for stage in ("prepare", "split", "train", "evaluate"):
        trained(stage, "on-db1")
    trained("report")
    page = (project / "report/index.html").read_text()
    assert "<h2>reconstruct</h2>" in page
    assert "<h2>on-db1</h2>" in page
    tables = {r: pd.read_parquet(project / "results" / r / "table.parquet") for r in ("reconstruct", "on-db1")}
    joined = pd.concat([matrix(table, name) for name, table in tables.items()])
    assert set(joined.columns) == {"prints/DB1", "prints/DB2", "other"}
    assert joined.notna().all().all()
    sides = tables["on-db1"].set_index("sensor")["side"]
    assert set(sides["prints/DB2"]) == {"unseen"}
    assert set(sides["prints/DB1"]) == {"validation"}


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
