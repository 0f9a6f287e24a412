import numpy as np
import pytest

from fpml.synth.sensors import random_sensor, sensor_named
from fpml.synth.stream import IMPRESSIONS, Example, made_for
from fpml.synth.truth import BLOCK


@pytest.fixture(scope="module")
def made() -> list[Example]:
    return made_for((1, 5))


def test_prints_come_with_their_truth(made: list[Example]) -> None:
    assert len(made) == IMPRESSIONS
    for example in made:
        height, width = example.picture.shape
        assert (height % BLOCK, width % BLOCK) == (0, 0)
        assert example.mask.shape == (height, width)
        assert example.orientation.shape == example.period.shape == (height // BLOCK, width // BLOCK)
        x, y = example.minutiae[:, :2].T
        assert example.mask[np.rint(y).astype(int).clip(0, height - 1), np.rint(x).astype(int).clip(0, width - 1)].mean() > 0.97


def test_ridges_lie_as_the_truth_says(made: list[Example]) -> None:
    """Along the true orientation grey changes little, across it much."""
    for example in made:
        picture = example.picture.astype(float)
        down, right = np.gradient(picture)
        theta = example.orientation.astype(float).repeat(BLOCK, 0).repeat(BLOCK, 1)
        along, across = np.cos(theta) * right - np.sin(theta) * down, np.sin(theta) * right + np.cos(theta) * down
        skin = example.mask
        assert np.abs(across[skin]).mean() > 1.15 * np.abs(along[skin]).mean()


def test_the_same_job_makes_the_same_prints(made: list[Example]) -> None:
    again, other = made_for((1, 5)), made_for((2, 5))
    assert all((a.picture == b.picture).all() and (a.minutiae == b.minutiae).all() for a, b in zip(made, again, strict=True))
    assert not all(
        a.picture.shape == b.picture.shape and (a.picture == b.picture).all() for a, b in zip(made, other, strict=True)
    )


def test_random_sensors_differ_and_stay_what_they_are() -> None:
    sensors = [random_sensor(number) for number in range(60)]
    assert sensors[7] == random_sensor(7) == sensor_named("random-7")
    assert len({s.background for s in sensors}) > 20
    periods = [9 * s.magnification for s in sensors]
    assert 6 < min(periods) < 7.5 < 11 < max(periods) < 14
    assert any(s.background == 255 for s in sensors)
    assert any(s.sweep for s in sensors)
