"""Two prints compared: which minutiae belong together, and how sure it is that one finger made both.

Local similarity of cylinders, weighed by that of the skin round the two minutiae; an assignment; and a relaxation in which
pairs that fit each other's places and directions support each other (LSA-R of Cappelli, Ferrara and Maltoni 2010).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from fpml.matching.cylinders import Cylinders, Geometry
from fpml.metrics.angles import wrapped


@dataclass(frozen=True)
class Rule:
    """The parameters of a comparison; lengths in pixels at 500 dpi, angles in radians."""

    common: float = 0.6  # share of a cylinder's cells that must count in both
    turned: float = np.pi / 2  # the largest difference of two minutiae's directions
    fewest: int = 4  # pairs that a score is the mean of,
    most: int = 12
    growth: float = 0.4  # and how their number grows
    from_: float = 20.0  # with the smaller print's cylinders
    keeps: float = 0.5  # weight of a pair's own similarity in each round
    rounds: int = 5
    apart: float = 5.0  # distances that differ by so much are as likely right as wrong
    apart_steep: float = 1.6
    angle: float = np.pi / 12
    angle_steep: float = 30.0
    texture: float = 0.45  # likeness of two textures that is as likely one place's as another's
    texture_steep: float = 8.0
    untold: float = 0.2  # what is left of a pair's likeness whose textures have nothing in common


RULE = Rule()


@dataclass(frozen=True)
class Match:
    score: float  # 0..1, the higher, the more alike
    pairs: np.ndarray  # int (p, 2): minutiae of the first template and of the second that support each other, best first
    support: np.ndarray  # float (p,): of each pair


NOTHING = Match(0.0, np.empty((0, 2), int), np.empty(0))


def similarities(a: Cylinders, b: Cylinders, rule: Rule = RULE) -> np.ndarray:
    """How alike each cylinder of one is to each of the other: float32 (n, m), 0..1; 0 where too few cells count in both, or
    the minutiae point in other directions."""
    product = a.values @ b.values.T
    own, other = a.squares @ b.counts.T, a.counts @ b.squares.T
    apart = np.sqrt(np.maximum(own + other - 2 * product, 0))
    size = np.sqrt(own) + np.sqrt(other)
    enough = (a.counts @ b.counts.T >= rule.common * a.counts.shape[1]) & (size > 1e-6)
    enough &= np.abs(wrapped(a.lie.angle[:, None] - b.lie.angle)) <= rule.turned
    return np.where(enough, 1 - apart / np.maximum(size, 1e-6), 0)


def textures_alike(a: Cylinders, b: Cylinders) -> np.ndarray | None:
    """How alike the skin round each minutia of one is to that round each of the other, -1..1, float32 (n, m); None where one of
    the two prints has no textures, or they were made by different models."""
    if a.texture is None or b.texture is None or a.texture_of != b.texture_of:
        return None
    return np.asarray(a.texture @ b.texture.T)


def match(a: Cylinders, b: Cylinders, rule: Rule = RULE) -> Match:
    """Compare two prints by their cylinders, and by the skin round their minutiae where that is known of both."""
    if min(len(a), len(b)) < 2:
        return NOTHING
    alike = similarities(a, b, rule)
    if (likeness := textures_alike(a, b)) is not None:
        told = expit(np.float32(rule.texture_steep) * (likeness - np.float32(rule.texture)))
        alike = alike * (rule.untold + (1 - rule.untold) * told)
    found = relaxed(alike, a.lie, b.lie, rule)
    return Match(found.score, np.stack([a.minutiae[found.pairs[:, 0]], b.minutiae[found.pairs[:, 1]]], 1), found.support)


def relaxed(alike: np.ndarray, a: Geometry, b: Geometry, rule: Rule = RULE) -> Match:
    """Assign the minutiae of two prints (two or more each) to each other by how alike they are (n, m), and let pairs that fit
    each other support each other. Its pairs are rows and columns of `alike`."""
    smaller = min(alike.shape)
    rows, columns = linear_sum_assignment(-alike)
    first = alike[rows, columns]
    wanted = rule.fewest + round(float(expit(rule.growth * (smaller - rule.from_))) * (rule.most - rule.fewest))
    wanted = min(wanted, smaller)
    in_a, in_b = np.ix_(rows, rows), np.ix_(columns, columns)
    fits = _fit(np.abs(a.distance[in_a] - b.distance[in_b]), rule.apart, rule.apart_steep)
    for turn, other in ((a.turn, b.turn), (a.bearing, b.bearing)):
        fits = fits * _fit(np.abs(wrapped(turn[in_a] - other[in_b])), rule.angle, rule.angle_steep)
    np.fill_diagonal(fits, 0)
    fits *= np.float32((1 - rule.keeps) / (smaller - 1))
    support = first
    for _ in range(rule.rounds):
        support = rule.keeps * support + fits @ support
    best = np.argsort(-support / np.maximum(first, 1e-9))[:wanted]
    kept = best[np.argsort(-support[best])]
    return Match(float(support[best].mean()), np.stack([rows[kept], columns[kept]], 1), support[kept])


def _fit(gap: np.ndarray, middle: float, steep: float) -> np.ndarray:
    """1 where two values agree, falling to 0 where they differ by more than `middle`."""
    return np.asarray(expit(np.float32(steep) * (np.float32(middle) - gap)))
