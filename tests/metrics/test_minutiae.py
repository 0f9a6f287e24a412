import numpy as np
import pytest

from fpml.metrics.minutiae import NARROW, WIDE, Counts, counted, paired

TRUE = np.array([[10, 10, 0.0, 1], [50, 50, 1.0, 0], [90, 20, 2.0, 1]])


def test_pairs_are_one_to_one_and_the_most_there_can_be() -> None:
    """Two found near one true: one is paired. One found between two true, another near the first alone: both are."""
    assert len(paired(np.array([[11, 10, 0, 1], [9, 10, 0, 1]]), TRUE, WIDE)) == 1
    found = np.array([[18, 10, 0.0, 1], [6, 10, 0.0, 1]])
    true = np.array([[10, 10, 0.0, 1], [26, 10, 0.0, 1]])
    assert sorted(map(tuple, paired(found, true, WIDE))) == [(0, 1), (1, 0)]


def test_tolerances_bound_place_and_direction() -> None:
    near = TRUE + np.array([7, 0, np.deg2rad(9), 0])
    assert len(paired(near, TRUE, NARROW)) == 3
    assert len(paired(near + np.array([2, 0, 0, 0]), TRUE, NARROW)) == 0
    turned = TRUE + np.array([0, 0, np.deg2rad(11), 0])
    assert len(paired(turned, TRUE, NARROW)) == 0
    assert len(paired(turned - np.array([0, 0, 2 * np.pi, 0]), TRUE, WIDE)) == 3  # whole turns don't matter


def test_counts() -> None:
    found = np.array([[10, 12, 0.1, 0], [200, 200, 0, 1], [92, 20, 2.0, 1]])
    every = np.ones(3, bool)
    whole = counted(found, TRUE, every, every, WIDE)
    assert whole == Counts(true=3, hit=2, found=3, right=2)
    assert (whole.precision, whole.recall, whole.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert counted(found, TRUE, every, every, WIDE, typed=True).hit == 1
    deep = np.array([True, False, True])  # the false one lies at the edge, where it does not count
    assert counted(found, TRUE, deep, every, WIDE).precision == 1
    assert counted(found, TRUE, every, np.array([True, True, False]), WIDE) == Counts(true=2, hit=1, found=3, right=2)


def test_prints_without_minutiae() -> None:
    nothing = np.empty((0, 4))
    none = counted(nothing, TRUE, np.empty(0, bool), np.ones(3, bool), WIDE)
    assert none.recall == 0
    assert np.isnan(none.precision)
    assert np.isnan(counted(nothing, nothing, np.empty(0, bool), np.empty(0, bool), WIDE).f1)
