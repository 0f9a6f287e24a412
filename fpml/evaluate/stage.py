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

from fpml.config import Params
from fpml.data.manifest import is_synthetic
from fpml.data.split import TRAIN, UNSEEN, VALIDATION
from fpml.data.store import Prepared, open_prepared
from fpml.errors import FpmlError
from fpml.evaluate import figures, reconstruction
from fpml.evaluate.publish import publish
from fpml.evaluate.reconstruction import LOW_PASS, MODEL, PCA
from fpml.files import new_folder, root, state_folder
from fpml.models import MODELS
from fpml.train.checkpoint import Checkpoints


def evaluate_stage(name: str, params: Params) -> pd.DataFrame:
    """Measure models/NAME, write results/NAME, register the model; the table of metrics."""
    recipe = params.recipe(name)
    prints = open_prepared(root() / "data" / "prepared" / name)
    side = pd.read_parquet(root() / "data" / "split" / f"{name}.parquet")["side"].astype(str).to_numpy()
    folder = root() / "models" / name
    device = _device(params.runtime.device)
    config = json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}
    if "checkpoints" in config:
        Checkpoints(state_folder() / "checkpoints" / config["checkpoints"]).clear()
    network, code = _load(name, params, folder, device)

    training = np.flatnonzero(side == TRAIN)
    if len(training) > recipe.evaluate.pca_prints:  # evenly over the sensors, which lie one after another
        training = training[np.linspace(0, len(training) - 1, recipe.evaluate.pca_prints).astype(int)]
    pixels = recipe.data.height * recipe.data.width
    components = min(code, len(training) - 1, pixels)
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
    family = MODELS[params.run[name].model]
    network = family.build(recipe.model, recipe.data.height, recipe.data.width)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except FileNotFoundError:
        raise FpmlError(f"{folder}/weights.safetensors is not there; run: fpml train {name}") from None
    except RuntimeError as error:
        raise FpmlError(f"{folder}/weights.safetensors does not fit the settings ({error}); run: fpml train {name}") from None
    network = network.eval().to(device, memory_format=torch.channels_last)
    return network, family.code_size(recipe.model, recipe.data.height, recipe.data.width)


def _metrics(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """metric → sensor → value, of the model: what metrics.json and MLflow both get."""
    own = table[table["method"] == MODEL]
    return {str(m): dict(zip(part["sensor"], part["value"], strict=True)) for m, part in own.groupby("metric", sort=False)}


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
    for number, ((side, sensor), part) in enumerate(own.groupby(["side", "sensor"], sort=True)):
        rows = part["row"].to_numpy()[np.linspace(0, len(part) - 1, min(pictures, len(part))).round().astype(int)]
        with torch.inference_mode():
            output = network(reconstruction.to_float(prints.take(rows), device))[:, 0].clamp(0, 1)
        inside = part["psnr_mask"].mean()
        title = f"{sensor} ({side} fingers): {inside:.1f} dB inside the prints, mean of {len(part)}"
        path = note(f"reconstructions-{number:02d}.png", title, rows)
        figures.reconstructions(prints.take(rows), (output.cpu().numpy() * 255).round().astype(np.uint8), title, path)
    history = pd.read_parquet(folder / "history.parquet")
    title = f"{name}: {history['train/loss'].iat[-1]:.4f} on training, {history['validation/loss'].iat[-1]:.4f} on validation"
    figures.losses(history, title, note("loss.png", title))
    title = f"{name}: PSNR inside the print, by sensor"
    figures.heat_map(figures.matrix(table, str(facts["trained_on"])), title, "PSNR, dB", note("cross-sensor.png", title))
    return drawn
