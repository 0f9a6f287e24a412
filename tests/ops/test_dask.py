"""The same work on a real Dask cluster of several processes as in local ones."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.base.parallel import each_in_parallel, in_parallel
from fpml.cli import fingers as commands
from tests.conftest import make_print
from tests.tasks.test_recognise import fingers  # noqa: F401


def square(number: int) -> int:
    return number * number


def slow_square(number: int) -> int:
    time.sleep(0.05)
    return number * number


def where(_: int) -> int:
    return os.getpid()


def unlucky(number: int) -> int:
    if number == 7:
        raise FpmlError("7 can't be done")
    return number


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler and two worker processes on loopback, killed in the end."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as found:
        yield found


def test_dask_gives_the_same_from_several_processes(cluster: Any) -> None:
    assert in_parallel(square, list(range(100)), cluster.scheduler_address, "x", "y", chunk=7) == [n * n for n in range(100)]
    assert len(set(in_parallel(where, list(range(64)), cluster.scheduler_address, "x", "y", chunk=1))) == 2


def test_an_error_on_a_worker_is_the_callers(cluster: Any) -> None:
    with pytest.raises(FpmlError, match="7 can't be done"):
        in_parallel(unlucky, list(range(20)), cluster.scheduler_address, "x", "y", chunk=3)


def test_a_killed_worker_costs_nothing(cluster: Any) -> None:
    results = each_in_parallel(slow_square, list(range(120)), cluster.scheduler_address, "x", "y", chunk=4)
    first = [next(results) for _ in range(10)]
    children = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    victims = [p for p in children if "spawn_main" in " ".join(p.cmdline())]
    os.kill(victims[0].pid, signal.SIGKILL)
    assert first + list(results) == [n * n for n in range(120)]


def test_not_all_is_in_flight_at_once(cluster: Any, tmp_path: Path) -> None:
    """What is not asked for is not computed: memory stays bounded however long the list is."""
    results = each_in_parallel(_Touch(tmp_path), list(range(500)), cluster.scheduler_address, "x", "y", chunk=1)
    assert next(results) == 0
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        while any(client.processing().values()):  # until the workers have nothing left to do
            time.sleep(0.05)
    assert 1 <= len(list(tmp_path.iterdir())) <= 20
    assert len(list(results)) == 499


class _Touch:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        (self.folder / str(number)).touch()
        return number


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FpmlError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        in_parallel(square, [1], "tcp://127.0.0.1:9", "x", "y")


def test_stages_on_dask_write_the_same_bytes(
    cluster: Any, project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    made = {}
    for engine, address in (("local", ""), ("dask", cluster.scheduler_address)):
        change_params("runtime.engine", engine)
        change_params("runtime.scheduler", address)
        for dataset in ("prints", "other"):
            fpml("ingest", dataset)
        fpml("prepare", "reconstruct")
        files = [p for p in (project / "data").rglob("*") if p.is_file()]
        made[engine] = {str(p): p.read_bytes() for p in files}
    assert made["local"] == made["dask"]
    change_params("runtime.scheduler", "")
    assert "runtime.scheduler is ''" in fpml("ingest", "prints", code=2).err


def test_a_gallery_on_dask_is_the_same(
    cluster: Any,
    project: Path,
    fingers: Callable[..., Any],  # noqa: F811
    change_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "PART", 3)
    fingers("train", "recognise")
    (project / "mine").mkdir()
    for number in range(10):
        Image.fromarray(make_print(900 + number)).save(project / "mine" / f"person{number}_1.png")
    (project / "mine" / "zero_1.png").write_bytes(b"")
    fingers("enrol", "mine", "--gallery", "local.parquet", "--model", "recognise")
    change_params("runtime.engine", "dask")
    change_params("runtime.scheduler", cluster.scheduler_address)
    fingers("enrol", "mine", "--gallery", "dask.parquet", "--model", "recognise")
    local, dask = (pd.read_parquet(f"{name}.parquet") for name in ("local", "dask"))
    assert local.drop(columns="embedding").equals(dask.drop(columns="embedding"))
    np.testing.assert_allclose(np.stack(local["embedding"]), np.stack(dask["embedding"]), atol=1e-5)
