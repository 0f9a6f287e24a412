"""Trained or registered models on a person's own pictures, through ONNX Runtime alone."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from fpml import package, registry
from fpml.config import Params
from fpml.data.pictures import EXTENSIONS, PICTURES, BadPicture, check_print, read_grey
from fpml.data.prepare import place_print
from fpml.data.sources import READERS
from fpml.data.walk import check_name, find_files
from fpml.errors import FpmlError
from fpml.files import new_file, new_folder, root
from fpml.progress import progress
from fpml.recipes import Data

BATCH = 16
SHEET = 64  # made prints on a sheet


@dataclass(frozen=True)
class Model:
    """A model of any origin, ready to run."""

    session: Any  # onnxruntime.InferenceSession
    data: Data  # how its prints are placed
    config: dict[str, Any]
    facts: dict[str, Any]  # what was found when these weights were measured; empty where that is not known
    name: str  # as it was asked for
    sha256: str  # of model.onnx

    def __call__(self, outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        out: list[np.ndarray] = self.session.run(outputs, inputs)
        return out


def open_model(model: str, outputs: list[str], params: Params) -> Model:
    """A run's model, a folder's, a file of `fpml export` or one of the registry, which must give these outputs."""
    import onnxruntime

    content, config, facts = _find(model, params)
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        rule = config["input"]
        data = Data(["-"], [], int(rule["height"]), int(rule["width"]), float(rule["dpi"]), rule["crop"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise FpmlError(f"{model} can't be used as a model: {' '.join(str(error).split())[:200]}") from None
    gives = [o.name for o in session.get_outputs()]
    if missing := [o for o in outputs if o not in gives]:
        raise FpmlError(f"{model} gives {' and '.join(gives)}, not {missing[0]}; give --model another one")
    return Model(session, data, config, facts, model, hashlib.sha256(content).hexdigest())


def _find(model: str, params: Params) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """model.onnx, its config and its facts."""
    if model.startswith("models:/"):
        return _registered(model, params)
    if Path(model).is_file():
        parts = package.read(Path(model))
        return parts["model.onnx"], _config(parts["config.json"], model), json.loads(parts["facts.json"])  # of these weights
    folder = Path(model) if (Path(model) / "model.onnx").exists() else root() / "models" / model
    if not (folder / "model.onnx").exists():
        raise FpmlError(f"no model '{model}': {folder}/model.onnx is not there; run `dvc repro`, or give --model")
    config = _config((folder / "config.json").read_bytes(), str(folder))
    return (folder / "model.onnx").read_bytes(), config, package.facts_of(folder)


def _config(content: bytes, where: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(content)
        if {"height", "width", "dpi", "crop"} <= set(config["input"]):
            return config
    except (ValueError, KeyError, TypeError):
        pass
    raise FpmlError(f"{where}: config.json is damaged; run: dvc repro, or give another --model")


def _registered(model: str, params: Params) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    from fpml import tracking

    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError(f"{model} needs the tracking store, which is away")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(model))
        info = mlflow.models.get_model_info(str(folder))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise FpmlError(f"{model} can't be had: {' '.join(str(error).split())[:200]}") from None
    m = dict(info.metadata or {})
    if not {"height", "width", "dpi", "crop"} <= set(m):
        raise FpmlError(f"{model} is no model of this project: its metadata has no height, width, dpi and crop")
    config = {"input": m, "classes": json.loads(m.pop("classes", "[]"))}
    named = yaml.safe_load((folder / "registered_model_meta").read_text(encoding="utf-8"))
    tags = mlflow.MlflowClient().get_model_version(named["model_name"], str(named["model_version"])).tags
    return (folder / "model.onnx").read_bytes(), config, json.loads(tags.get(registry.FACTS_TAG, "{}"))


def find_pictures(inputs: list[Path]) -> list[Path]:
    out: list[Path] = []
    for path in inputs:
        check_name(path)
        if path.is_dir():
            inside = [path / f for f in find_files(path, may_be_empty=True) if f.suffix.lower() in PICTURES]
            if not inside:
                raise FpmlError(f"{path} has no pictures ({', '.join(sorted(EXTENSIONS))})")
            out += inside
        elif path.is_file():
            out.append(path)
        else:
            raise FpmlError(f"{path} is not there; give a picture or a folder of pictures")
    return out


@dataclass(frozen=True)
class Placed:
    """Pictures as a model sees them."""

    pictures: list[Path]
    prints: np.ndarray  # uint8 (n, 1, height, width)
    masks: np.ndarray  # uint8 (n, height, width), 1 inside the print
    boxes: list[tuple[int, ...]]  # top, bottom, left, right of what a picture covers of its canvas


def placed(
    inputs: list[Path], dpi: float, reader: str, data: Data, params: Params, what: str, some: bool = False
) -> Iterator[Placed]:
    """The pictures of files and folders, some at a time. One that can't be used is named and left out; FpmlError if
    none can, unless these are only some of the pictures."""
    if not 50 <= dpi <= 5000:
        raise FpmlError(f"--dpi is {dpi:g}; allowed: 50 to 5000")
    pictures = find_pictures(inputs)
    good = 0
    for start in progress(range(0, len(pictures), BATCH), what, -(-len(pictures) // BATCH), "batches"):
        kept, prints, masks, boxes = [], [], [], []
        for picture in pictures[start : start + BATCH]:
            try:
                grey = READERS[reader].crop(read_grey(picture, params.ingest.max_pixels))
                check_print(grey)
                canvas, mask, box = _canvas(grey, dpi, data)
            except BadPicture as error:
                print(f"{picture}: left out: {error}")
                continue
            kept.append(picture)
            prints.append(canvas)
            masks.append(mask)
            boxes.append(box)
        good += len(kept)
        if kept:
            yield Placed(kept, np.stack(prints)[:, None], np.stack(masks), boxes)
    if some:
        return
    if not good:
        raise FpmlError(f"none of the {len(pictures)} pictures can be used; the reasons are above")
    left = f", {len(pictures) - good} left out" if good < len(pictures) else ""
    print(f"{good} of {len(pictures)} pictures{left}")


def _canvas(grey: np.ndarray, dpi: float, data: Data) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """A picture as the model saw its training prints, with its mask and box, padded with its own plate's grey. BadPicture
    for one that is larger than a model's canvas which takes whole pictures."""
    size = [round(side * data.dpi / dpi) for side in grey.shape]
    if data.crop == "none" and (size[0] > data.height or size[1] > data.width):
        raise BadPicture(
            f"{size[1]} x {size[0]} pixels at the model's {data.dpi:g} dpi, its canvas has {data.width} x {data.height}; is "
            "--dpi the picture's, and --reader its layout's?"
        )
    canvas, mask, box, plate = place_print(grey, dpi, data)
    top, bottom, left, right = box
    outside = np.ones(canvas.shape, bool)
    outside[top:bottom, left:right] = False
    canvas = canvas.copy()
    canvas[outside] = 255 if plate is None else plate
    return canvas, mask, box


def reconstruct(inputs: list[Path], out: Path, model: str, dpi: float, reader: str, params: Params) -> None:
    """Write NAME-original.png and NAME-reconstruction.png for every picture; a line with the error each."""
    network = open_model(model, ["reconstruction"], params)
    name = _namer(inputs, out)
    for part in placed(inputs, dpi, reader, network.data, params, "reconstruct"):
        (after,) = network(["reconstruction"], prints=part.prints)
        for picture, before, given in zip(part.pictures, part.prints[:, 0], after[:, 0], strict=True):
            _save(before, name(picture, "original"))
            _save(_bytes(given), name(picture, "reconstruction"))
            error = float(((given.clip(0, 1) - before / 255) ** 2).mean())
            print(f"{picture}: PSNR {-10 * np.log10(max(error, 1e-10)):.2f} dB")
    print(f"the reconstructions are in {out}")


def repair(inputs: list[Path], out: Path, model: str, dpi: float, reader: str, params: Params) -> None:
    """Write NAME-repaired.png and NAME-damage.png (white: damaged) for every picture; a line with the share each.

    Both have the picture's size at the model's dpi."""
    network = open_model(model, ["repaired", "damage"], params)
    name = _namer(inputs, out)
    for part in placed(inputs, dpi, reader, network.data, params, "repair"):
        after, damage = network(["repaired", "damage"], prints=part.prints)
        for picture, given, where, (top, bottom, left, right) in zip(
            part.pictures, after[:, 0], damage[:, 0], part.boxes, strict=True
        ):
            _save(_bytes(given[top:bottom, left:right]), name(picture, "repaired"))
            _save(_bytes(where[top:bottom, left:right]), name(picture, "damage"))
            print(f"{picture}: {(where[top:bottom, left:right] > 0.5).mean():.1%} damaged")
    print(f"the repaired prints and their damage maps are in {out}")


def encode(inputs: list[Path], out: Path, model: str, dpi: float, reader: str, params: Params) -> None:
    """Write a Parquet file with a row for each picture: its path and the numbers of its code, code_0, code_1 …"""
    import pandas as pd

    network = open_model(model, ["code"], params)
    if out.suffix != ".parquet" or out.is_dir():
        raise FpmlError(f"--out is {out}; give a file NAME.parquet")
    frames = []
    for part in placed(inputs, dpi, reader, network.data, params, "encode"):
        (codes,) = network(["code"], prints=part.prints)
        frame = pd.DataFrame(codes, columns=[f"code_{n}" for n in range(codes.shape[1])])
        frame.insert(0, "picture", [str(p) for p in part.pictures])
        frames.append(frame)
    with new_file(out) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    print(f"the codes are in {out}")


def generate(count: int, out: Path, model: str, wanted: str | None, seed: int, params: Params) -> None:
    """Write COUNT made prints as OUT/00001.png …, sheet.png of the first of them, and latent.parquet with the numbers that
    each was made from. FpmlError for a class that the model does not have."""
    import pandas as pd

    network = open_model(model, ["pictures"], params)
    if not (1 <= count <= 1_000_000 and 0 <= seed < 2**63):
        raise FpmlError(f"-n {count} --seed {seed}: from 1 to 1,000,000 prints, and a seed from 0")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FpmlError(f"--out is {out}, which is there and not an empty folder; name a new one")
    classes = network.config.get("classes", [])
    if wanted is not None and wanted not in classes:
        has = f"has {', '.join(classes)}" if classes else "has no classes"
        raise FpmlError(f"--class is {wanted}, and {model} {has}; train with model.condition to have others")
    size = next(i.shape[1] for i in network.session.get_inputs() if i.name == "latent")
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((count, size)).astype(np.float32)
    numbers = np.full(count, classes.index(wanted)) if wanted else np.arange(count) % max(1, len(classes))
    with new_folder(out) as folder:
        first: list[np.ndarray] = []
        for start in progress(range(0, count, BATCH), "generate", -(-count // BATCH), "batches"):
            here = slice(start, start + BATCH)
            given = {"class": numbers[here].astype(np.int64)} if classes else {}
            (pictures,) = network(["pictures"], latent=latent[here], **given)
            for place, picture in enumerate(_bytes(pictures)):
                shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
                Image.fromarray(shown).save(folder / f"{start + place + 1:05d}.png")
            first += list(_bytes(pictures)[: SHEET - len(first), 0])
        _sheet(np.stack(first)).save(folder / "sheet.png")
        table = pd.DataFrame(latent, columns=[f"z_{n}" for n in range(size)])
        table.insert(0, "picture", [f"{n + 1:05d}.png" for n in range(count)])
        table.insert(1, "class", [classes[n] for n in numbers] if classes else "")
        table.to_parquet(folder / "latent.parquet", index=False)
    print(f"{count} made prints in {out}; {out}/sheet.png shows the first of them")


def _sheet(pictures: np.ndarray) -> Image.Image:
    """Pictures (N, H, W) uint8 in rows of eight."""
    rows = -(-len(pictures) // 8)
    height, width = pictures.shape[1:]
    out = np.full((rows * height, min(8, len(pictures)) * width), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // 8 * height, number % 8 * width
        out[top : top + height, left : left + width] = picture
    return Image.fromarray(out)


def _bytes(values: np.ndarray) -> np.ndarray:
    return (values.clip(0, 1) * 255).round().astype(np.uint8)


def _save(pixels: np.ndarray, path: Path) -> None:
    with new_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="png")


def _namer(inputs: list[Path], out: Path) -> Callable[[Path, str], Path]:
    """Where a picture's outputs go: OUT/NAME-WHAT.png, with its folders where two would be called the same."""
    if out.exists() and not out.is_dir():
        raise FpmlError(f"--out is {out}, a file; give a folder, which is made if it is not there")
    pictures = find_pictures(inputs)
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for picture in pictures:
        whole = "-".join(p for p in picture.parts if p not in ("/", "..", "."))
        tries = (picture.stem, picture.name, whole, *(f"{whole}-{n}" for n in range(2, len(pictures) + 2)))
        names[picture] = next(name for name in tries if name not in taken)
        taken.add(names[picture])
    return lambda picture, what: out / f"{names[picture]}-{what}.png"
