"""What a metric is. Each is declared once, beside its kin; fpml/metrics/table.py has them all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """How a metric is called and shown, and which of two values is the better one."""

    name: str
    digits: int
    better: Callable[..., Any]  # max or min
    label: str  # with its unit or range
    means: str  # a sentence for somebody who has never met it
    # False: its best value lies between, so that beside another's it says neither better nor worse.
    judged: bool = field(default=True, kw_only=True)

    @property
    def direction(self) -> str:
        return "higher is better" if self.better is max else "lower is better"


@dataclass(frozen=True)
class OfPrints(Metric):
    """A metric that single prints have."""

    measure: Callable[[Any], "Tensor"]  # of what its kin are measured on → (B,)
