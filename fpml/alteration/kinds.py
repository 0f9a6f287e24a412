"""The three alterations of SOCOFing (made by the STRANGE toolbox), each with the numbers that say all of it.

They were measured by registering 4,054 altered prints on their real ones. Places are (y, x) in pixels from the middle of the
upper left one, y down. A `Map` is what an alteration does to a picture: where each altered pixel was taken from, and how much
of it was blended away.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

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
    """White over a circle's rim: a ring, uneven round it, or a cone over all of it."""

    shape: str  # ring or cone
    amplitude: float  # of white, 0..1
    radius: float  # pixels: where a ring is whitest; where a cone ends
    width: float  # pixels, standard deviation of a ring
    waves: tuple[tuple[float, float], ...] = ()  # amount and phase of the first, second … harmonic round a ring

    def weight(self, distance: Grid, angle: Grid) -> Grid:
        if self.shape == "cone":
            return self.amplitude * np.clip(1 - distance / self.radius, 0, None)
        round_it = np.ones_like(angle)
        for harmonic, (amount, phase) in enumerate(self.waves, 1):
            round_it = round_it + amount * np.cos(harmonic * angle + phase)
        ring = np.exp(-(((distance - self.radius) / self.width) ** 2) / 2)
        return np.clip(self.amplitude * round_it.clip(0) * ring, 0, 0.95)


@dataclass(frozen=True)
class Rotation:
    """CR: a disc turned by whole degrees, bilinear, about a place near its middle: it is moved a little besides."""

    kind: ClassVar[str] = "CR"
    y: float
    x: float
    radius: float  # pixels
    degrees: int  # from where a pixel is taken, in the direction from y to x
    rim: Rim
    off: Point = (0.0, 0.0)  # pixels from (y, x), about which it turns, to the disc's middle

    @property
    def middle(self) -> Point:
        return self.y + self.off[0], self.x + self.off[1]

    def map(self, shape: tuple[int, int]) -> Map:
        y, x = axes(shape)
        dy, dx = y - self.y, x - self.x
        distance = np.hypot(dy - self.off[0], dx - self.off[1])
        moved = distance < self.radius
        c, s = np.cos(np.deg2rad(self.degrees)), np.sin(np.deg2rad(self.degrees))
        from_y, from_x = self.y + c * dy - s * dx, self.x + s * dy + c * dx
        weight = self.rim.weight(distance, np.arctan2(dy - self.off[0], dx - self.off[1]))
        return Map(moved, np.where(moved, from_y, y), np.where(moved, from_x, x), weight, np.full(shape, WHITE))

    def back(self, shape: tuple[int, int]) -> tuple[Grid, Grid, np.ndarray]:
        """Where in the altered picture each real pixel lies now (y, x), and which of them were moved."""
        y, x = axes(shape)
        dy, dx = y - self.y, x - self.x
        c, s = np.cos(np.deg2rad(self.degrees)), np.sin(np.deg2rad(self.degrees))
        from_y, from_x = c * dy + s * dx, c * dx - s * dy
        return self.y + from_y, self.x + from_x, np.hypot(from_y - self.off[0], from_x - self.off[1]) < self.radius


def turned_about(degrees: int, moved: tuple[float, float]) -> Point:
    """How far down and to the right of a disc's middle lies what it has to be turned about, to be moved by so many pixels
    besides."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return point(np.linalg.solve([[1 - c, s], [-s, 1 - c]], moved))


@dataclass(frozen=True)
class Scar:
    """White along a stroke."""

    amplitude: float  # of white, 0..1
    width: float  # pixels, standard deviation across
    waves: float  # radians that its strength turns by from one end to the other
    phase: float
    sway: float  # pixels by which it leaves the stroke


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
            weight = np.maximum(weight, _along(scar, np.array(start), np.array(end), y, x))
        return Map(moved, y + shift * b[0], x + shift * b[1], weight, np.full(shape, WHITE))

    def back(self, shape: tuple[int, int]) -> tuple[Grid, Grid, np.ndarray]:
        """As Rotation.back."""
        y, x = axes(shape)
        b, _ = self._sides
        alpha, beta, moved = self.within(y, x)
        shift = np.where(moved, np.where(alpha >= beta, -beta, 1 - beta), 0)
        return y + shift * b[0], x + shift * b[1], moved


def _along(scar: Scar, start: np.ndarray, end: np.ndarray, y: Grid, x: Grid) -> Grid:
    along = end - start
    length = float(np.hypot(*along))
    at = ((y - start[0]) * along[0] + (x - start[1]) * along[1]) / length**2
    across = ((y - start[0]) * along[1] - (x - start[1]) * along[0]) / length
    across = across - scar.sway * np.sin(2 * np.pi * at + scar.phase)
    beyond = length * np.maximum(0, np.maximum(-at, at - 1))  # pixels past an end
    strength = np.clip(0.5 + 0.5 * np.cos(scar.waves * at + scar.phase), 0, 1)
    return np.asarray(scar.amplitude * np.sqrt(strength) * np.exp(-((across**2 + beyond**2) ** 1.5) / (2 * scar.width**3)))


@dataclass(frozen=True)
class Obliteration:
    """Obl: ridges blended away, by noise of a blob's form; nothing is moved."""

    kind: ClassVar[str] = "Obl"
    y: float
    x: float
    radius: float  # pixels, the mean one of the blob
    lobes: tuple[tuple[float, float], ...]  # amount and phase of the second, third … harmonic of its outline
    strength: float  # of the noise in the middle: 1 - the ridges' gain there
    mean: float  # grey of the noise
    spread: float  # grey, its standard deviation
    grain: float  # pixels, the standard deviation of the Gaussian that its bumps come from
    seed: int  # of the noise

    def map(self, shape: tuple[int, int]) -> Map:
        from scipy.ndimage import gaussian_filter

        y, x = axes(shape)
        dy, dx = y - self.y, x - self.x
        angle = np.arctan2(dy, dx)
        outline = np.ones(shape)
        for harmonic, (amount, phase) in enumerate(self.lobes, 2):
            outline = outline + amount * np.cos(harmonic * angle + phase)
        r = np.hypot(dy, dx) / (self.radius * outline)
        weight = np.where(r < 1, np.minimum(AT_EDGE + RISE * (1 - r), self.strength), 0)
        noise = gaussian_filter(np.random.default_rng(self.seed).standard_normal(shape), self.grain)
        cover = np.clip(self.mean + self.spread * noise * 2 * np.pi**0.5 * self.grain, 0, 255)
        return Map(np.zeros(shape, bool), y, x, weight, cover)


AT_EDGE, RISE = 0.15, 1.28  # an obliteration's weight at its blob's edge, and by how much more it is a radius farther inside
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
            return Rotation(**{**rest, "rim": Rim(**{k: _tuples(v) for k, v in values["rim"].items()})})
        if values["kind"] == "Zcut":
            return ZCut(**{**rest, "scars": tuple(Scar(**scar) for scar in values["scars"])})
        return {"Obl": Obliteration}[values["kind"]](**rest)
    except (KeyError, TypeError, AttributeError):
        raise FpmlError(
            f"{str(values)[:80]} is no alteration; its kind is one of {', '.join(KINDS)}, with all its numbers"
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
