"""Prepared prints with the ground truth that lies beside generated ones, brought to their canvas."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.data.store import Prepared
from fpml.synth.stream import Example
from fpml.synth.truth import BLOCK, Truth


def prepared(prints: Prepared, row: int) -> Example:
    """A prepared print with its truth, brought to its canvas. FpmlError where it has none."""
    index: Any = prints.index
    where = index["truth"].iat[row]
    if not isinstance(where, str):
        raise FpmlError(
            f"{index['image_id'].iat[row]} has no ground truth, which minutiae are trained and measured with; name datasets "
            "that fpml synth made, read by the reader synth"
        )
    if prints.meta["crop"] != "none":
        raise FpmlError(f"data.crop is {prints.meta['crop']}; minutiae are looked for in whole pictures: none")
    truth = _truth(root() / Path(where).parent)
    file = Path(index["file"].iat[row]).relative_to(Path(where).parent).as_posix()
    top, bottom, left, right = (int(index[c].iat[row]) for c in ("top", "bottom", "left", "right"))
    picture = prints.take(np.array([row]))[0]
    height, width = picture.shape
    scale = prints.meta["dpi"] / float(index["dpi"].iat[row])
    size = round(float(index["height"].iat[row]) * scale), round(float(index["width"].iat[row]) * scale)
    if size[0] > height or size[1] > width:
        raise FpmlError(
            f"{index['image_id'].iat[row]} is {size[0]} x {size[1]} pixels at {prints.meta['dpi']:g} dpi, more than the "
            f"canvas of {height} x {width}; raise data.height and data.width"
        )
    table = truth.minutiae(file)
    x, y = ((table[c].to_numpy(np.float32) + 0.5) * scale - 0.5 for c in ("x", "y"))
    depth = table["depth"] * scale
    columns = [x + left, y + top, table["angle"], table["type"] == "ending", table["clarity"], depth, table["number"]]
    mask = np.zeros((height, width), bool)
    touched = truth.mask(file)
    mask[top:bottom, left:right] = _near(touched, *((np.arange(side) + 0.5) / scale - 0.5 for side in size))
    blocks = [(np.arange(BLOCK / 2, side, BLOCK) - first) / scale for side, first in ((height, top), (width, left))]
    theta, period = (_near(v, *(b / BLOCK - 0.5 for b in blocks)) for v in (truth.orientation(file), truth.period(file)))
    return Example(
        picture, mask, theta.astype(np.float16), (period * scale).astype(np.float16),
        np.stack([np.asarray(c, np.float32) for c in columns], 1),
    )  # fmt: skip


def _near(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The values nearest to some places, of an even grid: (len(rows), len(columns))."""
    i, j = (np.clip(np.rint(v).astype(int), 0, side - 1) for v, side in zip((rows, columns), values.shape, strict=True))
    return np.asarray(values[i][:, j])


@cache
def _truth(folder: Path) -> Truth:
    return Truth(folder)
