"""Alterations drawn as SOCOFing's are distributed: kind and level given, all else by chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fpml.alteration.kinds import Alteration, Obliteration, Rim, Rotation, Scar, ZCut, point

LEVELS = ("Easy", "Medium", "Hard")
DPI = 180.0  # of SOCOFing's prints, whose lengths in pixels are those below


Draw = Callable[[np.ndarray, str, np.random.Generator, float], Alteration]  # of a picture, a level, chance and a scale


@dataclass(frozen=True)
class _Turned:
    radius: tuple[float, float]  # pixels
    degrees: tuple[int, int]


@dataclass(frozen=True)
class _Cut:
    base: tuple[float, float]  # pixels, |V2 - V1|
    side: tuple[float, float]  # pixels, |V0 - V1|


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
CUT = {"Easy": _Cut((11, 19), (13.5, 19)), "Medium": _Cut((24, 43), (30, 47)), "Hard": _Cut((36, 54), (45, 55))}
BLOTTED = {
    "Easy": _Blotted((14, 27), (0.6, 0.85)), "Medium": _Blotted((19, 32), (0.85, 1)), "Hard": _Blotted((22, 35), (0.85, 1))
}  # fmt: skip


def draw(picture: np.ndarray, kind: str, level: str, rng: np.random.Generator, dpi: float = DPI) -> Alteration:
    """An alteration of this kind (CR, Zcut or Obl) and level, placed on the print's ridges. All lengths grow with dpi.

    picture: uint8 (H, W). Raises KeyError for an unknown kind or level."""
    return DRAWN[kind](picture, level, rng, dpi / DPI)


def _place(picture: np.ndarray, rng: np.random.Generator, scale: float, reach: float) -> tuple[float, float]:
    """Where an alteration has its middle: of three places round the print's, the one with most ink about it."""
    from scipy.ndimage import uniform_filter

    ink = uniform_filter((picture < 128).astype(np.float32), max(3, int(25 * scale)), mode="constant")
    height, width = picture.shape
    rows, columns = (np.average(np.arange(n), weights=ink.sum(axis) + 1e-6) for n, axis in ((height, 1), (width, 0)))
    margin = [min(reach * 0.9, side / 2 - 1) for side in picture.shape]
    found = []
    for _ in range(3):
        y, x = rows + 11 * scale * rng.standard_normal(), columns + 10 * scale * rng.standard_normal()
        y, x = (float(np.clip(v, m, side - 1 - m)) for v, m, side in ((y, margin[0], height), (x, margin[1], width)))
        found.append((float(ink[int(y), int(x)]), y, x))
    return max(found)[1:]


def _waves(rng: np.random.Generator, *most: float) -> tuple[tuple[float, float], ...]:
    return tuple((float(rng.uniform(0, m)), float(rng.uniform(0, 2 * np.pi))) for m in most)


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
        rim = Rim("ring", *ring, _waves(rng, 0.8, 0.5))
    else:
        place = scale * (radius + float(rng.uniform(-1, 1.2)))
        rim = Rim("ring", float(rng.uniform(0.05, 0.85)), place, scale * float(rng.uniform(1, 3)), _waves(rng, 0.6, 0.35))
    moved = scale * rng.uniform(-MOVED, MOVED, 2)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    off = np.linalg.solve([[1 - c, s], [-s, 1 - c]], moved)
    return Rotation(y, x, scale * radius, degrees, rim, point(off))


def _zcut(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> ZCut:
    of = CUT[level]
    base = float(rng.uniform(*of.base))
    side = max(base, float(rng.uniform(*of.side)))
    across, between = np.deg2rad(rng.uniform(92, 168)), np.deg2rad(rng.uniform(104, 125))
    b, e = (scale * n * np.array([np.sin(a), np.cos(a)]) for n, a in ((base, across), (side, across - between)))
    half = np.abs(np.stack([b + e, b - e])).max(0) / 2
    y, x = _place(picture, rng, scale, 0.0)
    middle = [np.clip(v, min(h, n / 2), max(n - 1 - h, n / 2)) for v, h, n in zip((y, x), half, picture.shape, strict=True)]
    v1 = np.array(middle) - (b + e) / 2
    return ZCut(point(v1 + e), point(v1), point(v1 + b), tuple(_scar(rng, scale) for _ in range(3)))


def _scar(rng: np.random.Generator, scale: float) -> Scar:
    amplitude = float(rng.uniform(0.2, 1)) if rng.random() < 0.85 else 0.0
    width, sway = scale * float(rng.uniform(0.5, 2.2)), scale * float(rng.uniform(0, 0.8))
    return Scar(amplitude, width, float(rng.uniform(0, 6)), float(rng.uniform(0, 2 * np.pi)), sway)


def _obliteration(picture: np.ndarray, level: str, rng: np.random.Generator, scale: float) -> Obliteration:
    of = BLOTTED[level]
    radius = scale * float(rng.uniform(*of.radius))
    y, x = _place(picture, rng, scale, 0.5 * radius)
    return Obliteration(
        y, x, radius, _waves(rng, 0.3, 0.15), float(rng.uniform(*of.strength)), float(rng.normal(122, 14)),
        float(rng.uniform(40, 90)), scale * float(np.exp(rng.uniform(np.log(0.65), np.log(2.8)))), int(rng.integers(2**31)),
    )  # fmt: skip


DRAWN: dict[str, Draw] = {"CR": _rotation, "Obl": _obliteration, "Zcut": _zcut}
