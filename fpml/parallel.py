"""One function over many items, in local processes."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from fpml.progress import progress

T = TypeVar("T")
CHUNK = 64


def in_parallel(
    function: Callable[[T], Any], items: list[T], workers: int, what: str, unit: str, chunk: int = CHUNK
) -> list[Any]:
    """function over items in local processes (0: one a core), in order; in this process where that is as fast.

    chunk: how many items a process is handed at a time; large for quick ones."""
    workers = min(workers or os.cpu_count() or 1, -(-len(items) // chunk))
    if workers <= 1:
        return list(progress(map(function, items), what, len(items), unit))
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            return list(progress(pool.map(function, items, chunksize=chunk), what, len(items), unit))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
