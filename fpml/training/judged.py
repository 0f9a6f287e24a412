"""Candidates for the judges of fpml/models/undo.py to choose from: the true one, first, and such as the search gives beside it.

Most wrong ones leave the same waves as the true one (fpml/alteration/traces.py): nothing but the ridges tells them apart.
"""

import numpy as np

from fpml.alteration.kinds import Rotation, ZCut, point
from fpml.alteration.seams import cut_strips, turn_strips
from fpml.alteration.traces import LEAST, Turn
from fpml.training.altered import Altered

CANDIDATES = 12
FARTHEST = 2.4  # pixels from the true centre
BLUR = 0.07  # pixels, standard deviation of what the search finds
GUESSED = 0.8  # pixels, standard deviation of a guessed radius


def turn_set(example: Altered, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Strips (CANDIDATES, 2, 14, 120) of an example's Rotation, and by how many pixels the first one's radius is too small."""
    true = example.alteration
    assert isinstance(true, Rotation)
    found = [(true.y, true.x, true.degrees)]

    def add(place: np.ndarray, degrees: int) -> None:
        degrees = (degrees + 180) % 360 - 180
        far = float(np.hypot(*(place - centre)))
        if abs(degrees) >= LEAST and far < FARTHEST and (far > 0.3 or degrees != true.degrees):
            found.append((float(place[0]), float(place[1]), degrees))

    centre = np.array([true.y, true.x])
    for number in range(40):
        kind = rng.random()
        near = centre + rng.normal(0, 0.8, 2)
        if number < 6 or kind < 0.25:
            add(_in_step(true, true.degrees, centre + rng.normal(0, 1, 2)), true.degrees)
        elif kind < 0.5:
            degrees = true.degrees + int(rng.choice([-90, 90, 180]))
            if abs((degrees + 180) % 360 - 180) >= LEAST:
                add(_in_step(true, degrees, near), degrees)
        elif kind < 0.7:
            add(near, true.degrees + int(rng.choice([-3, -2, -1, 1, 2, 3])))
        else:
            add(near, true.degrees if kind < 0.8 else int(rng.integers(360)))
        if len(found) == CANDIDATES:
            break
    while len(found) < CANDIDATES:
        found.append((true.y + float(rng.normal(0, 0.8)), true.x + float(rng.normal(0, 0.8)), int(rng.integers(LEAST, 180))))
    radius = true.radius + rng.normal(0, GUESSED) + rng.normal(0, 0.25, CANDIDATES)
    turns = [Turn(y + float(rng.normal(0, BLUR)), x + float(rng.normal(0, BLUR)), degrees, 0.0) for y, x, degrees in found]
    return turn_strips(example.picture, turns, radius), float(true.radius - radius[0])


def _in_step(true: Rotation, degrees: int, near: np.ndarray) -> np.ndarray:
    """The centre nearest to a place for which turning by `degrees` leaves waves in step with those of the true turn."""

    def rest(angle: int) -> np.ndarray:
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        return np.array([[1 - c, s], [-s, 1 - c]])

    phase = rest(true.degrees) @ np.array([true.y, true.x])
    whole = np.rint(rest(degrees) @ near - phase)
    return np.asarray(np.linalg.solve(rest(degrees), phase + whole))


def cut_set(example: Altered, rng: np.random.Generator) -> np.ndarray:
    """Strips (CANDIDATES, 2, 14, 120) of an example's ZCut. Along their lines all of them begin where a guess says."""
    true = example.alteration
    assert isinstance(true, ZCut)
    base = np.subtract(true.v2, true.v1)
    size = float(np.hypot(*base))
    along = base / size
    normal = np.array([-along[1], along[0]])
    height = float(normal @ np.subtract(true.v0, true.v1))
    slid = rng.normal(0, min(1.7, 0.5 + 0.035 * size) * rng.uniform(0.5, 1.3), 2)
    v1, v0 = (
        np.add(v, along * s) + normal * b for v, s, b in zip((true.v1, true.v0), slid, rng.normal(0, BLUR, 2), strict=True)
    )
    period = 1 / max(0.35, abs(size / height * along[0]))  # pixels along the normal, from one wave to the next
    found = [_cut(v0, v1, base)]
    while len(found) < CANDIDATES:
        kind = rng.random()
        moved, turned, stretched = np.zeros(2), 0.0, 1.0
        if kind < 0.45:
            moved = period * rng.choice([-2, -1, -1, 0, 1, 1, 2], 2) + rng.normal(0, 0.12, 2)
        elif kind < 0.6:
            moved = rng.normal(0, rng.uniform(0.4, 1.2), 2)
        else:
            turned, stretched = np.deg2rad(rng.normal(0, 3.5)), float(np.exp(rng.normal(0, 0.05)))
            moved = rng.normal(0, 1.0, 2) * (kind > 0.75)
        stretched *= (height + moved[1] - moved[0]) / height
        c, s = np.cos(turned), np.sin(turned)
        other = stretched * np.array([c * base[0] - s * base[1], s * base[0] + c * base[1]])
        candidate = _cut(v0 + normal * moved[1], v1 + normal * moved[0], other)
        if _off(candidate, found[0]) > 0.5:
            found.append(candidate)
    return cut_strips(example.picture, found)


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
