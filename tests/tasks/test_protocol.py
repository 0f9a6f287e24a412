import numpy as np
import pandas as pd

from fpml.tasks.protocol import of_each, some

# As altered prints lie: three levels, in each three alterations by turns, ten of each.
KINDS = pd.DataFrame({"level": np.arange(90) // 30, "alteration": np.arange(90) % 3}, index=np.arange(90) + 7)


def test_some_are_taken_evenly_of_each_kind() -> None:
    taken = of_each(KINDS, 20)
    assert len(set(taken)) == 20
    assert set(KINDS.iloc[taken].value_counts()) == {2, 3}
    assert KINDS.iloc[some(90, 30)].value_counts().max() == 10  # without regard to kinds whole ones are left out


def test_no_more_are_taken_than_there_are() -> None:
    np.testing.assert_array_equal(of_each(KINDS, 1000), np.arange(90))
