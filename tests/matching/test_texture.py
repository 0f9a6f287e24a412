"""Patches lie where their minutiae do, and textures decide between prints whose minutiae can't."""

import numpy as np
import pytest

from fpml.matching import formats
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match, textures_alike
from fpml.matching.texture import SIDE, UNIT, patches
from tests.matching.conftest import Make, textured


@pytest.mark.parametrize("turn", [0.0, 0.7, np.pi / 2, -2.2])
def test_a_patch_shows_what_lies_along_the_direction_and_to_its_right(turn: float) -> None:
    """A dark spot 20 pixels ahead of a minutia and 10 to its right is at the same place of the patch, however it is turned."""
    y, x = np.mgrid[:200, :220]
    spot = np.array([110 + 20 * np.cos(turn) + 10 * np.sin(turn), 90 - 20 * np.sin(turn) + 10 * np.cos(turn)])
    grey = np.uint8(255 - 200 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 18))
    found = patches(grey, np.array([110.0]), np.array([90.0]), np.array([turn]))
    assert found.shape == (1, SIDE, SIDE)
    row, column = np.unravel_index(found[0].argmin(), found[0].shape)
    assert (column, row) == pytest.approx(((SIDE - 1) / 2 + 10, (SIDE - 1) / 2 + 5), abs=0.6)


def test_a_patch_at_the_corner_is_drawn_out() -> None:
    grey = np.full((40, 40), 77, np.uint8)
    assert (patches(grey, np.array([0.0]), np.array([39.0]), np.array([1.0])) == 77).all()


def test_the_same_minutiae_on_other_skin_are_another_finger(made: Make) -> None:
    a, b = made(1), made(1, 0.2, (5, 3), noise=1.0, again=1)
    alone = match(cylinders(a), cylinders(b)).score
    same = match(cylinders(textured(a, 5)), cylinders(textured(b, 5))).score
    other = match(cylinders(textured(a, 5)), cylinders(textured(b, 6))).score
    assert same > 0.8 * alone
    assert other < 0.4 * alone


def test_textures_of_two_models_are_not_compared(made: Make) -> None:
    a, b = textured(made(1), 5, "one"), textured(made(1), 5, "two")
    assert textures_alike(cylinders(a), cylinders(b)) is None
    assert match(cylinders(a), cylinders(b)).score == match(cylinders(made(1)), cylinders(made(1))).score


def test_json_keeps_textures_and_records_of_others_do_not(made: Make) -> None:
    template = textured(made(2), 1)
    again = formats.from_json(formats.to_json(template))
    assert again.texture is not None
    assert template.texture is not None
    assert np.array_equal(again.texture, template.texture)
    assert again.texture_of == "one"
    assert formats.from_iso(formats.to_iso(template)).texture is None
    broken = formats.to_json(template).replace('"texture": "', '"texture": "AAAA')
    with pytest.raises(formats.FpmlError, match="not a template in JSON"):
        formats.from_json(broken)


def test_bytes_are_textures_of_length_one(made: Make) -> None:
    codes = cylinders(textured(made(3), 2))
    assert codes.texture is not None
    assert np.linalg.norm(codes.texture, axis=1) == pytest.approx(1, abs=0.02)
    assert UNIT == 127
