"""evaluate: measure a trained run on every sensor, draw it, and send it to the tracking store and registry."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from fpml import registry, tracking
from fpml.config import Params
from fpml.data.manifest import is_synthetic
from fpml.data.split import TRAIN, UNSEEN, VALIDATION
from fpml.data.store import Prepared, open_prepared
from fpml.errors import FpmlError
from fpml.evaluate import figures, reconstruction
from fpml.files import new_folder, root
from fpml.models import MODELS, autoencoder
from fpml.train.stage import input_example

MODEL, PCA, LOW_PASS = "model", "pca", "low-pass"
EVALUATION_TAG = "fpml.evaluation"


def evaluate_stage(name: str, params: Params) -> pd.DataFrame:
    """Measure models/NAME, write results/NAME, register the model; the table of metrics."""
    recipe = params.recipe(name)
    prints = open_prepared(root() / "data" / "prepared" / name)
    side = pd.read_parquet(root() / "data" / "split" / f"{name}.parquet")["side"].astype(str).to_numpy()
    folder = root() / "models" / name
    device = _device(params.runtime.device)
    network, code = _load(name, params, folder, device)

    training = np.flatnonzero(side == TRAIN)[: recipe.evaluate.pca_prints]
    components = min(code, len(training) - 1)
    methods = {
        MODEL: network,
        PCA: reconstruction.fit_pca(prints.take(training), components),
        LOW_PASS: reconstruction.low_pass,
    }
    rows = np.flatnonzero((side == VALIDATION) | (side == UNSEEN))
    scores = reconstruction.score_all(methods, prints, rows, device)
    scores["side"] = side[scores["row"]]
    scores["sensor"] = sensor_labels(prints.index).to_numpy()[scores["row"]]
    for column in ("image_id", "finger_id"):
        scores[column] = prints.index[column].to_numpy(object)[scores["row"]]
    table = reconstruction.summarise(scores, recipe.evaluate.bootstrap)
    pixels = recipe.data.height * recipe.data.width
    facts = {
        "pca_components": components, "code_size": code, "pixels": pixels,
        "code_note": "over-complete: copying is possible" if code > pixels else "",
        "trained_on": ", ".join(recipe.data.train),
        "model_sha256": hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest(),
    }  # fmt: skip
    with new_folder(root() / "results" / name) as out:
        scores.drop(columns="row").to_parquet(out / "scores.parquet", index=False)
        table.to_parquet(out / "table.parquet", index=False)
        (out / "metrics.json").write_text(json.dumps(_metrics(table), indent=1) + "\n")
        (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        (out / "figures").mkdir()
        drawn = _draw(out / "figures", name, prints, scores, table, facts, network, recipe.evaluate.pictures, folder, device)
        (out / "figures.json").write_text(json.dumps(drawn, indent=1) + "\n")
    publish(name, params)
    return table


def sensor_labels(index: pd.DataFrame) -> pd.Series:
    """DATASET/SENSOR, or DATASET where a dataset is one sensor of the same name."""
    dataset, sensor = index["dataset"].astype(str), index["sensor"].astype(str)
    return dataset.where(dataset == sensor, dataset + "/" + sensor)


def _device(wanted: str) -> torch.device:
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _load(name: str, params: Params, folder: Path, device: torch.device) -> tuple[Callable[..., Any], int]:
    recipe = params.recipe(name)
    network = MODELS[params.run[name].model](recipe.model, recipe.data.height, recipe.data.width)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except FileNotFoundError:
        raise FpmlError(f"{folder}/weights.safetensors is not there; run: fpml train {name}") from None
    except RuntimeError as error:
        raise FpmlError(f"{folder}/weights.safetensors does not fit the settings ({error}); run: fpml train {name}") from None
    network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, autoencoder.code_size(recipe.model, recipe.data.height, recipe.data.width)


def _metrics(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """metric → sensor → value, of the model: what metrics.json and MLflow both get."""
    own = table[table["method"] == MODEL]
    return {m: dict(zip(part["sensor"], part["value"], strict=True)) for m, part in own.groupby("metric", sort=False)}


def _draw(
    out: Path, name: str, prints: Prepared, scores: pd.DataFrame, table: pd.DataFrame, facts: dict[str, Any],
    network: Callable[..., Any], pictures: int, folder: Path, device: torch.device,
) -> list[dict[str, Any]]:  # fmt: skip
    """Draw all figures; a row each: file, title, whether it shows prints, and whether those are generated."""
    synthetic = is_synthetic(prints.index).to_numpy()
    drawn: list[dict[str, Any]] = []

    def note(file: str, title: str, rows: np.ndarray | None = None) -> Path:
        drawn.append({
            "file": file, "title": title, "shows_prints": rows is not None,
            "synthetic": bool(rows is None or synthetic[rows].all()),
        })  # fmt: skip
        return out / file

    own = scores[scores["method"] == MODEL]
    for (side, sensor), part in own.groupby(["side", "sensor"], sort=True):
        rows = part["row"].to_numpy()[np.linspace(0, len(part) - 1, min(pictures, len(part))).round().astype(int)]
        with torch.inference_mode():
            output = network(reconstruction.to_float(prints.take(rows), device))[:, 0].clamp(0, 1)
        inside = part["psnr_mask"].mean()
        title = f"{sensor} ({side} fingers): {inside:.1f} dB inside the prints, mean of {len(part)}"
        path = note(f"reconstructions-{str(sensor).replace('/', '-')}.png", title, rows)
        figures.reconstructions(prints.take(rows), (output.cpu().numpy() * 255).round().astype(np.uint8), title, path)
    history = pd.read_parquet(folder / "history.parquet")
    title = f"{name}: {history['train/loss'].iat[-1]:.4f} on training, {history['validation/loss'].iat[-1]:.4f} on validation"
    figures.losses(history, title, note("loss.png", title))
    title = f"{name}: PSNR inside the print, by sensor"
    figures.heat_map(matrix(table, str(facts["trained_on"])), title, "PSNR, dB", note("cross-sensor.png", title))
    return drawn


def matrix(table: pd.DataFrame, trained_on: str) -> pd.DataFrame:
    """One row of the train-sensor x test-sensor matrix: PSNR in the mask for every sensor."""
    own = table[(table["method"] == MODEL) & (table["metric"] == "psnr_mask")]
    return pd.DataFrame([dict(zip(own["sensor"], own["value"], strict=True))], index=[trained_on])


def may_show(figure: dict[str, Any], log_images: str) -> bool:
    """Whether a figure may leave the workspace: prints are biometric data."""
    return not figure["shows_prints"] or log_images == "all" or (log_images == "synthetic-only" and figure["synthetic"])


def publish(name: str, params: Params) -> tuple[str, str] | None:
    """Send what files hold to the tracking store and registry; may be repeated. (run id, version), or None
    where the store is away, having said so."""
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
        _log_evaluation(mlflow, name, params, run_id, model_id, results)
        version = registry.register(mlflow, name, model_id, models)
    except mlflow.exceptions.MlflowException as error:
        tracking.say(f"tracking: the store failed ({' '.join(str(error).split())[:300]}); run `fpml register` when it is back")
        return None
    tracking.say(f"registered: {name} version {version}, alias '{registry.ALIAS}' (run {run_id})")
    return run_id, version


def _log_evaluation(mlflow: Any, name: str, params: Params, run_id: str, model_id: str, results: Path) -> None:
    """A child run with a metric for each sensor, also on the logged model, and the figures that may be shown."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    metrics = json.loads((results / "metrics.json").read_text())
    digest = hashlib.md5((results / "metrics.json").read_bytes()).hexdigest()
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    wanted = f"tags.`{EVALUATION_TAG}` = '{digest}' and tags.`mlflow.parentRunId` = '{run_id}'"
    if client.search_runs([experiment], wanted, max_results=1):
        return
    sensors = sorted({sensor for values in metrics.values() for sensor in values})
    names = sorted({s.split("/")[0] for s in sensors})
    digests = tracking.dataset_digests(names, {n: params.datasets[n].path for n in names}, root() / "data" / "manifest")
    known = {d["name"]: d for d in digests}
    with mlflow.start_run(experiment_id=experiment, run_name=f"{name} evaluation", parent_run_id=run_id):
        mlflow.set_tags(tracking.stage_tags(name))
        for sensor in sensors:
            d = known[sensor.split("/")[0]]
            dataset = MetaDataset(LocalArtifactDatasetSource(d["source"]), name=sensor, digest=d["digest"])
            mlflow.log_input(dataset, "testing", {"digest_from": d["digest_from"]})
            values = {f"{m}/{sensor}": by_sensor[sensor] for m, by_sensor in metrics.items() if sensor in by_sensor}
            mlflow.log_metrics(values, model_id=model_id, dataset=dataset)
        mlflow.log_table(pd.read_parquet(results / "table.parquet"), "table.json")
        for figure in json.loads((results / "figures.json").read_text()):
            if may_show(figure, params.tracking.log_images):
                mlflow.log_artifact(str(results / "figures" / figure["file"]), "figures")
        mlflow.set_tag(EVALUATION_TAG, digest)  # last: a run that was cut off is not taken for a whole one
