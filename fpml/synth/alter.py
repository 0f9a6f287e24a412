"""Alterations as SOCOFing has them: central rotation, obliteration and z-cut, at three levels."""

from collections.abc import Callable, Iterator

import numpy as np

from fpml.synth.noise import seed_of

Grid = np.ndarray
Place = tuple[float, float]

LEVELS = {"Easy": 0.15, "Medium": 0.21, "Hard": 0.28}  # the radius of what is altered, of the print's smaller side


def alter(picture: np.ndarray, kind: str, level: str, rng: np.random.Generator) -> np.ndarray:
    """An altered copy of a uint8 print (H, W). Raises KeyError for an unknown kind or level."""
    from scipy import ndimage

    height, width = picture.shape
    radius = LEVELS[level] * min(height, width)
    inside = np.argwhere(ndimage.uniform_filter((picture < 128).astype(np.float32), 9) > 0.3)
    middle = inside.mean(0) if len(inside) else np.array([height / 2, width / 2])
    reach = 1.3 * radius  # all of it lies in the picture
    cy, cx = (middle + rng.uniform(-0.6, 0.6, 2) * radius).clip(reach, np.array(picture.shape) - reach)
    y, x = np.mgrid[:height, :width]
    return ALTERATIONS[kind](picture, y - cy, x - cx, (cy, cx), radius, rng)


def altered_copies(picture: np.ndarray, seed: int, finger: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Level, kind and an altered copy of each, of a uint8 print (H, W).

    A copy is drawn by the names of its level and kind, not by their places: another kind or level changes no other's copies."""
    for level in LEVELS:
        for kind in ALTERATIONS:
            rng = np.random.default_rng(seed_of(seed, finger, *f"{level} {kind}".encode()))
            yield level, kind, alter(picture, kind, level, rng)


def _sample(picture: Grid, y: Grid, x: Grid) -> Grid:
    from scipy import ndimage

    return np.asarray(ndimage.map_coordinates(picture, [y, x], order=1, mode="nearest"))


def _rotate(picture: Grid, dy: Grid, dx: Grid, centre: Place, radius: float, rng: np.random.Generator) -> Grid:
    angle = rng.choice([-1, 1]) * rng.uniform(0.6, 2.2)
    c, s = np.cos(angle), np.sin(angle)
    turned = _sample(picture, centre[0] + c * dy - s * dx, centre[1] + s * dy + c * dx)
    return np.where(dy**2 + dx**2 < radius**2, turned, picture).astype(np.uint8)


def _obliterate(picture: Grid, dy: Grid, dx: Grid, centre: Place, radius: float, rng: np.random.Generator) -> Grid:
    """Scar tissue: the ridges are stirred until nothing is left to follow."""
    from scipy import ndimage

    shape = picture.shape
    stir = [ndimage.gaussian_filter(rng.normal(0, 1, shape), 1.6) * 14 for _ in range(2)]
    stirred = _sample(picture, centre[0] + dy + stir[0], centre[1] + dx + stir[1])
    noise = ndimage.gaussian_filter(rng.normal(0, 1, shape), 0.8) * 90
    edge = radius * (1 + 0.9 * ndimage.gaussian_filter(rng.normal(0, 1, shape), 3))
    scarred = np.clip(0.7 * stirred + 40 + noise, 0, 255)
    return np.where(dy**2 + dx**2 < edge**2, scarred, picture).astype(np.uint8)


def _zcut(picture: Grid, dy: Grid, dx: Grid, centre: Place, radius: float, rng: np.random.Generator) -> Grid:
    """Two triangles of a Z are cut out and sewn in again in each other's place (which turns the square they make
    by half a circle); the cuts scar white."""
    side = 1.25 * radius
    inside = (np.abs(dy) < side) & (np.abs(dx) < side)
    swapped = _sample(picture, centre[0] - dy, centre[1] - dx)
    cut = inside & ((np.abs(np.abs(dy) - side) < 1) | (np.abs(dy + dx) < 1.2))
    out = np.where(inside, swapped, picture)
    return np.where(cut, 235, out).astype(np.uint8)


Change = Callable[[Grid, Grid, Grid, Place, float, np.random.Generator], Grid]
# A kind's name is that in a file's name. Of a print: each pixel's distance (y, x) from the middle of what is altered, that
# middle, and its radius, in pixels.
ALTERATIONS: dict[str, Change] = {"CR": _rotate, "Obl": _obliterate, "Zcut": _zcut}
