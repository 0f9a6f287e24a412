"""One function over many items, in local processes."""

import ctypes
import multiprocessing
import os
import signal
import sys
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
    with ProcessPoolExecutor(workers, initializer=_follow_the_parent) as pool:
        try:
            return list(progress(pool.map(function, items, chunksize=chunk), what, len(items), unit))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # what they were at is whole or absent, and will be done again
            raise


def _follow_the_parent() -> None:
    """Interrupts are the parent's to handle; where it is killed (by the system, for memory), its workers go with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
