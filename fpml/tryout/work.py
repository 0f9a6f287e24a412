"""A queue before what computes: so many at once, so many waiting, and the rest are told to come again."""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import anyio

from fpml.base.errors import FpmlError

AT_ONCE = min(2, os.cpu_count() or 1)
WAITING = 64

P = ParamSpec("P")
T = TypeVar("T")


class Busy(FpmlError):
    """More was asked for than waits in a queue."""


class Queue:
    """Runs functions in threads, in the order in which they were asked for."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self._most = at_once + waiting
        self._inside = 0

    def __len__(self) -> int:
        """How many run or wait."""
        return self._inside

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The function's result. Busy, at once, where too many wait already."""
        if self._inside >= self._most:
            raise Busy(f"{self._inside} computations run or wait already; try again in a moment")
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(lambda: function(*arguments, **named), limiter=self._limiter)
        finally:
            self._inside -= 1
