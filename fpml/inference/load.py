"""Where models are found: shipped with the package, in a folder, in a file of `fpml export`, or a run of this project."""

import json
from pathlib import Path
from typing import Any

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.base.shipped import as_shipped, card_of, shipped
from fpml.inference import package
from fpml.inference.model import Model, open_model


def load(model: str | Path) -> Model:
    """A model by a run's name, a folder with model.onnx, a file of `fpml export`, or the name of a shipped one, with its
    version or without. FpmlError where there is none."""
    name = str(model)
    if Path(name).is_file():
        parts = package.read(Path(name))
        return open_model(name, parts["model.onnx"], read_config(parts["config.json"], name), json.loads(parts["facts.json"]))
    for folder in (Path(name), root() / "models" / name):
        if (folder / "model.onnx").exists():
            if not (folder / "config.json").exists():
                raise FpmlError(f"{folder} has a model.onnx and no config.json, which says how its prints are placed")
            config = read_config((folder / "config.json").read_bytes(), str(folder))
            return open_model(name, (folder / "model.onnx").read_bytes(), config, package.facts_of(folder))
    if name in shipped():
        folder = shipped()[name]
        config = read_config((folder / "config.json").read_bytes(), str(folder))
        return open_model(name, as_shipped(folder / "model.onnx"), config, card_of(folder).get("facts", {}))
    with_it = f"; with fpml come {', '.join(shipped())}" if shipped() else ""
    raise FpmlError(
        f"no model '{name}': {root() / 'models' / name}/model.onnx is not there{with_it}; run `dvc repro`, or name a folder, "
        "a file of `fpml export` or models:/NAME@ALIAS"
    )


def read_config(content: bytes, where: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(content)
        if {"height", "width", "dpi", "crop"} <= set(config["input"]):
            return config
    except (ValueError, KeyError, TypeError):
        pass
    raise FpmlError(f"{where}: config.json is damaged; run: dvc repro, or give another --model")
