import numpy as np

from fpml.tasks.protocol import drawn, some


def test_what_is_drawn_is_of_every_kind_where_kinds_take_turns() -> None:
    kinds = np.arange(90) // 30 * 3 + np.arange(90) % 3  # as altered prints lie: three levels, in each three kinds by turns
    assert set(kinds[drawn(90, 30)]) == set(range(9))
    assert set(kinds[some(90, 30)]) != set(range(9))  # which is why they are drawn


def test_as_many_as_wanted_are_drawn_each_once_and_always_the_same() -> None:
    assert len(set(drawn(90, 30))) == 30
    np.testing.assert_array_equal(drawn(90, 30), drawn(90, 30))
    np.testing.assert_array_equal(drawn(3, 30), [0, 1, 2])
