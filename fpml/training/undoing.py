"""Batches that the networks of fpml/models/undo.py learn from: numpy alone, so that other processes draw them ahead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fpml.alteration.kinds import Obliteration, Rotation, ZCut, point
from fpml.alteration.noise import KNOWN, cover, unblended, weights
from fpml.alteration.seams import turn_strips
from fpml.alteration.traces import Turn
from fpml.alteration.undo import undo
from fpml.training.altered import Altered, altered, asked
from fpml.training.judged import cut_set, turn_set

MULTIPLE = 16
PAINTED = ("CR", "Zcut", "Obl", "none"), (0.36, 0.32, 0.29, 0.03)  # what polish sees, and how often
UNDONE = 0.78  # share of the prints that polish sees undone, of those that can be
BLOTTED = (0.75, 0.6)  # share of obliterations among what blot sees, and of those beside whose own noise

Drawn = dict[str, tuple[np.ndarray, ...]]  # by the part that learns from them


@dataclass(frozen=True)
class AlteredBatches:
    """Batches numbered through all epochs: each depends on nothing but the seed, its number and the process."""

    pool: Sequence[np.ndarray]  # prints, uint8 (H, W) each
    size: int
    seed: int
    rank: int

    def __getitem__(self, number: int) -> Drawn:
        return drawn(self.pool, self.size, np.random.default_rng([self.seed, number, self.rank]))


def drawn(pool: Sequence[np.ndarray], size: int, rng: np.random.Generator) -> Drawn:
    """`size` prints of the pool for each network, altered anew."""
    few = max(size // 2, 1)  # each of them is searched, which takes longest

    def made(kind: str | None = None, count: int = size) -> list[Altered]:
        return [altered(pool, rng, kind) for _ in range(count)]

    return {
        "find": for_find(made()),
        "rim": for_rim(made("CR"), rng),
        "turn": tuple(np.stack(v).astype(np.float32) for v in zip(*(turn_set(m, rng) for m in made("CR", few)), strict=True)),
        "cut": (np.stack([cut_set(m, rng) for m in made("Zcut", few)]),),
        "blot": for_blot([altered(pool, rng, "Obl" if rng.random() < BLOTTED[0] else None) for _ in range(size)], rng),
        "polish": for_polish([altered(pool, rng, str(rng.choice(PAINTED[0], p=PAINTED[1]))) for _ in range(size)], rng),
    }


def for_find(made: list[Altered]) -> tuple[np.ndarray, ...]:
    """Pictures (B, 1, H, W) uint8; of Asked the labels, votes, cover and kinds."""
    pictures = stacked([m.picture for m in made])
    wanted = [asked(m, *pictures.shape[-2:]) for m in made]
    kinds = np.array([w.kind for w in wanted])
    return pictures, *(np.stack([getattr(w, name) for w in wanted]) for name in ("labels", "votes", "cover")), kinds


def for_rim(made: list[Altered], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Strips (2 B, 2, 14, 120) across two guesses of each disc, a rough one and a fine one; how far each is off (2 B, 3): y, x
    and radius, pixels."""
    strips, gaps = [], []
    for one in made:
        true = one.alteration
        assert isinstance(true, Rotation)
        for spread in (2.0, 0.5):
            gap = rng.normal(0, spread * rng.uniform(0.3, 1.2), 3)
            y, x, radius = np.subtract([*true.middle, true.radius], gap)
            strips.append(turn_strips(one.picture, [Turn(y, x, 0, 0.0, (y, x))], max(radius, 4))[0])
            gaps.append(gap)
    return np.stack(strips), np.stack(gaps).astype(np.float32)


def for_blot(made: list[Altered], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Pictures, noises and the regions that have them (B, 1, H, W) uint8: each print beside its own noise or another, which has
    no part in it."""
    noises, regions = [], []
    for one in made:
        true = one.alteration
        known = isinstance(true, Obliteration) and true.noise < KNOWN
        own = known and rng.random() < BLOTTED[1]
        number = true.noise if own else int(rng.integers(KNOWN))  # type: ignore[union-attr]
        has = known and number == true.noise  # type: ignore[union-attr]
        noises.append(np.rint(cover(number, one.picture.shape, float(one.picture.min()))))
        regions.append(one.damage if has else np.zeros_like(one.damage))
    return stacked([m.picture for m in made]), stacked(noises), stacked(regions)


def for_polish(made: list[Altered], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Altered and undone prints, which pixels were moved, and the real prints, (B, 1, H, W) uint8."""
    backs, moves = [], []
    for one in made:
        undone, moved = one.picture.astype(np.float64), np.zeros(one.picture.shape, bool)
        true = one.alteration
        if isinstance(true, (Rotation, ZCut)) and rng.random() < UNDONE:
            undone, moved = undo(one.picture, nearly(true, rng))
        elif isinstance(true, Obliteration) and true.noise < KNOWN and rng.random() < UNDONE:
            moved = nearly_covered(one.damage, rng)
            noise = cover(true.noise, one.picture.shape, float(one.picture.min()))
            undone = unblended(one.picture, weights(moved), noise)
        backs.append(np.rint(undone))
        moves.append(moved)
    return stacked([m.picture for m in made]), stacked(backs), stacked(moves), stacked([m.real for m in made])


def nearly(true: Rotation | ZCut, rng: np.random.Generator) -> Rotation | ZCut:
    """An alteration nearly where the search places it: mostly within a tenth of a pixel, along a cut's lines within one."""
    off = float(np.exp(rng.normal(np.log(0.06), 0.9)))
    if isinstance(true, Rotation):
        y, x = (float(v + rng.normal(0, off)) for v in (true.y, true.x))
        return replace(true, y=y, x=x, radius=true.radius + float(rng.normal(0, 0.5)))
    base = np.subtract(true.v2, true.v1)
    first, zero = rng.normal(0, 0.7, (2, 1)) * base / np.hypot(*base)
    v0, v1, v2 = (v + s + rng.normal(0, off, 2) for v, s in ((true.v0, zero), (true.v1, first), (true.v2, first)))
    return replace(true, v0=point(v0), v1=point(v1), v2=point(v2))


def nearly_covered(true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A region (H, W) bool as the search finds it: its edge off by a pixel or two here and there."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    off = float(np.exp(rng.normal(0, 0.6)))
    waves = gaussian_filter(rng.standard_normal(true.shape), float(rng.uniform(0.8, 5)))
    inside = distance_transform_edt(true) - distance_transform_edt(~true)
    return np.asarray(inside + off * waves / waves.std() > 0)


def stacked(pictures: list[np.ndarray]) -> np.ndarray:
    """(B, 1, H, W) uint8, padded below and right by their edge to the largest, in multiples of MULTIPLE."""
    height, width = (-(-max(p.shape[axis] for p in pictures) // MULTIPLE) * MULTIPLE for axis in (0, 1))
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1])), mode="edge") for p in pictures]
    return np.stack(padded).astype(np.uint8)[:, None]
