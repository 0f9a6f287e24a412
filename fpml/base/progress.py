"""A progress bar on a terminal; a line now and then in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def bar(items: Iterable[Any] | None, what: str, total: int | None, unit: str) -> Any:
    """A tqdm bar that shows the time left: redrawn on a terminal, otherwise a line every ten seconds.

    unit: what is counted, in the plural."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    plain = "{desc}: {n_fmt}/{total_fmt} " + unit + " [{elapsed}, {remaining} left{postfix}]\n"
    return tqdm(
        items, desc=what, total=total, unit=unit, file=sys.stderr, dynamic_ncols=terminal,
        mininterval=0.1 if terminal else 10, maxinterval=10, ascii=not terminal, leave=terminal,
        bar_format=None if terminal else plain, delay=0 if terminal else 5,
    )  # fmt: skip


def progress(items: Iterable[T], what: str, total: int | None = None, unit: str = "items") -> Iterator[T]:
    """Pass items through, showing how many are done and the time left."""
    yield from bar(items, what, total, unit)
