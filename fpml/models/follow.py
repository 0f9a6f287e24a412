"""From noise to a picture, along the ways that a flow shows. Without torch: a registered flow is followed by numpy alone."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)  # an array or a tensor


def follow(way: Callable[[T, float], T], start: T, steps: int) -> T:
    """Where noise (B, 1, H, W) comes to at time 1, by Heun's method. way: which way pictures move at a time, 0 to 1."""
    picture, share = start, 1 / steps
    for step in range(steps - 1):
        first = way(picture, step * share)
        second = way(picture + share * first, (step + 1) * share)
        picture = picture + share / 2 * (first + second)
    # The last step is Euler's: at time 1 there is nothing left to be told.
    there: T = picture + share * way(picture, 1 - share)
    return there
