"""What the skin looks like round a minutia, seen from the minutia itself: a patch, of which a network makes a texture, numbers
that are alike wherever the same skin was touched (fpml/models/texture.py)."""

import numpy as np
from scipy import ndimage

SIDE = 48  # pixels of a patch,
STEP = 2.0  # so many pixels of the print apart: 96 pixels at 500 dpi, about ten ridges
BLUR = 0.8  # pixels, standard deviation: what is finer than STEP is taken away first
NUMBERS = 64  # of a texture
UNIT = 127  # of its bytes: a texture has length 1 and is kept in whole numbers


def places(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Where a patch's pixels lie from its minutia, in pixels of the print: along its direction, and to its right, each
    float32 (side, side)."""
    steps = ((np.arange(side) - (side - 1) / 2) * STEP).astype(np.float32)
    along, right = np.meshgrid(steps, steps)
    return along, right


def patches(grey: np.ndarray, x: np.ndarray, y: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """uint8 (N, SIDE, SIDE) of a print (H, W) uint8 at 500 dpi, turned so that each minutia's direction points to the right.

    x, y: (N,) pixels, y down; angle: (N,) radians. What lies outside the picture is its edge drawn out."""
    along, right = places()
    c, s = (f(angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    at = [y[:, None, None] - along * s + right * c, x[:, None, None] + along * c + right * s]
    soft = ndimage.gaussian_filter(grey.astype(np.float32), BLUR)
    found = ndimage.map_coordinates(soft, at, order=1, mode="nearest")
    return np.asarray(np.rint(found).clip(0, 255), np.uint8)


def kept(texture: np.ndarray) -> np.ndarray:
    """int8 (N, NUMBERS), as templates keep textures, of float32 of length 1."""
    return np.asarray(np.rint(texture * UNIT), np.int8)
