"""idx files of the MNIST family, plain or gzipped: [SET-]train-images-idx3-ubyte and [SET-]train-labels-idx1-ubyte, and the
same for t10k or test. Dots may stand for dashes, and each file may lie in a folder of its own name.

Many pictures lie in one file: a row of the manifest says which by its index. Train is the sensor 'train', t10k and test are
'test'; a label is the picture's category, by its name where the dataset's own name, or one below it, says fashion. Every
picture counts as a finger of its own."""

import gzip
import math
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture
from fpml.data.walk import find_files

TAKES = "an idx file of pictures (train-images-idx3-ubyte, t10k-images-idx3-ubyte, gzipped or not)"
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SIDES = {"train": "train", "t10k": "test", "test": "test"}
NAME = re.compile(
    rf"(?:(?P<set>[a-z0-9-]+)-)?(?P<side>{'|'.join(SIDES)})-(?:(?P<images>images-idx3-ubyte)|labels-idx(?:1-ubyte|2-int))"
)
TYPES = {8: ">u1", 12: ">i4"}  # idx's numbers that are read: bytes, and the whole numbers of QMNIST's labels
LARGEST = 4 * 2**30  # bytes, unpacked
DPI = 100.0  # such pictures have none: with it at a recipe of 100 dpi, a pixel stays a pixel


def read(path: Path, dimensions: int) -> np.ndarray:
    """An idx file with so many dimensions. FpmlError where it is something else or cut short."""
    content = _unpack(path)
    head = 4 + 4 * dimensions
    known = TYPES if dimensions == 2 else {8}
    if len(content) < head or content[:2] != b"\0\0" or content[2] not in known or content[3] != dimensions:
        raise FpmlError(f"{path} is not an idx file of bytes with {dimensions} dimension(s)")
    numbers = np.dtype(TYPES[content[2]])
    shape = [int.from_bytes(content[4 + 4 * d : 8 + 4 * d], "big") for d in range(dimensions)]
    if len(content) - head != math.prod(shape) * numbers.itemsize:
        size = " x ".join(map(str, shape))
        raise FpmlError(f"{path} is cut short or damaged: {len(content) - head} bytes for {size}; get it again")
    return np.frombuffer(content, numbers, offset=head).reshape(shape)


def _unpack(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":  # not by its name: browsers unpack, and leave the .gz there
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


def rows(relative: PurePosixPath, folder: Path) -> list[dict[str, Any]] | str:
    """What the manifest says of each picture in a file, or why a file gives none. FpmlError where the files' names leave open
    what is a picture's side or label, or would count a picture twice."""
    name = _named(relative)
    if name is None:
        if _is_idx(folder / relative):
            raise FpmlError(f"{folder / relative} is an idx file, and its name does not say of what; name it as {TAKES}")
        return "no file of idx pictures"
    if not name["images"]:
        return "labels"
    files = [(file, found) for file in find_files(folder) if (found := _named(file))]
    if len(sets := sorted({n["set"] or "MNIST's own names" for _, n in files})) > 1:
        raise FpmlError(f"{folder} has idx files of several sets: {', '.join(sets)}; add each as a dataset of its own")
    of_side = [(file, n) for file, n in files if SIDES[n["side"]] == SIDES[name["side"]]]
    first = next(file for file, n in of_side if n["images"])
    images = pictures(folder / relative)
    if first != relative:
        if np.array_equal(images, pictures(folder / first)):
            return f"the same pictures as {first}"
        raise FpmlError(f"{folder}: {first} and {relative} have one name and other pictures; keep one, or add each by itself")
    labels = _labels(folder, relative, len(images), [file for file, n in of_side if not n["images"]])
    if labels is None and (lost := [str(file) for file, n in files if not n["images"]]):
        raise FpmlError(f"{folder}: {relative} has no labels, and there are {', '.join(lost)}; name labels like their images")
    fashion = says_fashion(f"{folder.name}/{relative}")
    side = "-".join(filter(None, (name["set"], name["side"])))
    out = []
    for index in range(len(images)):
        row: dict[str, Any] = {"sensor": SIDES[name["side"]], "finger": f"{side}-{index}", "impression": 1, "index": index}
        if labels is not None:
            row["category"] = FASHION[labels[index]] if fashion and 0 <= labels[index] < 10 else str(labels[index])
        out.append(row)
    return out


def says_fashion(name: str) -> bool:
    return "fashion" in name.lower()


def _named(relative: PurePosixPath) -> re.Match[str] | None:
    return NAME.fullmatch(re.sub(r"[._]", "-", relative.name.lower().removesuffix(".gz")))


def _is_idx(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            head = file.read(4)
    except (OSError, EOFError, zlib.error):
        with path.open("rb") as file:
            head = file.read(4)
    return len(head) == 4 and head[:2] == b"\0\0" and 8 <= head[2] <= 14 and 1 <= head[3] <= 3


def _labels(folder: Path, relative: PurePosixPath, count: int, files: list[PurePosixPath]) -> np.ndarray | None:
    """The labels in these files, which must all say the same; None for no files."""
    of_files = [
        read(folder / f, 2)[:, 0] if "idx2" in f.name.lower() else read(folder / f, 1) for f in files
    ]  # the class is first
    for file, labels in zip(files, of_files, strict=True):
        if len(labels) != count:
            raise FpmlError(
                f"{folder / file} has {len(labels)} labels, {relative} {count} images; they belong to different sets"
            )
        if not np.array_equal(labels, of_files[0]):
            raise FpmlError(f"{folder}: {files[0]} and {file} have other labels for the same pictures; keep one")
    return of_files[0] if files else None


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    raise BadPicture(f"name '{relative.name}' is not as in train-images-idx3-ubyte.gz")


def identity(columns: dict[str, object]) -> str:
    return str(columns["finger"])


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    return {"train": DPI, "test": DPI}
