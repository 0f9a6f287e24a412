"""The three alterations of SOCOFing (made by the STRANGE toolbox), each with the numbers that say all of it.

They were measured by registering the 4,054 altered prints of subjects 1 to 50 on their real ones.

Places are (y, x) in pixels from the middle of the
upper left one, y down. A `Map` is what an alteration does to a picture: where each altered pixel was taken from, and how much
of it was blended away.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fpml.alteration.noise import WHITENED, cover, weights
from fpml.base.errors import FpmlError

Grid = np.ndarray  # float64 (H, W)
Point = tuple[float, float]
WHITE = 255.0


@dataclass(frozen=True)
class Map:
    """altered = round((1 - weight) * real(from_y, from_x) + weight * cover), real interpolated bilinearly."""

    moved: np.ndarray  # bool (H, W): taken from elsewhere; from_y and from_x are the pixel's own place where not
    from_y: Grid
    from_x: Grid
    weight: Grid  # 0..1
    cover: Grid  # grey 0..255


def point(place: np.ndarray) -> Point:
    return float(place[0]), float(place[1])


def axes(shape: tuple[int, int]) -> tuple[Grid, Grid]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return y, x


@dataclass(frozen=True)
class Rim:
    """White over a circle's rim: a ring of dots, each a pixel of SOCOFing's, that may lie far apart or grow together; or a cone
    over all of it."""

    shape: str  # ring or cone
    radius: float  # pixels: about which a ring's dots lie; where a cone ends
    spread: float = 0.0  # pixels, standard deviation of a dot's distance from that
    dots: float = 0.0  # for each pixel of the circle
    waves: tuple[tuple[float, float], ...] = ()  # how they crowd: amount and phase of the first, second … harmonic round a ring
    seed: int = 0
    white: float = WHITE  # grey that covers it
    scale: float = 1.0  # pixels for each of SOCOFing's

    def weight(self, y: float, x: float, shape: tuple[int, int]) -> Grid:
        """Of white, in a picture (H, W); y, x: the circle's middle."""
        if self.shape == "cone":
            rows, columns = axes(shape)
            return AT_TIP * np.clip(1 - np.hypot(rows - y, columns - x) / self.radius, 0, None)
        rng = np.random.default_rng(self.seed)
        count = round(2 * np.pi * self.radius / self.scale * self.dots)
        angle, far = rng.uniform(0, 2 * np.pi, count), self.radius + self.spread * rng.standard_normal(count)
        crowded = np.ones(count)
        for harmonic, (amount, phase) in enumerate(self.waves, 1):
            crowded += amount * np.cos(harmonic * angle + phase)
        kept = rng.uniform(0, 1 + sum(amount for amount, _ in self.waves), count) < crowded
        places = np.stack([y + far * np.sin(angle), x + far * np.cos(angle)], 1)[kept]
        return _dotted(places, np.ones(len(places)), shape, self.scale, whole=True)


AT_TIP = 0.85  # of white, a cone's


def _dotted(places: np.ndarray, white: np.ndarray, shape: tuple[int, int], scale: float, whole: bool = False) -> Grid:
    """Dots (N, 2) of so much white each, as a weight (H, W); as a whole they are one region, white by its depth."""
    cells = np.zeros([round(side / scale) + 2 for side in shape])
    rows, columns = (np.rint(v / scale).astype(int) for v in places.T)
    inside = (rows >= 0) & (columns >= 0) & (rows < cells.shape[0]) & (columns < cells.shape[1])
    np.maximum.at(cells, (rows[inside], columns[inside]), white[inside])
    if whole:
        cells = weights(cells > 0, WHITENED)
    y, x = (np.rint(np.arange(side) / scale).astype(int) for side in shape)
    return np.asarray(cells[y[:, None], x])


@dataclass(frozen=True)
class Rotation:
    """CR: a disc turned by whole degrees, bilinear, about a place near its middle: it is moved a little besides (`turned`)."""

    kind: ClassVar[str] = "CR"
    y: float
    x: float
    radius: float  # pixels
    degrees: int  # from where a pixel is taken, in the direction from y to x
    rim: Rim | None
    off: Point = (0.0, 0.0)  # pixels from (y, x), about which it turns, to the disc's middle

    @property
    def middle(self) -> Point:
        return self.y + self.off[0], self.x + self.off[1]

    @property
    def first(self) -> Point:
        """Where the disc's middle was before."""
        c, s = np.cos(np.deg2rad(self.degrees)), np.sin(np.deg2rad(self.degrees))
        return self.y + float(c * self.off[0] - s * self.off[1]), self.x + float(s * self.off[0] + c * self.off[1])

    def map(self, shape: tuple[int, int]) -> Map:
        y, x = axes(shape)
        dy, dx = y - self.y, x - self.x
        distance = np.hypot(dy - self.off[0], dx - self.off[1])
        moved = distance < self.radius
        c, s = np.cos(np.deg2rad(self.degrees)), np.sin(np.deg2rad(self.degrees))
        from_y, from_x = self.y + c * dy - s * dx, self.x + s * dy + c * dx
        weight, white = np.zeros(shape), WHITE
        if self.rim:
            weight, white = self.rim.weight(*self.first, shape), self.rim.white
        return Map(moved, np.where(moved, from_y, y), np.where(moved, from_x, x), weight, np.full(shape, white))

    def back(self, shape: tuple[int, int]) -> tuple[Grid, Grid, np.ndarray]:
        """Where in the altered picture each real pixel lies now (y, x), and which of them were moved."""
        y, x = axes(shape)
        dy, dx = y - self.y, x - self.x
        c, s = np.cos(np.deg2rad(self.degrees)), np.sin(np.deg2rad(self.degrees))
        from_y, from_x = c * dy + s * dx, c * dx - s * dy
        return self.y + from_y, self.x + from_x, np.hypot(from_y - self.off[0], from_x - self.off[1]) < self.radius


# Whole pixels by which a disc is moved, each way, and how often (registered discs of SOCOFing's subjects 1 to 25).
MOVED = {-1: 0.1, 0: 0.5, 1: 0.24, 2: 0.16}


def turned(first: tuple[int, int], degrees: int, moved: tuple[int, int]) -> tuple[Point, Point]:
    """About which place a disc turned, and where its middle is now. As SOCOFing's are: its middle was a pixel, `first`, and a
    pixel p of the altered picture is taken from first + moved + R (p - first)."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    place = np.add(first, np.linalg.solve([[1 - c, s], [-s, 1 - c]], moved))
    return point(place), point(np.subtract(first, np.array([[c, s], [-s, c]]) @ moved))


@dataclass(frozen=True)
class Scar:
    """White specks along a stroke, each a pixel of SOCOFing's."""

    specks: float  # for each pixel of the stroke
    sway: float  # pixels by which it leaves the stroke
    seed: int
    scale: float = 1.0  # pixels for each of SOCOFing's

    def weight(self, start: np.ndarray, end: np.ndarray, shape: tuple[int, int]) -> Grid:
        rng, along = np.random.default_rng(self.seed), end - start
        length = float(np.hypot(*along)) / self.scale
        at = rng.uniform(-0.03, 1.03, round(self.specks * length))
        aside = self.sway * np.sin(2 * np.pi * (rng.uniform(0.3, 1.5) * at + rng.uniform()))
        aside += STRAY * rng.standard_normal(len(at))
        places = start + at[:, None] * along + aside[:, None] * np.array([along[1], -along[0]]) / max(length, 1e-9)
        white = np.where(rng.random(len(at)) < OPAQUE, rng.normal(*DENSE, len(at)), rng.uniform(*THIN, len(at)))
        return _dotted(places, white.clip(0, 0.97), shape, self.scale)


STRAY = 0.75  # pixels, standard deviation
OPAQUE, DENSE = 0.78, (0.87, 0.06)  # share of the specks that are nearly opaque: weight, mean and deviation
THIN = (0.38, 0.6)  # and the others' range
SPECK = 245.0  # grey


@dataclass(frozen=True)
class ZCut:
    """Zcut: a Z-plasty. The strokes V1V0, V0V2, V2V3 of the parallelogram V0 V1 V2 V3 are cut. The triangle (V1, V2, V0) keeps
    its base V1V2, and its apex goes from V3 to V0: a shear along b = V2 - V1. The triangle (V0, V3, V2) keeps V0V3, and its
    apex goes from V1 to V2: the same shear."""

    kind: ClassVar[str] = "Zcut"
    v0: Point
    v1: Point
    v2: Point
    scars: tuple[Scar, ...] = ()  # of the three strokes

    @property
    def v3(self) -> Point:
        return (self.v0[0] + self.v2[0] - self.v1[0], self.v0[1] + self.v2[1] - self.v1[1])

    @cached_property
    def _sides(self) -> tuple[np.ndarray, np.ndarray]:
        return np.subtract(self.v2, self.v1), np.subtract(self.v0, self.v1)

    def within(self, y: Grid, x: Grid) -> tuple[Grid, Grid, np.ndarray]:
        """Each place as V1 + alpha b + beta e, e = V0 - V1; and which lie in the parallelogram."""
        b, e = self._sides
        determinant = b[0] * e[1] - b[1] * e[0]
        qy, qx = y - self.v1[0], x - self.v1[1]
        alpha, beta = (qy * e[1] - qx * e[0]) / determinant, (b[0] * qx - b[1] * qy) / determinant
        return alpha, beta, (alpha >= 0) & (alpha <= 1) & (beta >= 0) & (beta <= 1)

    def map(self, shape: tuple[int, int]) -> Map:
        y, x = axes(shape)
        b, _ = self._sides
        alpha, beta, moved = self.within(y, x)
        shift = np.where(moved, np.where(alpha + beta <= 1, beta, beta - 1), 0)
        weight = np.zeros(shape)
        strokes = ((self.v1, self.v0), (self.v0, self.v2), (self.v2, self.v3))
        for scar, (start, end) in zip(self.scars, strokes, strict=False):
            weight = np.maximum(weight, scar.weight(np.array(start), np.array(end), shape))
        return Map(moved, y + shift * b[0], x + shift * b[1], weight, np.full(shape, SPECK))

    def back(self, shape: tuple[int, int]) -> tuple[Grid, Grid, np.ndarray]:
        """As Rotation.back."""
        y, x = axes(shape)
        b, _ = self._sides
        alpha, beta, moved = self.within(y, x)
        shift = np.where(moved, np.where(alpha >= beta, -beta, 1 - beta), 0)
        return y + shift * b[0], x + shift * b[1], moved


@dataclass(frozen=True)
class Obliteration:
    """Obl: ridges blended away by noise, more the deeper in the covered region; nothing is moved."""

    kind: ClassVar[str] = "Obl"
    y: float  # its middle, though not all round it need be covered
    x: float
    runs: tuple[tuple[int, int, int], ...]  # what is covered: row, first column, the one past the last
    noise: int  # which, as fpml/alteration/noise.py numbers them
    darkest: float  # grey, of the real print
    scale: float = 1.0  # pixels for each of SOCOFing's

    def covered(self, shape: tuple[int, int]) -> np.ndarray:
        out = np.zeros(shape, bool)
        for row, first, end in self.runs:
            if 0 <= row < shape[0]:
                out[row, max(first, 0) : max(end, 0)] = True
        return out

    def map(self, shape: tuple[int, int]) -> Map:
        y, x = axes(shape)
        noise = cover(self.noise, shape, self.darkest, self.scale)
        return Map(np.zeros(shape, bool), y, x, weights(self.covered(shape)), noise)


def runs_of(covered: np.ndarray) -> tuple[tuple[int, int, int], ...]:
    """An Obliteration's runs, of a region (H, W) bool."""
    edges = np.diff(np.pad(covered, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    first, end = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return tuple((int(row), int(a), int(b)) for (row, a), (_, b) in zip(first, end, strict=True))


Alteration = Rotation | ZCut | Obliteration
KINDS: dict[str, type[Rotation] | type[ZCut] | type[Obliteration]] = {k.kind: k for k in (Rotation, ZCut, Obliteration)}
CLASSES = ("none", *KINDS)  # of prints


def as_dict(alteration: Alteration) -> dict[str, Any]:
    """Of plain values, for JSON."""
    return {"kind": alteration.kind, **asdict(alteration)}


def from_dict(values: dict[str, Any]) -> Alteration:
    """What as_dict gave, JSON's lists in place of tuples too. FpmlError for anything else."""
    rest = {k: _tuples(v) for k, v in values.items() if k != "kind"}
    try:
        if values["kind"] == "CR":
            rim = values["rim"] and Rim(**{k: _tuples(v) for k, v in values["rim"].items()})
            return Rotation(**{**rest, "rim": rim})
        if values["kind"] == "Zcut":
            return ZCut(**{**rest, "scars": tuple(Scar(**scar) for scar in values["scars"])})
        found = {"Obl": Obliteration}[values["kind"]](**rest)
        if not all(len(run) == 3 for run in found.runs):
            raise KeyError
        return found
    except (KeyError, TypeError, AttributeError):
        raise FpmlError(
            f"{str(values)[:80]} is no alteration; its kind is one of {', '.join(KINDS)}, with all its numbers"
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
