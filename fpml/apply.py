"""Trained or registered models on a person's own pictures, through ONNX Runtime alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fpml.config import Data, Params
from fpml.data.pictures import EXTENSIONS, BadPicture, check_print, read_grey
from fpml.data.prepare import place_print
from fpml.errors import FpmlError
from fpml.files import new_file, root
from fpml.progress import progress

BATCH = 16


def find_model(model: str, params: Params) -> tuple[Path, dict[str, Any]]:
    """The ONNX file and its input rule: of a run here, of a folder, or of the registry."""
    if model.startswith("models:/"):
        return _registered(model, params)
    folder = Path(model) if (Path(model) / "model.onnx").exists() else root() / "models" / model
    if not (folder / "model.onnx").exists():
        raise FpmlError(f"no model '{model}': {folder}/model.onnx is not there; run `dvc repro`, or give --model")
    try:
        return folder / "model.onnx", json.loads((folder / "config.json").read_text())["input"]
    except (ValueError, KeyError):
        raise FpmlError(f"{folder}/config.json is damaged; run: dvc repro, or give another --model") from None


def _registered(model: str, params: Params) -> tuple[Path, dict[str, Any]]:
    from fpml import tracking

    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError(f"{model} needs the tracking store, which is away")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(model))
        info = mlflow.models.get_model_info(str(folder))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise FpmlError(f"{model} can't be had: {' '.join(str(error).split())[:200]}") from None
    m = info.metadata or {}
    if not {"height", "width", "dpi", "crop"} <= set(m):
        raise FpmlError(f"{model} is no model of this project: its metadata has no height, width, dpi and crop")
    size = {k: int(m[k]) for k in ("height", "width")}
    return folder / "model.onnx", {**size, "dpi": float(m["dpi"]), "crop": m["crop"]}


def find_pictures(inputs: list[Path]) -> list[Path]:
    out: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            if not inside:
                raise FpmlError(f"{path} has no pictures ({', '.join(sorted(EXTENSIONS))})")
            out += inside
        elif path.is_file():
            out.append(path)
        else:
            raise FpmlError(f"{path} is not there; give a picture or a folder of pictures")
    return out


def reconstruct(inputs: list[Path], out: Path, model: str, dpi: float, params: Params) -> None:
    """Write <name>-original.png and <name>-reconstruction.png for every picture; a line with the error each.

    A picture that can't be used is named and left out; FpmlError if none can."""
    import onnxruntime

    if not 50 <= dpi <= 5000:
        raise FpmlError(f"--dpi is {dpi:g}; allowed: 50 to 5000")
    path, rule = find_model(model, params)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        data = Data(["-"], [], rule["height"], rule["width"], float(rule["dpi"]), rule["crop"] == "squash")
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise FpmlError(f"{path} can't be used as a model: {' '.join(str(error).split())[:200]}") from None
    pictures = find_pictures(inputs)
    if out.exists() and not out.is_dir():
        raise FpmlError(f"--out is {out}, a file; give a folder, which is made if it is not there")
    out.mkdir(parents=True, exist_ok=True)
    names = _names(pictures)
    bad = 0
    for start in progress(range(0, len(pictures), BATCH), "reconstruct", -(-len(pictures) // BATCH), "batches"):
        prints, kept = [], []
        for picture in pictures[start : start + BATCH]:
            try:
                grey = read_grey(picture, params.ingest.max_pixels)
                check_print(grey)
                prints.append(_canvas(grey, dpi, data))
                kept.append(picture)
            except BadPicture as error:
                bad += 1
                print(f"{picture}: left out: {error}")
        if not kept:
            continue
        batch = np.stack(prints)[:, None]
        output = session.run(None, {"prints": batch})[0][:, 0].clip(0, 1)
        for picture, before, after in zip(kept, batch[:, 0], output, strict=True):
            for what, array in (("original", before), ("reconstruction", (after * 255).round().astype(np.uint8))):
                with new_file(out / f"{names[picture]}-{what}.png") as temporary:
                    Image.fromarray(array).save(temporary, format="png")
            error_db = -10 * np.log10(max(float(((after - before / 255) ** 2).mean()), 1e-10))
            print(f"{picture}: PSNR {error_db:.2f} dB")
    if bad == len(pictures):
        raise FpmlError(f"none of the {bad} pictures can be used; the reasons are above")
    print(f"{len(pictures) - bad} reconstructions in {out}" + (f", {bad} left out" if bad else ""))


def _canvas(grey: np.ndarray, dpi: float, data: Data) -> np.ndarray:
    """A picture as the model saw its training prints, padded with its own plate's grey."""
    canvas, _, (top, bottom, left, right), plate = place_print(grey, dpi, data)
    outside = np.ones(canvas.shape, bool)
    outside[top:bottom, left:right] = False
    canvas = canvas.copy()
    canvas[outside] = 255 if plate is None else plate
    return canvas


def _names(pictures: list[Path]) -> dict[Path, str]:
    """A name for each picture, with its folders where two would be called the same."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for picture in pictures:
        whole = "-".join(p for p in picture.parts if p not in ("/", "..", "."))
        tries = (picture.stem, picture.name, whole, *(f"{whole}-{n}" for n in range(2, len(pictures) + 2)))
        names[picture] = next(name for name in tries if name not in taken)
        taken.add(names[picture])
    return names
