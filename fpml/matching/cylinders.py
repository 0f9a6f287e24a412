"""Minutia Cylinder-Code: what lies round each minutia, as numbers that don't change when the print is turned or moved.

R. Cappelli, M. Ferrara, D. Maltoni, "Minutia Cylinder-Code: A New Representation and Matching Technique for Fingerprint
Recognition", IEEE TPAMI 32 (2010). A cylinder stands on each minutia: a disc of cells round it, in layers of directions. A cell
says how much another minutia lies near its place whose direction differs by its layer's.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.special import expit, ndtr

from fpml.matching.template import Template
from fpml.matching.texture import UNIT
from fpml.metrics.angles import wrapped


@dataclass(frozen=True)
class Code:
    """The parameters of cylinders, in pixels at 500 dpi and radians. The defaults are the published ones but for the two widths
    (28/3 and 2π/9 there) and the number of layers; docs/matching.md has what was measured."""

    radius: float = 70.0
    across: int = 16  # cells along the disc's diameter
    layers: int = 6
    width: float = 6.0  # of the Gaussian of places
    angle_width: float = 0.436  # of the Gaussian of directions
    middle: float = 0.01  # of the sigmoid that limits a cell's value
    steepness: float = 400.0
    hull: float = 50.0  # how far outside the minutiae's convex hull a cell still counts
    cells: float = 0.75  # share of a cylinder's cells that must count
    neighbours: int = 2  # minutiae that must lie near


PUBLISHED = Code(width=28 / 3, angle_width=2 * np.pi / 9)
CODE = Code()


@dataclass(frozen=True)
class Geometry:
    """How n minutiae of one print lie to each other."""

    angle: np.ndarray  # float32 (n,)
    distance: np.ndarray  # float32 (n, n) between two of them
    turn: np.ndarray  # float32 (n, n): the first's angle less the second's
    bearing: np.ndarray  # float32 (n, n): the first's angle less the direction in which the second is seen

    def __len__(self) -> int:
        return len(self.angle)


def geometry(x: np.ndarray, y: np.ndarray, angle: np.ndarray) -> Geometry:
    """Of n minutiae; y down, as in templates."""
    dx, dy = x - x[:, None], y[:, None] - y
    return Geometry(angle, np.hypot(dx, dy), wrapped(angle[:, None] - angle), wrapped(angle[:, None] - np.arctan2(dy, dx)))


@dataclass(frozen=True)
class Cylinders:
    """The cylinders of a print: n of its N minutiae have one."""

    minutiae: np.ndarray  # int (n,): which of the template's
    values: np.ndarray  # float32 (n, cells x layers), 0..1; 0 where a cell does not count
    squares: np.ndarray  # float32 (n, cells): sum of the squared values over a cell's layers
    counts: np.ndarray  # float32 (n, cells): 1 where the cell counts
    lie: Geometry
    texture: np.ndarray | None  # float32 (n, numbers), of length 1: the skin round each minutia; None: not known
    texture_of: str

    def __len__(self) -> int:
        return len(self.minutiae)


@cache
def _disc(code: Code) -> tuple[np.ndarray, np.ndarray]:
    """Places of the cells, (2, cells), the minutia in the middle and its direction along the first axis; the layers' angles."""
    step = 2 * code.radius / code.across
    places = (np.arange(code.across) - (code.across - 1) / 2) * step
    along, aside = np.meshgrid(places, places, indexing="ij")
    inside = along**2 + aside**2 <= code.radius**2
    layers = (np.arange(code.layers) + 0.5) * 2 * np.pi / code.layers - np.pi
    return np.stack([along[inside], aside[inside]]).astype(np.float32), layers.astype(np.float32)


def cylinders(template: Template, code: Code = CODE) -> Cylinders:
    """The cylinders of a template's minutiae; none where it has too few."""
    x, y, angle = template.x, -template.y, template.angle
    (along, aside), layers = _disc(code)
    cells = len(along)
    hull = _hull(x, y)
    if hull is None:
        return _assembled(template, np.empty(0, int), np.empty((0, cells * code.layers)), np.empty((0, cells)), code)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    cell_x, cell_y = x[:, None] + c * along - s * aside, y[:, None] + s * along + c * aside  # (N, cells)
    valid = _near(cell_x, cell_y, hull, code.hull)
    near = (np.hypot(x[:, None] - x, y[:, None] - y) <= code.radius + 3 * code.width).sum(1) - 1
    kept = np.flatnonzero((valid.mean(1) >= code.cells) & (near >= code.neighbours))
    far = (cell_x[kept, :, None] - x) ** 2 + (cell_y[kept, :, None] - y) ** 2  # (n, cells, N)
    place = np.exp(far * np.float32(-0.5 / code.width**2)) * np.float32(1 / (code.width * np.sqrt(2 * np.pi)))
    place[far > (3 * code.width) ** 2] = 0
    place[np.arange(len(kept)), :, kept] = 0
    half = np.pi / code.layers
    apart = wrapped(layers - wrapped(angle[kept, None] - angle)[..., None])  # (n, N, layers)
    direction = (ndtr((apart + half) / code.angle_width) - ndtr((apart - half) / code.angle_width)).astype(np.float32)
    sums = place @ direction  # (n, cells, layers)
    values = expit(np.float32(code.steepness) * (sums - np.float32(code.middle)))
    values *= valid[kept, :, None]
    return _assembled(template, kept, values.reshape(len(kept), cells * code.layers), valid[kept], code)


def _assembled(template: Template, kept: np.ndarray, values: np.ndarray, valid: np.ndarray, code: Code) -> Cylinders:
    values = np.ascontiguousarray(values, np.float32)
    squares = (values**2).reshape(len(kept), valid.shape[1], code.layers).sum(2)
    lie = geometry(template.x[kept], template.y[kept], template.angle[kept])
    texture = None if template.texture is None else template.texture[kept] / np.float32(UNIT)
    return Cylinders(kept, values, squares, valid.astype(np.float32), lie, texture, template.texture_of)


def _hull(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Corners (k, 2) of the convex hull, counter-clockwise; None where the minutiae span no area."""
    points = np.stack([x, y], 1).astype(float)
    if len(points) < 3:
        return None
    try:
        corners: np.ndarray = points[ConvexHull(points).vertices]
        return corners
    except QhullError:
        return None


def _near(x: np.ndarray, y: np.ndarray, hull: np.ndarray, reach: float) -> np.ndarray:
    """Which places lie in a convex hull or at most `reach` outside it."""
    corner = hull.astype(np.float32)
    side = np.roll(corner, -1, 0) - corner
    length = np.hypot(*side.T)
    out = np.zeros(x.shape, bool)
    inside = np.ones(x.shape, bool)
    for (ax, ay), (sx, sy), long in zip(corner, side, length, strict=True):
        rx, ry = x - ax, y - ay
        across = (sx * ry - sy * rx) / max(long, 1e-6)  # positive inside
        along = np.clip((sx * rx + sy * ry) / max(long, 1e-6), 0, long)
        inside &= across >= 0
        out |= (rx - along * sx / max(long, 1e-6)) ** 2 + (ry - along * sy / max(long, 1e-6)) ** 2 <= reach**2
    return inside | out
