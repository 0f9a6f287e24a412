"""Alterations drawn as SOCOFing's are distributed: kind and level given, all else by chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fpml.alteration.kinds import MOVED, Alteration, Obliteration, Rim, Rotation, Scar, ZCut, axes, point, runs_of, turned
from fpml.alteration.noise import KNOWN, largest

LEVELS = ("Easy", "Medium", "Hard")
DPI = 180.0  # of SOCOFing's prints, whose lengths in pixels are those below


Draw = Callable[[np.ndarray, str, np.random.Generator, float], Alteration]  # of a picture, a level, chance and a scale


@dataclass(frozen=True)
class _Turned:
    radius: tuple[float, float]  # pixels
    degrees: tuple[int, int]


@dataclass(frozen=True)
class _Blotted:
    radius: float  # pixels, the median
    spread: float  # of its logarithm, standard deviation; and of each of its four half axes' besides
    uneven: float
    crossed: bool  # but for its middle a cross through it stays bare, one pixel wide
    wide: float  # of _place


TURNED = {
    "Easy": _Turned((8.5, 12.5), (30, 60)),
    "Medium": _Turned((19, 25.5), (60, 120)),
    "Hard": _Turned((23, 31.5), (80, 180)),
}
CUT = {"Easy": (13.5, 19.0), "Medium": (31.0, 46.0), "Hard": (45.0, 56.0)}  # pixels, |V0 - V1|
SPECKS = {"Easy": (0.4, 1.4), "Medium": (0.5, 2.0), "Hard": (0.5, 2.0)}  # for each pixel of a stroke
SWAY = 1.3  # pixels by which a scar leaves its stroke, at most
BASE = (0.77, 1.0)  # of that, |V2 - V1|; V3 lies as far from V1 as V0 does
BLOTTED = {
    "Easy": _Blotted(21, 0.2, 0.12, True, 1.4), "Medium": _Blotted(28, 0.14, 0.16, False, 1.1),
    "Hard": _Blotted(32, 0.14, 0.16, False, 1.1),
}  # fmt: skip
BARE = (0.18, 0.3)  # of a radius: so near its middle a cross is covered after all
PLAIN = (34.0, 52.0)  # grey, standard deviation in PATCH pixels each way: what varies less is taken for bare, and not covered
PATCH, SMOOTH = 7, 5
LEAST = 90  # square pixels that an obliteration covers
TRIES = 20


def draw(picture: np.ndarray, kind: str, level: str, rng: np.random.Generator, dpi: float = DPI) -> Alteration:
    """An alteration of this kind (CR, Zcut or Obl) and level, placed on the print's ridges. All lengths grow with dpi.

    picture: uint8 (H, W). Raises KeyError for an unknown kind or level."""
    return DRAWN[kind](picture, level, rng, dpi / DPI)


def _place(
    picture: np.ndarray, rng: np.random.Generator, scale: float, reach: float, rise: float = 4, wide: float = 1
) -> tuple[float, float]:
    """Where an alteration has its middle: `rise` pixels above the print's, which is drawn towards the picture's, or `wide`
    times as far round it as most."""
    ink = picture < 128
    place = []
    for side, axis, higher, spread in zip(picture.shape, (1, 0), (rise, 0), (12.5, 10.5), strict=True):
        middle, of_ink = (side - 1) / 2, np.average(np.arange(side), weights=ink.sum(axis) + 1e-6)
        wanted = middle + 0.7 * (of_ink - middle) + scale * (wide * spread * rng.standard_normal() - higher)
        margin = min(reach * 0.9, side / 2 - 1)
        place.append(float(np.clip(wanted, margin, side - 1 - margin)))
    return place[0], place[1]


def _waves(rng: np.random.Generator, *most: float) -> tuple[tuple[float, float], ...]:
    return tuple((float(rng.uniform(0, m)), float(rng.uniform(0, 2 * np.pi))) for m in most)


def _ring(radius: float, dots: tuple[float, float], rng: np.random.Generator, scale: float) -> Rim:
    """Of few dots or many, more on one side than on the other."""
    spread, many = scale * float(rng.uniform(1.3, 3.0)), float(np.exp(rng.uniform(*np.log(dots))))
    waves, white = _waves(rng, 0.7, 0.5, 0.4), float(rng.uniform(240, 255))
    return Rim("ring", scale * radius, spread, many, waves, int(rng.integers(2**31)), white, scale)


def _rotation(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> Rotation:
    of = TURNED[level]
    radius = float(rng.uniform(*of.radius))
    y, x = _place(picture, rng, scale, radius * scale)
    degrees = int(rng.integers(of.degrees[0], of.degrees[1] + 1)) * int(rng.choice([-1, 1]))
    if level == "Easy" and rng.random() < 0.45:
        rim = Rim("cone", scale * float(rng.uniform(19.5, 22)))
    elif level == "Easy":
        rim = _ring(float(rng.uniform(12.5, 16)), (3, 60), rng, scale)
    else:
        rim = _ring(radius + float(rng.normal(0, 0.8)), (0.8, 60), rng, scale)
    down, right = (round(scale * m) for m in rng.choice(list(MOVED), 2, p=list(MOVED.values())))
    place, middle = turned((round(y), round(x)), degrees, (down, right))
    return Rotation(*place, scale * radius, degrees, rim, point(np.subtract(middle, place)))


def _zcut(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> ZCut:
    side = float(rng.uniform(*CUT[level]))
    share = float(rng.uniform(*BASE))
    base = share * side
    across, between = np.deg2rad(rng.uniform(92, 168)), np.arccos(-share / 2) + np.deg2rad(rng.normal(0, 2))
    b, e = (scale * n * np.array([np.sin(a), np.cos(a)]) for n, a in ((base, across), (side, across - between)))
    half = np.abs(np.stack([b + e, b - e])).max(0) / 2
    y, x = _place(picture, rng, scale, 0.0)
    middle = [np.clip(v, min(h, n / 2), max(n - 1 - h, n / 2)) for v, h, n in zip((y, x), half, picture.shape, strict=True)]
    v1 = np.array(middle) - (b + e) / 2
    specks = SPECKS[level]
    scars = [Scar(float(rng.uniform(*specks)), float(rng.uniform(0, SWAY)), int(rng.integers(2**31)), scale) for _ in range(3)]
    return ZCut(point(v1 + e), point(v1), point(v1 + b), tuple(scars))


def _obliteration(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> Obliteration:
    """An egg, of other half axes up, down, left and right, but for what is no ridges; where those are few, elsewhere."""
    of = BLOTTED[level]
    ridged = _ridged(picture, float(rng.uniform(*PLAIN)), scale)
    for _ in range(TRIES):
        radius = scale * of.radius * float(np.exp(rng.normal(0, of.spread)))
        up, down, left, right = radius * np.exp(rng.normal(0, of.uneven, 4))
        y, x = (float(round(v)) for v in _place(picture, rng, scale, 12 * scale, 0, of.wide))
        dy, dx = (v - at for v, at in zip(axes((picture.shape[0], picture.shape[1])), (y, x), strict=True))
        egg = np.hypot(dy / np.where(dy < 0, up, down), dx / np.where(dx < 0, left, right)) < 1
        if of.crossed:
            on_cross = np.minimum(np.abs(dy), np.abs(dx)) < scale / 2
            egg &= ~(on_cross & (np.hypot(dy, dx) > radius * rng.uniform(*BARE)))
        covered = largest(egg & ridged)
        if covered.sum() >= LEAST * scale**2:
            break
    if covered.sum() < LEAST * scale**2:  # a print of hardly any ridges
        covered = egg
    return Obliteration(y, x, runs_of(covered), int(rng.integers(KNOWN)), float(picture.min()), scale)


def _ridged(picture: np.ndarray, least: float, scale: float) -> np.ndarray:
    """Where a picture varies as ridges do; small islands and gaps are taken for what lies round them."""
    from scipy.ndimage import binary_closing, binary_opening, uniform_filter

    grey, patch, smooth = picture.astype(np.float64), round(PATCH * scale), np.ones((round(SMOOTH * scale),) * 2)
    varied = uniform_filter(grey**2, patch) - uniform_filter(grey, patch) ** 2 > least**2
    wide = len(smooth)
    return np.asarray(binary_closing(binary_opening(np.pad(varied, wide, mode="edge"), smooth), smooth)[wide:-wide, wide:-wide])


DRAWN: dict[str, Draw] = {"CR": _rotation, "Obl": _obliteration, "Zcut": _zcut}
