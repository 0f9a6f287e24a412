"""Altered prints and their real ones are told apart, and found together."""

import numpy as np
import pandas as pd
import pytest

from fpml.base.errors import FpmlError
from fpml.data.pairs import pairs, unaltered

INDEX = pd.DataFrame(
    {
        "image_id": ["a", "b", "a-cr", "c-cr"],
        "source_id": [None, None, "a", "c"],
        "alteration": [None, None, "CR", "CR"],
        "level": [None, None, "Easy", "Hard"],
    }
)


def test_every_altered_print_is_with_the_real_one_it_was_made_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert pairs(INDEX).to_numpy().tolist() == [[2, 0]]
    assert "1 of 2 altered prints are left out" in capsys.readouterr().err
    with pytest.raises(FpmlError, match="of 1 altered prints 1 have none"):
        pairs(INDEX.iloc[[1, 3]].reset_index(drop=True))


def test_a_real_print_without_altered_copies_is_unaltered_too() -> None:
    np.testing.assert_array_equal(unaltered(INDEX), [True, True, False, False])
