from dataclasses import replace

import numpy as np
import pytest

from fpml.base.errors import FpmlError
from fpml.matching.texture import NUMBERS
from fpml.matching.whole import NUMBERS as WHOLE
from fpml.matching.whole import _directions, whole
from tests.matching.conftest import Make, textured


def test_a_whole_print_is_told_by_its_skin_wherever_that_lies(made: Make) -> None:
    """Half of a print's skin in another order, and not quite the same, is more alike than all of another finger's."""
    print_ = textured(made(1), 5)
    assert print_.texture is not None
    half = np.random.default_rng(3).permutation(len(print_))[: len(print_) // 2]
    noise = np.random.default_rng(4).normal(0, 5, (len(half), NUMBERS))
    part = replace(print_.take(half), texture=np.int8(np.rint(print_.texture[half] + noise).clip(-128, 127)))
    own, others = whole(print_) @ whole(part), [whole(print_) @ whole(textured(made(1), seed)) for seed in range(6, 26)]
    assert own > 0.4
    assert max(others) < 0.2
    assert whole(print_).shape == (WHOLE,)
    assert np.linalg.norm(whole(part)) == pytest.approx(1, abs=1e-5)


def test_unsure_minutiae_count_less_in_a_whole_print(made: Make) -> None:
    print_ = textured(made(1), 5)
    sure = print_.take(np.arange(20))
    doubted = replace(print_, quality=np.where(np.arange(len(print_)) < 20, 1.0, 0.1).astype(np.float32))
    assert whole(doubted) @ whole(sure) > whole(print_) @ whole(sure) + 0.05


def test_the_directions_stay_what_they_are() -> None:
    """Vectors that someone keeps must stay comparable; numpy promises the same numbers in its next version to nobody."""
    np.testing.assert_allclose(_directions(NUMBERS)[0, :3], [0.09914, 0.0355, -0.04284], atol=1e-5)


def test_a_template_without_textures_has_no_vector(made: Make) -> None:
    with pytest.raises(FpmlError, match="without textures"):
        whole(made(1))
