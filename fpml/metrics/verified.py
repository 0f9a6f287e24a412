"""The rows of a table that say how well a set of prints is told apart, from how alike each is to each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fpml.data.split import UNSEEN
from fpml.metrics import verification
from fpml.metrics.intervals import bootstrap, wilson
from fpml.metrics.results import Row

FEWEST = 20  # impostor pairs: under that a rate by FVC's pairs is not given
RESAMPLES = 200  # at most, where every pair of prints is taken


@dataclass(frozen=True)
class Verified:
    rows: list[Row]
    curve: tuple[np.ndarray, np.ndarray]  # FMR and FNMR at every threshold, by FVC's pairs
    impostors: pd.DataFrame  # score, and both fingers, of every pair of prints of two fingers


def verified(
    alike: np.ndarray, fingers: np.ndarray, impressions: np.ndarray, part: str, method: str, resamples: int, side: str = UNSEEN
) -> Verified:
    """alike: (n, n) scores of n prints, the higher, the more alike; fingers, impressions: (n,) of each. Both genuine and
    impostor pairs must be among them."""
    pairs, every = verification.fvc_pairs(fingers, impressions), verification.all_pairs(fingers)
    scores, all_scores = alike[pairs.a, pairs.b], alike[every.a, every.b]
    interval = verification.eer_interval(scores, pairs, fingers, resamples)
    of_all = verification.eer_interval(all_scores, every, fingers, min(RESAMPLES, resamples))
    gallery = np.array([np.flatnonzero(fingers == f)[impressions[fingers == f].argmin()] for f in sorted(set(fingers))])
    probes = np.setdiff1d(np.arange(len(fingers)), gallery)
    ranks = verification.rank_of_own(alike[np.ix_(probes, gallery)], fingers[probes], fingers[gallery])
    first = bootstrap((ranks == 1).astype(float), fingers[probes].astype(object), resamples)
    values = {
        "eer": (100 * verification.eer(scores, pairs.genuine), (100 * interval[0], 100 * interval[1])),
        "eer_all": (100 * verification.eer(all_scores, every.genuine), (100 * of_all[0], 100 * of_all[1])),
        "fmr100": (100 * verification.fnmr_at(scores, pairs.genuine, 0.01), (np.nan, np.nan)),
        "fmr1000": (100 * verification.fnmr_at(scores, pairs.genuine, 0.001), (np.nan, np.nan)),
        "zerofmr": (100 * verification.fnmr_at(scores, pairs.genuine, 0.0), (np.nan, np.nan)),
        "d_prime": (verification.d_prime(scores, pairs.genuine), (np.nan, np.nan)),
        "rank1": (float((ranks == 1).mean()), first),
    }
    enough = (~pairs.genuine).sum() >= FEWEST
    rows = [
        Row(
            side=side, part=part, method=method, metric=metric, value=value, low=low, high=high, prints=len(fingers),
            fingers=len(set(fingers)),
        )
        for metric, (value, (low, high)) in values.items()
        if np.isfinite(value) and (enough or metric in ("eer_all", "rank1"))
    ]  # fmt: skip
    _, fmr, fnmr = verification.rates(scores, pairs.genuine)
    other = ~every.genuine
    impostors = pd.DataFrame({"score": all_scores[other], "a": fingers[every.a[other]], "b": fingers[every.b[other]]})
    return Verified(rows, (fmr, fnmr), impostors)


TAIL = (1.0, 2.0, 5.0)  # of each power of ten: the shares at which the impostors' scores are kept


def tail(impostors: np.ndarray) -> list[tuple[float, float]]:
    """Scores of pairs of different fingers, and the share of these that scored at least so high, down to the highest."""
    falling = np.sort(impostors)[::-1]
    count = len(falling)
    wanted = {round(share * count / 10**power) for power in range(1, 13) for share in TAIL}
    return [(float(falling[n - 1]), n / count) for n in sorted(wanted | {1}, reverse=True) if 1 <= n <= count]


def threshold_facts(impostors: pd.DataFrame, fmr: float) -> dict[str, Any]:
    """The threshold that is kept with the model, with the FMR that was counted for it and how high it may really be.

    The 95 % interval takes each pair of fingers for one trial, however many prints were compared: those of one pair are far
    from independent."""
    scores = impostors["score"].to_numpy(float)
    threshold, counted = verification.threshold_for(scores, fmr)
    pairs = len(impostors.drop_duplicates(["a", "b"]))
    return {
        "threshold": threshold, "threshold_fmr": counted, "threshold_fmr_high": wilson(counted * pairs, pairs)[1],
        "threshold_impostors": len(impostors), "threshold_finger_pairs": pairs, "impostor_scores": tail(scores),
    }  # fmt: skip
