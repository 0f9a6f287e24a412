"""An alteration laid on a print, generated or real."""

import numpy as np

from fpml.alteration.kinds import Alteration, Grid
from fpml.base.errors import FpmlError


def bilinear(picture: np.ndarray, y: Grid, x: Grid) -> np.ndarray:
    """A picture (H, W) read between its pixels, at places of any shape; beyond its edge, the edge."""
    height, width = picture.shape
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = np.minimum(y.astype(np.intp), height - 2), np.minimum(x.astype(np.intp), width - 2)
    down, right = y - top, x - left
    flat, at = picture.ravel(), top * width + left
    upper = flat[at] * (1 - right) + flat[at + 1] * right
    lower = flat[at + width] * (1 - right) + flat[at + width + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def apply(picture: np.ndarray, alteration: Alteration) -> tuple[np.ndarray, np.ndarray]:
    """The altered print, uint8 (H, W), and its damage: bool (H, W), what was moved or covered.

    picture: uint8 (H, W), at least 2 x 2. FpmlError for another."""
    if picture.ndim != 2 or picture.dtype != np.uint8 or min(picture.shape) < 2:
        raise FpmlError(f"an array of shape {picture.shape} and type {picture.dtype}; an alteration takes (H, W) of uint8")
    made = alteration.map((picture.shape[0], picture.shape[1]))
    out = picture.astype(np.float64)
    out[made.moved] = bilinear(out, made.from_y[made.moved], made.from_x[made.moved])
    covered = made.weight > COVERED
    out[covered] += made.weight[covered] * (made.cover[covered] - out[covered])
    return np.rint(out).astype(np.uint8), made.moved | covered


COVERED = 1 / 64  # a smaller weight leaves a pixel as it was
