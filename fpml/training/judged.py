"""Candidates for the judges of fpml/models/undo.py to choose from: a true one, first, and wrong ones of the same search.

Most wrong ones leave the same waves as the true one (fpml/alteration/traces.py): nothing but the ridges tells them apart. So
the search itself is asked, from a guess that is off by as much as the other networks' guesses are.
"""

import numpy as np

from fpml.alteration.kinds import Rotation, ZCut, point
from fpml.alteration.seams import FARTHER, cut_strips, turn_strips
from fpml.alteration.traces import Turn, cuts, sharpness, turns
from fpml.training.altered import Altered

CANDIDATES = 24
SEARCHED = 160  # candidates of the search, of which some are taken
BLUR = 0.07  # pixels, standard deviation of what the search finds of cuts
TOLD = 2.0  # pixels; farther off, ridges are in step with others
SLID = 0.5  # share of the cuts whose candidates differ by where their triangles begin
RIGHT, WRONG = 0.25, 0.5  # pixels by which a right candidate is off at most, and a wrong one at least


TurnSet = tuple[np.ndarray, float, np.ndarray]


def turn_set(example: Altered, rng: np.random.Generator) -> TurnSet:
    """Strips (CANDIDATES, 2, 20, 120) of an example's Rotation; by how many pixels their radius is too small; and how many
    pixels farther down and to the right belongs what each candidate shows inside, (CANDIDATES, 2), NaN where that is more than
    TOLD or its angle is wrong."""
    true = example.alteration
    assert isinstance(true, Rotation)
    off = float(np.exp(rng.normal(0, 0.4)))
    y, x, radius = np.add([*true.middle, true.radius], rng.normal(0, [0.28 * off, 0.28 * off, 0.4 * off]))
    found = turns(sharpness(example.picture), y, x, radius, SEARCHED)
    far = np.array([np.hypot(t.y - true.y, t.x - true.x) for t in found])
    apart = np.array([abs((t.degrees - true.degrees + 180) % 360 - 180) for t in found])
    truth = Turn(true.y, true.x, true.degrees, 0.0, true.middle)
    chosen = _chosen(len(found), (apart == 0) & (far < RIGHT), (apart > 0) | (far > WRONG), rng)
    candidates = [truth if k is None else found[k] for k in chosen]
    strips = turn_strips(example.picture, candidates, radius, FARTHER)
    shifts = np.array([shift_of(t, true) for t in candidates])
    shifts[[t.degrees != true.degrees for t in candidates] | (np.hypot(*shifts.T) > TOLD)] = np.nan
    return strips, float(true.radius - radius), shifts


def shift_of(candidate: Turn, true: Rotation) -> np.ndarray:
    """How many pixels farther down and to the right belongs what a candidate of the true angle shows inside, (2,)."""
    angle = np.deg2rad(true.degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((turn - np.eye(2)) @ (candidate.y - true.y, candidate.x - true.x))


def cut_set(example: Altered, rng: np.random.Generator) -> np.ndarray:
    """Strips (CANDIDATES, 2, 14, 240) of an example's ZCut. Along their lines all begin where a guess says, or they differ by
    nothing but that."""
    true = example.alteration
    assert isinstance(true, ZCut)
    base = np.subtract(true.v2, true.v1)
    size = float(np.hypot(*base))
    along = base / size
    normal = np.array([-along[1], along[0]])
    spread = min(1.7, 0.5 + 0.035 * size) * rng.uniform(0.5, 1.3)
    if rng.random() < SLID:
        return cut_strips(example.picture, _slides(true, along, spread, rng))
    slid = rng.normal(0, spread, 2)
    v1, v0 = (np.add(v, along * s) for v, s in zip((true.v1, true.v0), slid, strict=True))
    off = float(np.exp(rng.normal(0, 0.4)))
    turned, stretched = np.deg2rad(rng.normal(0, 3.5 * off)), float(np.exp(rng.normal(0, 0.13 * off)))
    c, s = np.cos(turned), np.sin(turned)
    guessed = stretched * np.array([c * base[0] - s * base[1], s * base[0] + c * base[1]])
    moved = rng.normal(0, 1.1 * off, 2)
    found = [
        f.cut for f in cuts(sharpness(example.picture), _cut(v0 + normal * moved[0], v1 + normal * moved[1], guessed), SEARCHED)
    ]
    gaps = np.array([_off(candidate, true) for candidate in found])
    blur = rng.normal(0, BLUR, 2)
    truth = _cut(v0 + normal * blur[0], v1 + normal * blur[1], base)
    chosen = _chosen(len(found), gaps < RIGHT, gaps > WRONG, rng)
    return cut_strips(example.picture, [truth if k is None else found[k] for k in chosen])


def _slides(true: ZCut, along: np.ndarray, spread: float, rng: np.random.Generator) -> list[ZCut]:
    """The true cut, a little off, and others whose two triangles begin farther on or back along their lines."""
    first = np.clip(rng.normal(0, 0.12, (1, 2)), -RIGHT, RIGHT)
    slid = rng.normal(0, 1.6 * spread, (8 * CANDIDATES, 2))
    slid[: 4 * CANDIDATES, rng.integers(2)] = first[0, 0]  # one of them alone
    slid = rng.permutation(slid[np.abs(slid).max(1) > WRONG])[: CANDIDATES - 1]
    base = np.subtract(true.v2, true.v1)
    return [_cut(true.v0 + along * zero, true.v1 + along * one, base) for one, zero in np.concatenate([first, slid])]


def _chosen(count: int, right: np.ndarray, wrong: np.ndarray, rng: np.random.Generator) -> list[int | None]:
    """Of `count` candidates, best first: a right one (None, the truth itself, if there is none), then wrong ones, half of them
    the best and half any. Where the search gives too few, they are repeated."""
    right, wrong = np.flatnonzero(right), np.flatnonzero(wrong)
    best = wrong[: CANDIDATES // 2]
    others = rng.permutation(wrong[CANDIDATES // 2 :])
    first = int(rng.choice(right)) if len(right) else None
    return [first, *(int(k) for k in np.resize(np.concatenate([best, others]), CANDIDATES - 1))]


def _cut(v0: np.ndarray, v1: np.ndarray, base: np.ndarray) -> ZCut:
    return ZCut(point(v0), point(v1), point(v1 + base))


def _off(one: ZCut, other: ZCut) -> float:
    """Pixels by which two cuts move ridges differently, the mean of some places in the other's triangles."""
    share = np.array([(a, b) for a in (0.15, 0.35, 0.6) for b in (0.1, 0.3, 0.7, 0.9)])
    place = np.array(other.v1) + share[:, :1] * np.subtract(other.v2, other.v1) + share[:, 1:] * np.subtract(other.v0, other.v1)
    second = share[:, 1] > 0.5
    shifts = []
    for cut in (one, other):
        _, beta, _ = cut.within(place[:, 0], place[:, 1])
        shifts.append((beta - second)[:, None] * np.subtract(cut.v2, cut.v1))
    return float(np.hypot(*(shifts[0] - shifts[1]).T).mean())
