from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fpml.base.errors import FpmlError
from fpml.synth.field import CLASS_SHARES, HEIGHT, WIDTH, Finger, draw_finger, grid, orientation, period_map


def whole(finger: Finger) -> np.ndarray:
    return np.asarray(orientation([finger], *grid(HEIGHT, WIDTH, "cpu"))[0])


def winding(finger: Finger, point: tuple[float, float]) -> float:
    """How often the orientation turns, in half circles, on a small circle round a point."""
    angles = np.linspace(0, 2 * np.pi, 200)
    rows = np.round(HEIGHT / 2 - (point[1] + 8 * np.sin(angles))).astype(int)
    columns = np.round(WIDTH / 2 + point[0] + 8 * np.cos(angles)).astype(int)
    steps = np.diff(whole(finger)[rows, columns])
    return float(np.sum((steps + np.pi / 2) % np.pi - np.pi / 2) / np.pi)


@pytest.mark.parametrize("pattern", ["tented-arch", "left-loop", "right-loop", "whorl"])
def test_singularities_have_their_poincare_index(pattern: str, fingers: dict[str, Finger]) -> None:
    for loop in fingers[pattern].loops:
        assert winding(fingers[pattern], loop) == pytest.approx(1, abs=0.1)
    for delta in fingers[pattern].deltas:
        assert winding(fingers[pattern], delta) == pytest.approx(-1, abs=0.1)


def test_left_and_right_loops_open_to_their_side() -> None:
    for pattern, side in (("left-loop", 1), ("right-loop", -1)):
        finger = draw_finger(3, 5, pattern)
        assert np.sign(finger.deltas[0][0] - finger.loops[0][0]) == side
        assert np.sign(np.cos(finger.opens[0])) == -side  # away from its delta
    assert (len(draw_finger(3, 5, "whorl").loops), len(draw_finger(3, 5, "arch").loops)) == (2, 0)


def test_a_round_loop_has_straight_legs_and_a_round_head() -> None:
    plain = replace(draw_finger(3, 5, "left-loop"), knots=((0.0,) * 8,) * 2)
    (x, y), axis = plain.loops[0], plain.opens[0]
    turns = {}
    for roundness in (0.0, 1.0):
        finger = replace(plain, roundness=roundness)
        around = axis + np.linspace(-np.pi / 3, np.pi / 3, 41)  # the side on which the loop opens
        at = torch.tensor(x + 12 * np.cos(around)), torch.tensor(y + 12 * np.sin(around))
        theta = orientation([finger], *(v[None, None].float() for v in at))[0, 0]
        steps = np.diff(theta.numpy())
        turns[roundness] = float(np.abs((steps + np.pi / 2) % np.pi - np.pi / 2).sum())
    assert turns[1.0] < 0.5 * turns[0.0]


def test_classes_have_their_natural_shares() -> None:
    """Within four standard deviations of each share: classes that were swapped would show."""
    count = 12_000
    drawn = pd.Series([draw_finger(5, n).pattern for n in range(count)]).value_counts(normalize=True)
    for pattern, share in CLASS_SHARES.items():
        assert abs(drawn[pattern] - share) < 4 * np.sqrt(share * (1 - share) / count)
    assert CLASS_SHARES["left-loop"] - CLASS_SHARES["right-loop"] > 4 * np.sqrt(0.33 * 0.67 / count) / 2


def test_a_finger_is_its_numbers_alone() -> None:
    assert draw_finger(11, 1) == draw_finger(11, 1)
    assert draw_finger(12, 1) != draw_finger(11, 1) != draw_finger(11, 2)
    together = [draw_finger(11, n) for n in range(4)]
    x, y = grid(70, 52, "cpu")
    for field in (orientation, period_map):
        assert torch.allclose(field(together, x, y)[2], field(together[2:3], x, y)[0], atol=1e-5)


def test_periods_are_those_of_fingers_and_coarser_below_the_deltas(fingers: dict[str, Finger]) -> None:
    periods = period_map(list(fingers.values()), *grid(HEIGHT, WIDTH, "cpu"))
    assert 7.0 <= periods.min() < periods.max() <= 12.5
    for finger, period in zip(fingers.values(), periods, strict=True):
        assert period[-40:].mean() > period[200:300].mean() * 1.05
        assert period.median() == pytest.approx(finger.period, rel=0.12)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(FpmlError, match="unknown pattern class 'spiral'; allowed: arch"):
        draw_finger(1, 1, "spiral")
