import numpy as np
import pytest
import torch
from torch import Tensor

from fpml.synth import minutiae
from fpml.synth.field import HEIGHT, WIDTH, Finger, draw_finger, grid
from fpml.synth.minutiae import Minutiae, find_minutiae

X, Y = grid(HEIGHT, WIDTH, "cpu")
LEVEL = 2 * torch.pi * Y / 9  # level ridges of nine pixels


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> Finger:
    """A finger without singular points, whose ridges run level."""
    monkeypatch.setattr(minutiae, "orientation", lambda fingers, x, y: torch.zeros_like(x + y))
    monkeypatch.setattr(minutiae, "period_map", lambda fingers, x, y: torch.full_like(x + y, 9.0))
    return draw_finger(1, 1, "arch")


def vortex(x: float, y: float, sign: int) -> Tensor:
    return sign * torch.atan2(Y - y, X - x)


def within(found: Minutiae, x: float, y: float, reach: float) -> np.ndarray:
    return np.hypot(found.x - x, found.y - y) < reach


@pytest.mark.parametrize(
    ("sign", "offset", "angle", "ending"),
    [(1, 0.0, 0.0, True), (1, torch.pi, 0.0, False), (-1, 0.0, torch.pi, False), (-1, torch.pi, torch.pi, True)],
)
def test_a_made_minutia_is_found_with_angle_and_type(
    sign: int, offset: float, angle: float, ending: bool, straight: Finger
) -> None:
    """The phase of level ridges plus one turn: right of it there is a ridge (or a valley) more, which ends there."""
    (found,) = find_minutiae(torch.cos(LEVEL + vortex(30, -18, sign) + offset), [straight])
    near = within(found, 30, -18, 2)
    assert near.sum() == 1
    assert abs(np.angle(np.exp(1j * (found.angle[near][0] - angle)))) < 0.3
    assert found.ending[near][0] == ending
    assert found.clarity[near][0] > 0.5
    assert not within(found, 0, 0, 120)[~near].any()


def test_two_flaws_in_one_ridge_are_no_minutiae(straight: Finger) -> None:
    for apart, count in ((5, 0), (10, 0), (40, 2)):
        phase = LEVEL + vortex(0, 0, 1) + vortex(apart, 0, -1)
        (found,) = find_minutiae(torch.cos(phase), [straight])
        assert within(found, 0, 0, 100).sum() == count


def test_density_and_kinds_are_natural(fingers: dict[str, Finger], masters: dict[str, Tensor]) -> None:
    found = find_minutiae(torch.stack(list(masters.values())), list(fingers.values()))
    print_of = [(m.x / 118) ** 2 + (m.y / 170) ** 2 < 1 for m in found]
    counts = [int(inside.sum()) for inside in print_of]
    assert all(15 <= count <= 70 for count in counts)
    assert 20 <= np.mean(counts) <= 60
    assert 0.25 < np.mean(np.concatenate([m.ending[i] for m, i in zip(found, print_of, strict=True)])) < 0.75
    for m, finger in zip(found, fingers.values(), strict=True):
        assert not any(within(m, x, y, 4).any() for x, y in (*finger.loops, *finger.deltas))
    (alone,) = find_minutiae(masters["whorl"][None], [fingers["whorl"]])
    assert np.array_equal(alone.x, found[-1].x)
