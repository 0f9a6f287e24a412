"""Alterations drawn as SOCOFing's are distributed: kind and level given, all else by chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fpml.alteration.kinds import Alteration, Obliteration, Rim, Rotation, Scar, ZCut, point, turned_about

LEVELS = ("Easy", "Medium", "Hard")
DPI = 180.0  # of SOCOFing's prints, whose lengths in pixels are those below


Draw = Callable[[np.ndarray, str, np.random.Generator, float], Alteration]  # of a picture, a level, chance and a scale


@dataclass(frozen=True)
class _Turned:
    radius: tuple[float, float]  # pixels
    degrees: tuple[int, int]


@dataclass(frozen=True)
class _Blotted:
    radius: tuple[float, float]  # pixels
    strength: tuple[float, float]


TURNED = {
    "Easy": _Turned((8.5, 12.5), (30, 60)),
    "Medium": _Turned((19, 25.5), (60, 120)),
    "Hard": _Turned((23, 31.5), (80, 180)),
}
MOVED = 1.7  # pixels each way by which a disc is moved besides, at most
CUT = {"Easy": (13.5, 19.0), "Medium": (31.0, 46.0), "Hard": (45.0, 56.0)}  # pixels, |V0 - V1|
BASE = (0.77, 1.0)  # of that, |V2 - V1|; V3 lies as far from V1 as V0 does
BLOTTED = {
    "Easy": _Blotted((12, 28), (0.56, 0.82)), "Medium": _Blotted((18, 37), (0.9, 1)), "Hard": _Blotted((22, 39), (0.9, 1))
}  # fmt: skip


def draw(picture: np.ndarray, kind: str, level: str, rng: np.random.Generator, dpi: float = DPI) -> Alteration:
    """An alteration of this kind (CR, Zcut or Obl) and level, placed on the print's ridges. All lengths grow with dpi.

    picture: uint8 (H, W). Raises KeyError for an unknown kind or level."""
    return DRAWN[kind](picture, level, rng, dpi / DPI)


def _place(picture: np.ndarray, rng: np.random.Generator, scale: float, reach: float) -> tuple[float, float]:
    """Where an alteration has its middle: round the print's, which is drawn towards the picture's."""
    ink = picture < 128
    place = []
    for side, axis, rise, spread in zip(picture.shape, (1, 0), (4, 0), (12.5, 10.5), strict=True):
        middle, of_ink = (side - 1) / 2, np.average(np.arange(side), weights=ink.sum(axis) + 1e-6)
        wanted = middle + 0.7 * (of_ink - middle) + scale * (spread * rng.standard_normal() - rise)
        margin = min(reach * 0.9, side / 2 - 1)
        place.append(float(np.clip(wanted, margin, side - 1 - margin)))
    return place[0], place[1]


def _waves(rng: np.random.Generator, *most: float) -> tuple[tuple[float, float], ...]:
    return tuple((float(rng.uniform(0, m)), float(rng.uniform(0, 2 * np.pi))) for m in most)


def _rough(rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """Of a rim: uneven on one side, and in three of ten jagged all round."""
    return _waves(rng, 0.6, 0.35, *[0.4] * 18) if rng.random() < 0.3 else _waves(rng, 0.6, 0.35)


def _rotation(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> Rotation:
    of = TURNED[level]
    radius = float(rng.uniform(*of.radius))
    y, x = _place(picture, rng, scale, radius * scale)
    on_grid = rng.choice([(True, True), (True, False), (False, True)], p=[0.5, 0.25, 0.25])  # half pixels, in one axis at least
    y, x = (round(2 * v) / 2 if on else v for v, on in zip((y, x), on_grid, strict=True))
    degrees = int(rng.integers(of.degrees[0], of.degrees[1] + 1)) * int(rng.choice([-1, 1]))
    if level == "Easy" and rng.random() < 0.45:
        rim = Rim("cone", float(rng.uniform(0.78, 0.9)), scale * float(rng.uniform(19.5, 22)), scale)
    elif level == "Easy":
        ring = float(rng.uniform(0.2, 0.7)), scale * float(rng.uniform(11, 15)), scale * float(rng.uniform(1.8, 3.2))
        rim = Rim("ring", *ring, _rough(rng))
    else:
        place = scale * (radius + float(rng.normal(0, 0.25)))
        rim = Rim("ring", float(rng.uniform(0.3, 0.85)), place, scale * float(rng.uniform(1, 2.2)), _rough(rng))
    off = turned_about(degrees, point(scale * rng.uniform(-MOVED, MOVED, 2)))
    return Rotation(y, x, scale * radius, degrees, rim, off)


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
    return ZCut(point(v1 + e), point(v1), point(v1 + b), tuple(_scar(rng, scale) for _ in range(3)))


def _scar(rng: np.random.Generator, scale: float) -> Scar:
    amplitude = float(rng.uniform(0.2, 1))
    width, sway = scale * float(rng.uniform(0.3, 0.9)), scale * float(rng.uniform(0, 0.8))
    return Scar(amplitude, width, float(rng.uniform(0, 6)), float(rng.uniform(0, 2 * np.pi)), sway)


def _obliteration(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> Obliteration:
    of = BLOTTED[level]
    radius = scale * float(rng.uniform(*of.radius))
    y, x = _place(picture, rng, scale, 0.5 * radius)
    grain = float(rng.uniform(0.75, 0.95) if rng.random() < 0.35 else np.exp(rng.uniform(np.log(1.2), np.log(3.6))))
    grain *= 0.8 if level == "Easy" else 1
    return Obliteration(
        y, x, radius, _waves(rng, 0.2, 0.12), float(rng.uniform(*of.strength)), float(rng.normal(126, 14)),
        float(rng.uniform(45, 110)), scale * grain, int(rng.integers(2**31)),
    )  # fmt: skip


DRAWN: dict[str, Draw] = {"CR": _rotation, "Obl": _obliteration, "Zcut": _zcut}
