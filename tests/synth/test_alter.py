import numpy as np

from fpml.synth.alter import ALTERATIONS, LEVELS, alter
from fpml.synth.generate import generate


def test_alterations_change_a_part_that_grows_with_the_level() -> None:
    picture = generate(1, 1, "socofing", 3).pictures[0][2:-4, 2:-4]
    for kind in ALTERATIONS:
        shares = [(alter(picture, kind, level, np.random.default_rng(4)) != picture).mean() for level in LEVELS]
        assert 0.01 < shares[0] < shares[1] < shares[2] < 0.6
