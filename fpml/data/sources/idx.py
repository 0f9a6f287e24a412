"""MNIST's idx files, plain or gzipped: NAME-images-idx3-ubyte and, beside it, NAME-labels-idx1-ubyte.

Many pictures lie in one file: a row of the manifest says which by its index. NAME train is the sensor 'train', every other
(t10k) 'test'; a label is the picture's category, by its name where the dataset's own folder says fashion. Every picture
counts as a finger of its own."""

import gzip
import math
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fpml.data.pictures import BadPicture
from fpml.errors import FpmlError

FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
NAME = re.compile(r"(?P<set>[\w-]+?)-images[-.]idx3-ubyte(?P<gz>\.gz)?")
LARGEST = 4 * 2**30  # bytes, unpacked
DPI = 100.0  # such pictures have none: with it at a recipe of 100 dpi, a pixel stays a pixel


def read(path: Path, dimensions: int) -> np.ndarray:
    """An idx file of unsigned bytes with so many dimensions. FpmlError where it is something else or cut short."""
    content = _unpack(path)
    head = 4 + 4 * dimensions
    if len(content) < head or content[:3] != b"\0\0\x08" or content[3] != dimensions:
        raise FpmlError(f"{path} is no idx file of bytes with {dimensions} dimension(s)")
    shape = [int.from_bytes(content[4 + 4 * d : 8 + 4 * d], "big") for d in range(dimensions)]
    if len(content) - head != math.prod(shape):
        size = " x ".join(map(str, shape))
        raise FpmlError(f"{path} is cut short or damaged: {len(content) - head} bytes for {size}; get it again")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _unpack(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FpmlError(f"{path} is a truncated or damaged gzip ({error}); get it again") from None
    if len(content) > LARGEST:
        raise FpmlError(f"{path} unpacks to more than {LARGEST} bytes")
    return content


@lru_cache(maxsize=2)
def pictures(path: Path) -> np.ndarray:
    """All pictures of a file, (n, height, width) uint8; kept for the next one that is asked for."""
    return read(path, 3)


def rows(relative: PurePosixPath, folder: Path) -> list[dict[str, Any]] | None:
    """What the manifest says of each picture in a file; None for a file that holds no pictures."""
    name = NAME.fullmatch(relative.name)
    if name is None:
        return None
    images = pictures(folder / relative)
    labels = _labels(folder, relative, len(images))
    fashion = "fashion" in f"{folder.name}/{relative}".lower()
    sensor = "train" if name["set"] == "train" else "test"
    out = []
    for index in range(len(images)):
        row: dict[str, Any] = {"sensor": sensor, "finger": f"{name['set']}-{index}", "impression": 1, "index": index}
        if labels is not None:
            row["category"] = FASHION[labels[index]] if fashion and labels[index] < 10 else str(labels[index])
        out.append(row)
    return out


def _labels(folder: Path, relative: PurePosixPath, count: int) -> np.ndarray | None:
    stem = relative.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    found = next((p for p in (folder / relative.parent / stem, folder / relative.parent / f"{stem}.gz") if p.exists()), None)
    if found is None:
        return None
    labels = read(found, 1)
    if len(labels) != count:
        raise FpmlError(f"{found} has {len(labels)} labels, {relative} {count} images; they belong to different sets")
    return labels


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    raise BadPicture(f"name '{relative.name}' is not as in train-images-idx3-ubyte.gz")


def identity(columns: dict[str, object]) -> str:
    return str(columns["finger"])


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    return ""


def default_dpi(path: str, sensors: list[str]) -> dict[str, float]:
    return {"train": DPI, "test": DPI}
