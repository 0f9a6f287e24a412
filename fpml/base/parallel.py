"""One function over many items, in local processes or on a Dask cluster."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fpml.base.errors import FpmlError
from fpml.base.progress import progress

T = TypeVar("T")
Workers = int | str  # so many local processes (0: one a core), or the address of a Dask scheduler
CHUNK = 64
AHEAD = 4  # chunks a Dask worker's thread is given before the first comes back: what bounds the memory
DEATHS = 3  # of workers that a chunk survives; one that kills more is at fault itself


def in_parallel(
    function: Callable[[T], Any], items: list[T], workers: Workers, what: str, unit: str, chunk: int = CHUNK
) -> list[Any]:
    """function over items, in order. chunk: how many items a worker is handed at a time; large for quick ones."""
    return list(each_in_parallel(function, items, workers, what, unit, chunk))


def each_in_parallel(
    function: Callable[[T], Any], items: list[T], workers: Workers, what: str, unit: str, chunk: int = CHUNK
) -> Iterator[Any]:
    """The same, one result after the other, so that not all need to be in memory at once."""
    if isinstance(workers, str):
        yield from progress(_on_dask(function, items, workers, chunk), what, len(items), unit)
        return
    workers = min(workers or os.cpu_count() or 1, -(-len(items) // chunk))
    if workers <= 1:
        yield from progress(map(function, items), what, len(items), unit)
        return
    with ProcessPoolExecutor(workers, initializer=_follow_the_parent) as pool:
        try:
            yield from progress(pool.map(function, items, chunksize=chunk), what, len(items), unit)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # what they were at is whole or absent, and will be done again
            raise


def _follow_the_parent() -> None:
    """Interrupts are the parent's to handle; where it is killed (by the system, for memory), its workers go with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which the parent ends them
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _on_dask(function: Callable[[T], Any], items: list[T], address: str, chunk: int) -> Iterator[Any]:
    """Chunk by chunk on the cluster's workers, which must see the project's folder under the same path. A chunk whose worker
    dies is done again by another."""
    where = urlsplit(address)
    if where.scheme != "tls" and where.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise FpmlError(
            f"runtime.scheduler is {address}: Dask sends pickles, which run as code; beyond this machine use tls://… "
            "(distributed.comm.tls in Dask's configuration)"
        )
    try:
        from distributed import Client
    except ImportError:
        raise FpmlError(
            "runtime.engine is dask, which is not installed; run: pip install -e '.[dask]' -c constraints.txt"
        ) from None
    try:
        client = Client(address, timeout="15s", set_as_default=False)
    except OSError as error:
        raise FpmlError(f"no Dask scheduler answers at {address} ({error}); start one: dask scheduler") from None
    with client:
        threads = client.nthreads()
        if not threads:
            raise FpmlError(f"the Dask scheduler at {address} has no workers; start some: dask worker {address}")
        here = str(Path.cwd())
        blind = [worker for worker, sees in client.run(os.path.isdir, here).items() if not sees]
        if blind:
            raise FpmlError(f"Dask worker {blind[0]} does not see {here}; every worker needs the project under this path")
        chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))

        def submit(part: list[T]) -> Any:
            return client.submit(_each, function, part, pure=False, retries=DEATHS)

        under_way = deque(submit(part) for part in islice(chunks, AHEAD * sum(threads.values())))
        while under_way:
            results = under_way.popleft().result()
            if (part := next(chunks, None)) is not None:
                under_way.append(submit(part))
            yield from results


def _each(function: Callable[[T], Any], items: list[T]) -> list[Any]:
    return [function(item) for item in items]
