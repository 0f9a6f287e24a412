"""How well minutiae are found: those that were found against those that are true, one to one.

Minutiae are rows of x, y (pixels at 500 dpi, y down), angle (radians, ISO/IEC 19794-2) and 1 for an ending."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from fpml.metrics.angles import wrapped
from fpml.metrics.metric import Metric


@dataclass(frozen=True)
class Tolerance:
    """How far a minutia may be from the true one."""

    place: float  # pixels at 500 dpi
    angle: float  # degrees

    def __str__(self) -> str:
        return f"{self.place:g} px, {self.angle:g}°"


DEEP = 16.0  # pixels at 500 dpi inside the print's edge from which a minutia is asked for
NARROW, MIDDLE, WIDE = Tolerance(8, 10), Tolerance(12, 22.5), Tolerance(16, 30)

METRICS = (
    Metric("f1_16", 3, max, f"minutiae, F1 within {WIDE}, 0 to 1", "precision and recall in one number, their harmonic mean"),
    Metric(
        "precision_16", 3, max, f"minutiae, precision within {WIDE}, 0 to 1", "the share of the found minutiae that are true"
    ),
    Metric("recall_16", 3, max, f"minutiae, recall within {WIDE}, 0 to 1", "the share of the true minutiae that are found"),
    Metric("f1_12", 3, max, f"minutiae, F1 within {MIDDLE}, 0 to 1", "the same within a narrower tolerance"),
    Metric("f1_8", 3, max, f"minutiae, F1 within {NARROW}, 0 to 1", "the same within the narrowest tolerance"),
    Metric(
        "f1_16_typed",
        3,
        max,
        f"minutiae, F1 within {WIDE}, of the same type, 0 to 1",
        "the same, where an ending must be found as an ending",
    ),
    Metric(
        "place_error",
        2,
        min,
        "minutiae, median error of place, px at 500 dpi",
        "how far a minutia that was found lies from the true one",
    ),
    Metric(
        "angle_error",
        2,
        min,
        "minutiae, median error of direction, degrees",
        "how far its direction is turned from the true one",
    ),
    Metric(
        "kept_precision",
        3,
        max,
        "minutiae, share of the picture's that the true print has, 0 to 1",
        "whether the network invents minutiae",
    ),
    Metric(
        "kept_recall",
        3,
        max,
        "minutiae, share of the true print's that the picture has, 0 to 1",
        "whether the network loses minutiae",
    ),
    Metric(
        "kept_score",
        3,
        max,
        "match score against the true print, 0 to 1",
        "whether a matcher that knows nothing of the network still takes it for the same finger",
    ),
)


def paired(found: np.ndarray, true: np.ndarray, within: Tolerance) -> np.ndarray:
    """One-to-one pairs of minutiae within a tolerance, as many as there can be and of those the nearest: (pairs, 2) int,
    rows of found (n, >=3) and of true (m, >=3)."""
    if not len(found) or not len(true):
        return np.empty((0, 2), int)
    far = np.hypot(found[:, None, 0] - true[:, 0], found[:, None, 1] - true[:, 1])
    apart = np.abs(wrapped(found[:, None, 2] - true[:, 2]))
    allowed = (far <= within.place) & (apart <= np.deg2rad(within.angle))
    rows, columns = linear_sum_assignment(np.where(allowed, far, 1e4))
    kept = allowed[rows, columns]
    return np.stack([rows[kept], columns[kept]], 1)


def depths(table: np.ndarray, mask: np.ndarray, dpi: float = 500) -> np.ndarray:
    """How far inside the print each minutia (n, >=2) lies, in pixels at 500 dpi. mask: (H, W) bool, the print on a picture of
    this dpi, whose edge is an edge of the print too."""
    inner = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] * (500 / dpi)
    x, y = np.rint(table[:, :2] * (dpi / 500)).astype(int).T
    deep: np.ndarray = inner[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)]
    return deep


@dataclass(frozen=True)
class Counts:
    """What of one print was asked for and found."""

    true: int  # minutiae that had to be found
    hit: int  # of these, found
    found: int  # minutiae that were found where it counts
    right: int  # of these, true

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        return self.hit / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else float("nan") if both != both else 0.0


def counted(
    found: np.ndarray, true: np.ndarray, deep_found: np.ndarray, deep_true: np.ndarray, within: Tolerance, typed: bool = False
) -> Counts:
    """Counts of one print. deep_found, deep_true: bool, those that lie so far inside the print that they count; a minutia
    near its edge may be found or not, and a deep one may be paired with one that is not. typed: the type must be the same."""
    pairs = paired(found, true, within)
    if typed:
        pairs = pairs[(found[pairs[:, 0], 3] > 0.5) == (true[pairs[:, 1], 3] > 0.5)]
    return Counts(
        int(deep_true.sum()), int(deep_true[pairs[:, 1]].sum()), int(deep_found.sum()), int(deep_found[pairs[:, 0]].sum())
    )
