"""How well fingers are told apart: verification by FVC's protocol, and identification.

Scores are similarities: the higher, the more alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fpml.metrics.metric import Metric

METRICS = (
    Metric("accuracy", 3, max, "closed-set accuracy, 0 to 1", "how often a print of a known finger is given the right finger"),
    Metric(
        "top5",
        3,
        max,
        "closed-set accuracy among the first five, 0 to 1",
        "how often the right finger is among the five likeliest",
    ),
    Metric(
        "eer",
        2,
        min,
        "EER by FVC's protocol, %",
        "the error rate at the threshold where false matches are as frequent as false non-matches",
    ),
    Metric("eer_all", 2, min, "EER over all pairs of prints, %", "the same, with every two prints of two fingers compared"),
    Metric(
        "fmr100",
        2,
        min,
        "FNMR at an FMR of 1 %, %",
        "how often two prints of one finger are not matched, where 1 in 100 strangers is",
    ),
    Metric(
        "fmr1000",
        2,
        min,
        "FNMR at an FMR of 0.1 %, %",
        "how often two prints of one finger are not matched, where 1 in 1,000 strangers is",
    ),
    Metric(
        "zerofmr",
        2,
        min,
        "FNMR without a false match, %",
        "how often two prints of one finger are not matched, where no stranger is",
    ),
    Metric(
        "d_prime", 2, max, "d′, standard deviations", "how far the scores of one finger's pairs lie from those of strangers'"
    ),
    Metric(
        "rank1",
        3,
        max,
        "rank-1 identification, 0 to 1",
        "how often the first of a gallery with one print a finger is the right finger",
    ),
)


@dataclass(frozen=True)
class Comparisons:
    """The pairs of one set of prints: rows a and b of it, and whether both are of one finger."""

    a: np.ndarray  # (pairs,) int
    b: np.ndarray
    genuine: np.ndarray  # (pairs,) bool


def fvc_pairs(fingers: np.ndarray, impressions: np.ndarray) -> Comparisons:
    """FVC's protocol (Maio et al. 2002): genuine, all pairs of a finger's impressions; impostor, the first impressions of
    all pairs of fingers. 100 fingers x 8 give 2,800 and 4,950, 10 x 8 give 280 and 45."""
    order = np.lexsort((impressions, fingers))
    codes = pd.factorize(fingers[order])[0]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    a, b = [], []
    for members in np.split(order, starts[1:]):
        i, j = np.triu_indices(len(members), 1)
        a.append(members[i])
        b.append(members[j])
    genuine = sum(len(part) for part in a)
    i, j = np.triu_indices(len(starts), 1)
    a.append(order[starts][i])
    b.append(order[starts][j])
    return Comparisons(np.concatenate(a), np.concatenate(b), np.arange(genuine + len(i)) < genuine)


def all_pairs(fingers: np.ndarray) -> Comparisons:
    """Every pair of prints: impostors of all impressions, which says more where fingers are few."""
    i, j = np.triu_indices(len(fingers), 1)
    return Comparisons(i, j, fingers[i] == fingers[j])


def rates(scores: np.ndarray, genuine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """thresholds (rising, one for each score and one above all), FMR and FNMR at each: a pair matches from it on.

    scikit-learn's det_curve leaves out the ends, where one of the rates stays 0."""
    thresholds = np.append(np.unique(scores), np.inf)
    own, other = np.sort(scores[genuine]), np.sort(scores[~genuine])
    # Counted, not 1 less a share: 1 - 99 / 100 is more than 0.01, and a rate that is allowed would not be.
    fmr = (len(other) - np.searchsorted(other, thresholds, "left")) / len(other)
    fnmr = np.searchsorted(own, thresholds, "left") / len(own)
    return thresholds, fmr, fnmr


def eer(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The equal error rate, where FMR and FNMR cross, interpolated between the two thresholds round the crossing."""
    _, fmr, fnmr = rates(scores, genuine)
    gap = fnmr - fmr  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    if gap[after] == 0 or after == 0:
        return float((fmr[after] + fnmr[after]) / 2)
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(fmr[after - 1] + share * (fmr[after] - fmr[after - 1]))


def fnmr_at(scores: np.ndarray, genuine: np.ndarray, fmr: float) -> float:
    """The least FNMR of a threshold whose FMR is at most `fmr`; nan where there are too few impostors to say (under 1/fmr)."""
    if fmr > 0 and (~genuine).sum() < 1 / fmr:
        return float("nan")
    _, falsely, missed = rates(scores, genuine)
    return float(missed[falsely <= fmr].min())


def threshold_for(impostors: np.ndarray, fmr: float) -> tuple[float, float]:
    """The lowest threshold that at most a share `fmr` of the impostors' scores reaches, and the share that does."""
    falling = np.sort(impostors)[::-1]
    allowed = int(fmr * len(falling))
    threshold = float(np.nextafter(falling[allowed], np.inf)) if allowed < len(falling) else float(falling[-1])
    return threshold, float((impostors >= threshold).mean())


def d_prime(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The distance of the two distributions' means, in their pooled standard deviation (Daugman 2000)."""
    own, other = scores[genuine], scores[~genuine]
    spread = np.sqrt((own.var() + other.var()) / 2)
    return float((own.mean() - other.mean()) / spread) if spread > 0 else float("nan")


def eer_interval(scores: np.ndarray, pairs: Comparisons, fingers: np.ndarray, resamples: int) -> tuple[float, float]:
    """The 95 % interval of the EER by drawing fingers with replacement: a pair counts as often as both its fingers were
    drawn. nan where there are under three fingers."""
    codes, names = pd.factorize(fingers)
    if len(names) < 3:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    fa, fb = codes[pairs.a], codes[pairs.b]
    order = np.argsort(scores, kind="stable")
    ordered, genuine = scores[order], pairs.genuine[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each score that is the same
    found = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        weight = np.where(pairs.genuine, drawn[fa], drawn[fa] * drawn[fb])[order].astype(float)
        own, other = np.cumsum(weight * genuine), np.cumsum(weight * ~genuine)
        if own[-1] == 0 or other[-1] == 0:
            continue
        fnmr = np.concatenate([[0.0], own[last] / own[-1]])
        fmr = np.concatenate([[1.0], 1 - other[last] / other[-1]])
        gap = fnmr - fmr
        after = int(np.argmax(gap >= 0))
        step = gap[after] - gap[after - 1]
        share = -gap[after - 1] / step if step > 0 else 0.0
        found.append(fmr[after - 1] + share * (fmr[after] - fmr[after - 1]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def rank_of_own(similarity: np.ndarray, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """For each probe the rank (from 1) of its own finger in the gallery, by each finger's best print; ties count against it.

    similarity: (probes, gallery); probes, gallery: their fingers. nan where the gallery lacks the finger."""
    codes, names = pd.factorize(gallery, sort=True)
    best = np.full((len(probes), len(names)), -np.inf)
    for code in range(len(names)):
        best[:, code] = similarity[:, codes == code].max(1)
    place = pd.Series(range(len(names)), index=names).reindex(probes).to_numpy(float)
    known = np.isfinite(place)
    out = np.full(len(probes), np.nan)
    own = best[np.flatnonzero(known), place[known].astype(int)]
    out[known] = (best[known] >= own[:, None]).sum(1)
    return out


def cmc(ranks: np.ndarray, top: int) -> np.ndarray:
    """The share of probes whose finger is among the first 1, 2, … `top`."""
    return np.array([(ranks <= rank).mean() for rank in range(1, top + 1)])
