"""Prepared prints on disk: uint8 shards opened as memory maps, a table of their rows, and a digest.

DIR/images-000.npy   (n, height, width) uint8
DIR/masks-000.npy    (n, height, width) uint8, 1 inside the print
DIR/index.parquet    a row per image, in the shards' order: the manifest's columns, the plate's grey, and BOX
DIR/meta.json        height, width, dpi, crop, rows per shard, SHA-256 of every shard
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError

SHARD_BYTES = 256 * 2**20
BOX = ("top", "bottom", "left", "right")  # columns of the index: the part of the canvas that the picture covers


@dataclass(frozen=True)
class Prepared:
    images: list[np.ndarray]  # memory maps, one a shard
    masks: list[np.ndarray]
    index: pd.DataFrame
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.index)

    def bare(self, row: int) -> np.ndarray:
        """A print (H, W) without the canvas round it."""
        index: Any = self.index
        top, bottom, left, right = (int(index[column].iat[row]) for column in BOX)
        canvas: np.ndarray = self.take(np.array([row]))[0]
        return canvas[top:bottom, left:right]

    def take(self, rows: np.ndarray, what: str = "images") -> np.ndarray:
        """Some rows as one uint8 array (n, height, width), in the order asked for."""
        shards = getattr(self, what)
        out = np.empty((len(rows), *shards[0].shape[1:]), np.uint8)
        shard, place = np.divmod(rows, self.meta["rows_per_shard"])
        for number in np.unique(shard):
            here = shard == number
            out[here] = shards[number][place[here]]
        return out


def shard_sizes(rows: int, height: int, width: int) -> tuple[int, list[int]]:
    """Rows per full shard, and the rows of each shard."""
    each = max(1, SHARD_BYTES // (height * width))
    return each, [min(each, rows - start) for start in range(0, rows, each)]


def digest(paths: list[Path]) -> dict[str, str]:
    out = {}
    for path in paths:
        with path.open("rb") as file:
            out[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return out


def open_prepared(folder: Path, verify: bool = False) -> Prepared:
    """Open a prepared folder. FpmlError where it is missing or not whole. verify: read all of it, and compare with its hashes:
    DVC would restore a damaged copy as if it were whole."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        index = pd.read_parquet(folder / "index.parquet")
        count = len([n for n in meta["shards"] if n.startswith("images")])
        images, masks = (
            [np.load(folder / f"{kind}-{n:03d}.npy", mmap_mode="r", allow_pickle=False) for n in range(count)]
            for kind in ("images", "masks")
        )
    except FileNotFoundError as error:
        raise FpmlError(f"{error.filename} is not there; run: fpml prepare {folder.name}") from None
    except (ValueError, KeyError, OSError) as error:
        raise FpmlError(f"{folder} is damaged ({error}); run: fpml prepare {folder.name}") from None
    if sum(len(s) for s in images) != len(index):
        raise FpmlError(f"{folder} is damaged (shards and index differ in length); run: fpml prepare {folder.name}")
    if verify and digest(sorted(folder.glob("*.npy"))) != meta["shards"]:
        raise FpmlError(f"{folder} is not what was written (its SHA-256 differ); run: fpml doctor --cache, then dvc repro")
    return Prepared(images, masks, index, meta)
