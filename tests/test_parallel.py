import pytest

from fpml.errors import FpmlError
from fpml.parallel import in_parallel


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert in_parallel(square, list(range(100)), workers, "x", "y", chunk=7) == [n * n for n in range(100)]


def test_a_scheduler_beyond_this_machine_needs_tls() -> None:
    with pytest.raises(FpmlError, match="pickles, which run as code; beyond this machine use tls"):
        in_parallel(square, [1], "tcp://10.0.0.1:8786", "x", "y")
