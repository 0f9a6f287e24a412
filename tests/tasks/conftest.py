from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import pytest

from fpml.tasks.protocol import Trained
from tests.tasks.made import evaluated

Made = Callable[[], Trained[Any]]  # a function of tests/tasks/made.py


@pytest.fixture(scope="session")
def table_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], pd.DataFrame]:
    """What evaluate finds of a made run, by metric, method and part; found once, for all tests that ask."""
    return cache(lambda run: evaluated(run(), tmp_path_factory.mktemp("figures")))
