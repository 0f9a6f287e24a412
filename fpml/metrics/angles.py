"""Angles, in radians."""

import numpy as np


def wrapped(angles: np.ndarray) -> np.ndarray:
    """Angles brought into -pi..pi: an array of floats, in their own dtype."""
    return np.asarray(angles - 2 * np.pi * np.round(angles / (2 * np.pi)), angles.dtype)
