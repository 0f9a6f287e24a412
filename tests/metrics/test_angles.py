import numpy as np

from fpml.metrics.angles import wrapped


def test_whole_turns_are_taken_off_and_the_dtype_stays() -> None:
    given = np.array([0.5, 0.5 + 2 * np.pi, 0.5 - 4 * np.pi, 3 * np.pi / 2], np.float32)
    found = wrapped(given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, -np.pi / 2], atol=1e-5)
