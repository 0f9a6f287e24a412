import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpml.drawing.privacy import may_show
from fpml.metrics.standing import answer, standings
from fpml.tracking import views
from fpml.tracking.publish import input_example
from tests.conftest import challenger, make_print, runs


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
    assert (
        entry.dataset.digest
        == json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["datasets"][0]["digest"]
    )
    assert evaluation.data.tags["mlflow.parentRunId"] == train.info.run_id
    metrics = json.loads((project / "results/reconstruct/metrics.json").read_text(encoding="utf-8"))
    assert evaluation.data.metrics["psnr_mask/prints/DB1"] == pytest.approx(metrics["psnr_mask"]["prints/DB1"])
    assert {d.dataset.name for d in evaluation.inputs.dataset_inputs} == {"prints/DB1", "prints/DB2", "other"}
    model = client.get_logged_model(
        json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["model_id"]
    )
    by_sensor = {(m.key, m.dataset_name) for m in model.metrics if m.dataset_name}
    assert ("psnr/other", "other") in by_sensor
    assert challenger(client) == 1


def test_the_table_of_runs_says_how_a_training_stands(project: Path, trained: Callable[..., Any], client: Any) -> None:
    run = runs(client)["reconstruct"]
    table = pd.read_parquet(project / "results/reconstruct/table.parquet")
    scores = pd.read_parquet(project / "results/reconstruct/scores.parquet")
    found = answer(standings(table, scores), scores, "psnr_mask")
    assert run.data.metrics["headline"] == run.data.metrics["headline/reconstruct"] == round(found.value, 2)
    assert run.data.metrics["baseline"] == round(found.baseline_value, 2)
    assert run.data.tags["verdict"] == found.verdict
    assert run.data.tags["answer"] == run.data.tags[views.NOTE] == found.sentence  # also its description
    files = [f.path for f in client.list_artifacts(run.info.run_id, "images")]
    assert any(f.startswith("images/loss") for f in files)
    assert not any("reconstructions" in f for f in files)  # these prints count as real
    evaluation = runs(client)["reconstruct evaluation"]
    assert run.info.end_time <= evaluation.info.start_time  # its duration is the training's


def test_the_experiment_says_what_is_there(trained: Callable[..., Any], client: Any) -> None:
    tags = client.get_experiment_by_name("fpml").tags
    for view in (views.TABLE, views.CHARTS, views.PICTURES):
        assert f"viewStateShareKey={view}" in tags[views.NOTE].splitlines()[0]
        kept = json.loads(tags[views.VIEW + view])
        assert isinstance(kept["createdAt"], int)
        state = json.loads(kept["state"])
        found = client.search_runs([client.get_experiment_by_name("fpml").experiment_id], state["searchFilter"])
        assert [r.info.run_name for r in found] == ["reconstruct"]
    columns = json.loads(json.loads(tags[views.VIEW + views.TABLE])["state"])["selectedColumns"]
    assert columns[0] == "metrics.`headline`"
    (chart,) = json.loads(json.loads(tags[views.VIEW + views.CHARTS])["state"])["compareRunCharts"]
    assert chart["metricKey"] in runs(client)["reconstruct"].data.metrics


def test_registering_again_changes_nothing(trained: Callable[..., Any], client: Any) -> None:
    before = set(runs(client))
    training = runs(client)["reconstruct"].info.run_id
    images = client.list_artifacts(training, "images")
    trained("register")
    assert set(runs(client)) == before
    assert len(client.get_metric_history(training, "headline")) == 1
    assert client.list_artifacts(training, "images") == images
    assert len(client.search_model_versions("name = 'reconstruct'")) == 1
    assert len(client.search_logged_models([client.get_experiment_by_name("fpml").experiment_id])) == 1


def test_the_last_report_is_in_the_store(project: Path, trained: Callable[..., Any], client: Any) -> None:
    trained("report")
    for _ in range(2):
        page = trained("register").out.strip().splitlines()[-1]
    report = runs(client)["report"]
    assert f"/runs/{report.info.run_id}/artifacts/index.html" in page
    stored = Path(client.download_artifacts(report.info.run_id, "index.html"))
    assert stored.read_bytes() == (project / "report/index.html").read_bytes()


def test_a_deleted_store_is_made_again_from_files(project: Path, trained: Callable[..., Any], empty_store: Path) -> None:
    import shutil

    from mlflow import MlflowClient

    identity = json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))
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
    page = (project / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image') == 3  # the matrix, small and large, and the loss
    assert "3 figure(s) show real prints and are left out" in page
    model = json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["model_id"]
    saved = list((project / "mlartifacts").rglob("*input_example*"))
    assert saved, model
    assert set(
        np.unique(
            [
                json.loads(p.read_text(encoding="utf-8"))["inputs"]["prints"]
                for p in saved
                if p.name == "serving_input_example.json"
            ]
        )
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


def test_figures_follow_when_the_policy_allows_them(
    trained: Callable[..., Any], client: Any, change_params: Callable[..., None]
) -> None:
    change_params("tracking.log_images", "all")
    trained("register")
    evaluation = runs(client)["reconstruct evaluation"].info.run_id
    assert len(client.list_artifacts(evaluation, "figures")) == 5
