"""What files hold, sent to the tracking store and registry; may be repeated. Imports no torch."""

import hashlib
import json
import re
import shutil
import tempfile
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.data.manifest import is_synthetic
from fpml.data.store import Prepared, open_prepared
from fpml.drawing.privacy import may_show
from fpml.inference import package
from fpml.metrics.standing import answer, standings
from fpml.metrics.table import METRICS, MODEL
from fpml.project.identity import dataset_digests, stage_tags
from fpml.project.params import Params
from fpml.tracking import links, registry, views
from fpml.tracking import runs as tracking

EVALUATION_TAG = "fpml.evaluation"
PICTURES_TAG = "fpml.pictures"
PICTURES = "images"  # where MLflow puts them in a run
REPORT_TAG = "fpml.report"
BATCH = 512  # prints read at a time
SCORES = "scores.parquet"  # the model's metrics of each print, by which two versions are compared
PIXELS = "pixels_md5"  # its column that tells whether a print is still the same


def input_example(prints: Prepared, log_images: str) -> np.ndarray:
    """A print that may be shown, uint8 (1, 1, H, W); a grey picture where none may."""
    synthetic = is_synthetic(prints.index).to_numpy()
    allowed = {"all": synthetic | True, "synthetic-only": synthetic, "none": synthetic & False}[log_images]
    rows = np.flatnonzero(allowed)
    if len(rows) == 0:
        return np.full((1, 1, *prints.images[0].shape[1:]), 128, np.uint8)
    return prints.take(rows[:1])[:, None]


def publish(name: str, params: Params) -> tuple[str, str] | None:
    """Send what files hold to the tracking store and registry; may be repeated. (run id, version), or None
    where the store can't be reached, having said so."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        return None
    models, results = root() / "models" / name, root() / "results" / name
    for path in (models / "run.json", results / "metrics.json"):
        if not path.exists():
            raise FpmlError(f"{path} is not there; run: dvc repro evaluate@{name}")
    prints = open_prepared(root() / "data" / "prepared" / name)
    example = input_example(prints, params.tracking.log_images)
    try:
        run_id, model_id = tracking.ensure_run(mlflow, params.tracking, models, example)
        _log_evaluation(mlflow, name, params, run_id, model_id, results, prints)
        _log_answer(mlflow, name, run_id, results)
        _log_pictures(mlflow, run_id, results, _may_show(results, params))
        views.describe(mlflow, params.tracking, list(params.run))
        version = registry.register(mlflow, name, model_id, models, _facts(models))
        if json.loads((models / "config.json").read_text(encoding="utf-8"))["task"] == "compress":
            _register_encoder(mlflow, name, run_id, models, example)
    except mlflow.exceptions.MlflowException as error:
        tracking.say(f"tracking: the store failed ({' '.join(str(error).split())[:300]}); run `fpml register` when it is back")
        return None
    tracking.say(f"registered: {name} version {version}, alias '{registry.ALIAS}' (run {run_id})")
    return run_id, version


def publish_report(params: Params) -> str:
    """Send report/index.html to the tracking store, in the place of the last one; its page there. '' where there is no report
    or the store can't be reached."""
    path = root() / "report" / "index.html"
    mlflow = tracking.connect(params.tracking) if path.exists() else None
    if mlflow is None:
        return ""
    client = mlflow.MlflowClient()
    try:
        experiment = client.get_experiment_by_name(params.tracking.experiment).experiment_id
        known = client.search_runs([experiment], f"tags.`{REPORT_TAG}` = 'last'", max_results=1)
        run = known[0] if known else client.create_run(experiment, run_name="report", tags={REPORT_TAG: "last"})
        client.log_artifact(run.info.run_id, str(path))
        client.set_terminated(run.info.run_id)
    except mlflow.exceptions.MlflowException as error:
        tracking.say(f"tracking: the store failed ({' '.join(str(error).split())[:300]}); the report is in {path} only")
        return ""
    return links.page(params.tracking, run, f"artifacts/{path.name}")


def _may_show(results: Path, params: Params) -> list[dict[str, Any]]:
    """The figures of a run that may be seen, those of prints first."""
    drawn = json.loads((results / "figures.json").read_text(encoding="utf-8"))
    return sorted((f for f in drawn if may_show(f, params.tracking.log_images)), key=lambda f: not f["shows_prints"])


def _log_answer(mlflow: Any, name: str, run_id: str, results: Path) -> None:
    """The headline number beside its best baseline's on the training's own run: what the table and the charts of runs show."""
    table, scores = pd.read_parquet(results / "table.parquet"), pd.read_parquet(results / "scores.parquet")
    headline = json.loads((results / "facts.json").read_text(encoding="utf-8"))["headline"]
    found = answer(standings(table[table["metric"] == headline], scores), scores, headline)
    client = mlflow.MlflowClient()
    before = client.get_run(run_id).data.tags
    if before.get("answer") == found.sentence:
        return
    if before.get(views.NOTE, "") == before.get("answer", ""):  # else somebody has written a description
        client.set_tag(run_id, views.NOTE, found.sentence)
    # Not by start_run, which would end the run anew: its duration is the training's.
    digits = found.metric.digits  # what the table of runs has room for; the whole number is in the evaluation's run
    for metric in ("headline", f"headline/{name}") if not isnan(found.value) else ():
        client.log_metric(run_id, metric, round(found.value, digits))
    if found.baseline:
        client.log_metric(run_id, "baseline", round(found.baseline_value, digits))
    client.set_tag(run_id, "verdict", found.verdict)
    client.set_tag(run_id, "measures", f"{found.metric.label}; {found.metric.direction}")
    client.set_tag(run_id, "answer", found.sentence)  # last: a run that was cut off is not taken for a whole one


def _log_pictures(mlflow: Any, run_id: str, results: Path, shown: list[dict[str, Any]]) -> None:
    """The figures as pictures of the training's own run: MLflow's charts show those of several runs side by side, by key."""
    files = [results / "figures" / figure["file"] for figure in shown]
    digest = hashlib.md5(b"".join(hashlib.md5(file.read_bytes()).digest() for file in files)).hexdigest()
    client = mlflow.MlflowClient()
    if not files or client.get_run(run_id).data.tags.get(PICTURES_TAG) == digest:
        return
    for key, file in ((views.FIRST, files[0]), *((file.stem, file) for file in files)):
        with Image.open(file) as picture:
            picture.seek(getattr(picture, "n_frames", 1) - 1)  # of one that moves, how it ends
            client.log_image(run_id, picture.convert("RGB"), key=key, step=0, synchronous=True)
    client.set_tag(run_id, PICTURES_TAG, digest)


def _log_scores(mlflow: Any, scores: pd.DataFrame, prints: Prepared) -> None:
    """The model's metrics of each print, where the task measures single prints."""
    if "finger_id" not in scores:
        return
    own = scores[scores["method"] == MODEL]
    rows = pd.Index(prints.index["image_id"]).get_indexer(own["image_id"])
    batches = (prints.take(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
    own = own.assign(**{PIXELS: [hashlib.md5(picture.tobytes()).hexdigest() for batch in batches for picture in batch]})
    columns = ["image_id", "finger_id", PIXELS, *(m for m in METRICS if m in own)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SCORES
        own[columns].to_parquet(path, index=False)
        mlflow.log_artifact(str(path))


def _facts(models: Path) -> dict[str, Any]:
    """What a user of the registered model has to know: the threshold of its scores, and where it was measured."""
    facts = package.facts_of(models)
    return {k: v for k, v in facts.items() if k.startswith("threshold") or k == "trained_on"}


def _register_encoder(mlflow: Any, name: str, run_id: str, models: Path, example: np.ndarray) -> None:
    """The encoder of an autoencoder as a model of its own, NAME-encoder."""
    part = f"{name}-{registry.PARTS[0]}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cut_encoder(models / "model.onnx", folder / "model.onnx")
        shutil.copy(models / "config.json", folder)
        model_id = ""
        if registry.known_version(mlflow, part, registry.digest(folder)) is None:
            client = mlflow.MlflowClient()
            trained = client.get_run(run_id).info
            with mlflow.start_run(run_id=run_id, log_system_metrics=False):
                model_id = tracking.log_model(mlflow, folder, example, "encoder")
            client.set_terminated(run_id, trained.status, trained.end_time)  # its duration is the training's
        registry.register(mlflow, part, model_id, folder)


def cut_encoder(model: Path, encoder: Path) -> None:
    """What leads from the prints to the code, out of an exported autoencoder, as an ONNX file of its own."""
    from onnx.utils import extract_model

    extract_model(str(model), str(encoder), ["prints"], ["code"])


def _log_evaluation(
    mlflow: Any, name: str, params: Params, run_id: str, model_id: str, results: Path, prints: Prepared
) -> None:
    """A child run with a metric for each part that was measured (a sensor, an alteration), also on the logged model, and
    the figures that may be shown."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    shown = _may_show(results, params)
    content = [results / "metrics.json", *(results / "figures" / f["file"] for f in shown)]
    digest = hashlib.md5(b"".join(hashlib.md5(p.read_bytes()).digest() for p in content)).hexdigest()
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    wanted = f"tags.`{EVALUATION_TAG}` = '{digest}' and tags.`mlflow.parentRunId` = '{run_id}'"
    if any(client.list_artifacts(run.info.run_id) for run in client.search_runs([experiment], wanted)):
        return
    parts = sorted({part for values in metrics.values() for part in values})
    names = sorted({part.split("/")[0] for part in parts})
    digests = dataset_digests(names, {n: params.datasets[n].path for n in names}, root() / "data" / "manifest")
    known = {d["name"]: d for d in digests}
    with mlflow.start_run(experiment_id=experiment, run_name=f"{name} evaluation", parent_run_id=run_id):
        mlflow.set_tags({**stage_tags(name), registry.DIGEST_TAG: registry.digest(root() / "models" / name)})
        for part in parts:
            d = known[part.split("/")[0]]
            dataset = MetaDataset(LocalArtifactDatasetSource(d["source"]), name=part, digest=d["digest"])
            mlflow.log_input(dataset, "testing", {"digest_from": d["digest_from"]})
            said = re.sub(r"[^\w. :/-]", "_", part)  # MLflow's letters; a class may have others
            values = {f"{m}/{said}": by_part[part] for m, by_part in metrics.items() if part in by_part}
            mlflow.log_metrics(values, model_id=model_id, dataset=dataset)
        mlflow.log_table(pd.read_parquet(results / "table.parquet"), "table.json")
        _log_scores(mlflow, pd.read_parquet(results / SCORES), prints)
        for figure in shown:
            mlflow.log_artifact(str(results / "figures" / figure["file"]), "figures")
        mlflow.set_tag(EVALUATION_TAG, digest)  # last: a run that was cut off is not taken for a whole one
