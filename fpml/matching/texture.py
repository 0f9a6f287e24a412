"""What the skin looks like round a minutia, seen from the minutia itself: a patch, of which a network makes a texture, numbers
that are alike wherever the same skin was touched (fpml/models/texture.py); and what all textures of a print say together."""

from functools import cache

import numpy as np
from scipy import ndimage

from fpml.base.errors import FpmlError
from fpml.matching.template import Template

SIDE = 48  # pixels of a patch,
STEP = 2.0  # so many pixels of the print apart: 96 pixels at 500 dpi, about ten ridges
BLUR = 0.8  # pixels, standard deviation: what is finer than STEP is taken away first
NUMBERS = 64  # of a texture
UNIT = 127  # of its bytes: a texture has length 1 and is kept in whole numbers
WHOLE = 2048  # numbers that stand for a whole print: each is about one random direction,
NEAR = 0.3  # the least cosine with it from which on a texture counts


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


@cache
def _directions(numbers: int) -> np.ndarray:
    """Fixed random directions, (numbers, WHOLE), of length 1: the same in every run."""
    drawn = np.random.default_rng(2018).standard_normal((numbers, WHOLE))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0), np.float32)


def whole(template: Template) -> np.ndarray:
    """One vector for a print, float32 (WHOLE,) of length 1; the product of two of them says how alike two prints' skin is,
    wherever on the finger it lies. Only those of one model's textures can be compared.

    Each number counts the textures near a random direction, weighed by how near and how sure they are: so alike textures of
    two prints meet in the same numbers, and others hardly do. The root keeps what is often there from drowning the rest (as
    in Fisher vectors; Perronnin, Sanchez and Mensink 2010). FpmlError for a template without textures."""
    if template.texture is None or not len(template):
        raise FpmlError("a template without textures has no vector: it comes from another program, or shows no minutia")
    texture = template.texture.astype(np.float32)
    texture /= np.maximum(np.linalg.norm(texture, axis=1, keepdims=True), 1e-9)
    near = np.maximum(texture @ _directions(texture.shape[1]) - NEAR, 0)
    counted = template.quality @ near
    more = counted - counted.mean()
    rooted = np.sign(more) * np.sqrt(np.abs(more))
    return np.asarray(rooted / max(float(np.linalg.norm(rooted)), 1e-9), np.float32)
