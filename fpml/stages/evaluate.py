"""evaluate: measure a trained run, draw it, and send it to the tracking store and registry."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fpml import tasks
from fpml.base.errors import FpmlError
from fpml.base.files import new_folder, root, state_folder
from fpml.data.store import open_prepared
from fpml.drawing import figures
from fpml.metrics.table import MODEL
from fpml.models import family_of
from fpml.project.params import Params
from fpml.tasks.protocol import Album, Findings, Trained
from fpml.tracking.publish import publish
from fpml.training.checkpoint import Checkpoints


def evaluate_stage(name: str, params: Params) -> Findings:
    """Measure models/NAME, write results/NAME, register the model."""
    trained = load_trained(name, params)
    torch.manual_seed(trained.recipe.train.seed)  # what an evaluation trains for itself begins the same each time
    with new_folder(root() / "results" / name) as out:
        (out / "figures").mkdir()
        album = Album(out / "figures", trained.prints.index)
        found = tasks.task(params.run[name].task).evaluate(trained, album)
        title = _loss_title(name, trained.history)
        figures.losses(trained.history, title, album.add("loss.png", title))
        weights = (root() / "models" / name / "weights.safetensors").read_bytes()
        facts = {
            **found.facts,
            "trained_on": ", ".join(trained.recipe.data.train),
            "model_sha256": hashlib.sha256(weights).hexdigest(),
        }
        found.scores.to_parquet(out / "scores.parquet", index=False)
        found.table.to_parquet(out / "table.parquet", index=False)
        (out / "metrics.json").write_text(json.dumps(_metrics(found.table), indent=1) + "\n", encoding="utf-8")
        (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (out / "figures.json").write_text(json.dumps(album.figures, indent=1) + "\n", encoding="utf-8")
    publish(name, params)
    return found


def load_trained(name: str, params: Params) -> Trained[Any]:
    """A trained run with its prints. FpmlError where a part of it is missing or not of these settings."""
    recipe, run = params.recipe(name), params.run[name]
    prints = open_prepared(root() / "data" / "prepared" / name)
    side = pd.read_parquet(root() / "data" / "split" / f"{name}.parquet")["side"].astype(str).to_numpy()
    folder = root() / "models" / name
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "weights.safetensors")
        history = pd.read_parquet(folder / "history.parquet")
    except FileNotFoundError as error:
        raise FpmlError(f"{Path(error.filename or folder)} is not there; run: fpml train {name}") from None
    except SafetensorError as error:
        raise FpmlError(f"{folder}/weights.safetensors is not a safetensors file ({error}); run: fpml train {name}") from None
    Checkpoints(state_folder() / "checkpoints" / config["checkpoints"]).clear()  # DVC has train's outputs by now
    device = torch.device("cuda" if params.runtime.device != "cpu" and torch.cuda.is_available() else "cpu")
    classes, family = tuple(config["classes"]), family_of(run.model, run.task, tasks.kinds(run.task))
    network = family.build(recipe.model, recipe.data.height, recipe.data.width, len(classes))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        why = " ".join(str(error).split())[:200]
        raise FpmlError(f"{folder}/weights.safetensors does not fit the settings ({why}); run: fpml train {name}") from None
    network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(name, recipe, network, family, classes, prints, side, device, history)


def _loss_title(name: str, history: pd.DataFrame) -> str:
    last = history.iloc[-1]
    return f"{name}: " + ", ".join(f"{c.replace('/', ' ')} {last[c]:.4f}" for c in history.columns if "loss" in c)


def _metrics(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """metric → part → value, of the model: what metrics.json and MLflow both get."""
    own = table[table["method"] == MODEL].dropna(subset="value")
    return {str(m): dict(zip(part["part"], part["value"], strict=True)) for m, part in own.groupby("metric", sort=False)}
