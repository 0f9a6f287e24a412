"""Registered models, fetched to be used."""

import json
import os
from pathlib import Path

import yaml

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.inference.model import Model, open_model
from fpml.project.params import load as load_params
from fpml.settings.sections import Tracking
from fpml.tracking import registry
from fpml.tracking import runs as tracking


def fetch(model: str) -> Model:
    """A model of the registry, models:/NAME@ALIAS or models:/NAME/VERSION, of this project's store or, without a project, of
    the one that $MLFLOW_TRACKING_URI names. FpmlError where it is not to be had."""
    params = root() / "params.yaml"
    if not params.exists() and "MLFLOW_TRACKING_URI" not in os.environ:
        raise FpmlError(f"{model} needs a tracking store: run in a project's folder, or set MLFLOW_TRACKING_URI")
    settings = load_params(params).tracking if params.exists() else Tracking("", "fpml", "none")
    mlflow = tracking.connect(settings, read_only=True)
    if mlflow is None:
        raise FpmlError(f"{model} needs the tracking store, which can't be reached")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(model))
        info = mlflow.models.get_model_info(str(folder))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise FpmlError(f"{model} can't be loaded: {' '.join(str(error).split())[:200]}") from None
    m = dict(info.metadata or {})
    if not {"height", "width", "dpi", "crop"} <= set(m):
        raise FpmlError(f"{model} is not a model of this project: its metadata has no height, width, dpi and crop")
    config = {"input": m, "classes": json.loads(m.pop("classes", "[]"))}
    named = yaml.safe_load((folder / "registered_model_meta").read_text(encoding="utf-8"))
    tags = mlflow.MlflowClient().get_model_version(named["model_name"], str(named["model_version"])).tags
    return open_model(model, (folder / "model.onnx").read_bytes(), config, json.loads(tags.get(registry.FACTS_TAG, "{}")))
