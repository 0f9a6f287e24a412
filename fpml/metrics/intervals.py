"""95 % intervals: of rates, and of means over prints whose fingers are drawn again."""

import numpy as np
import pandas as pd


def wilson(right: float, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate, right of so many (Wilson 1927).

    right need not be whole, as where a rate counted over many prints is taken for one over fewer pairs of fingers: SciPy's
    binomtest, which has this interval, takes whole numbers only."""
    z = 1.959964
    rate = right / of
    middle = rate + z * z / (2 * of)
    half = z * ((rate * (1 - rate) + z * z / (4 * of)) / of) ** 0.5
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def bootstrap(values: np.ndarray, fingers: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean, by drawing fingers (not prints) with replacement; nan for one finger."""
    keep = np.isfinite(values)
    codes, names = pd.factorize(fingers[keep])
    if len(names) < 2:
        return float("nan"), float("nan")
    sums, counts = np.bincount(codes, values[keep]), np.bincount(codes)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    low, high = np.percentile(draws @ sums / (draws @ counts), [2.5, 97.5])
    return float(low), float(high)
