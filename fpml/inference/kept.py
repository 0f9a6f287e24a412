"""What a picture has kept of a print's minutiae: whether what looks better is right.

Both are looked at by the minutiae model that comes with fpml; what it finds in the true print counts as true."""

from functools import cache

import numpy as np

from fpml.data.pictures import BadPicture
from fpml.inference.load import load
from fpml.inference.minutiae import Look, look
from fpml.inference.model import Model
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.matching.template import Template, from_table
from fpml.metrics.minutiae import WIDE, Counts, paired

JUDGE = "minutiae-1"
SURE = 0.4  # quality from which a minutia counts where minutiae are counted; the matcher takes less sure ones too


@cache
def judge() -> Model:
    return load(JUDGE)


def look_at(picture: np.ndarray, dpi: float) -> Look | None:
    """What the model sees in a picture (H, W) uint8, minutiae to be counted, not compared; None where it shows nothing."""
    return _look(picture, dpi, described=False)


def _look(picture: np.ndarray, dpi: float, described: bool) -> Look | None:
    try:
        return look(judge(), picture, dpi, described)
    except BadPicture:
        return None


def template(picture: np.ndarray, dpi: float) -> Template:
    """The minutiae of a picture (H, W) uint8, to be compared; none where it shows nothing."""
    seen = _look(picture, dpi, described=True)
    return seen.template if seen else from_table(np.empty((0, 5)), 1, 1)


def kept(picture: Template, true: Template) -> dict[str, float]:
    """The share of the picture's minutiae that the true print has, the share of the true print's that the picture has, and the
    score of the two compared; nan where there is nothing to take a share of."""
    mine, wanted = (t.take(t.quality >= SURE).table() for t in (picture, true))
    hit = len(paired(mine, wanted, WIDE))
    counts = Counts(len(wanted), hit, len(mine), hit)
    score = match(cylinders(picture), cylinders(true)).score
    return {"kept_precision": counts.precision, "kept_recall": counts.recall, "kept_score": score}
