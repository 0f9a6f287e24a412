"""How good generated prints are, measured on the judge's view of them, each beside real prints against real prints."""

import numpy as np

from fpml.metrics.metric import Metric

METRICS = (
    Metric(
        "kid",
        4,
        min,
        "KID by the judge",
        "how far made prints lie from real ones in the judge's view; about 0 for two draws of one set",
    ),
    Metric(
        "fid", 2, min, "FID by the judge", "the same as one distance of two normal distributions; counts from 2,000 prints up"
    ),
    Metric(
        "judge_score",
        2,
        max,
        "Inception Score's formula on the judge's pattern classes, 1 to 5",
        "whether prints are of one class each, and of all classes",
    ),
    Metric(
        "inception_score",
        2,
        max,
        "Inception Score with ImageNet's Inception",
        "for comparison with publications; says little of fingerprints",
    ),
    Metric(
        "memorised",
        3,
        min,
        "share of made prints nearer to a training print than to a held-out one, 0 to 1",
        "whether prints were copied; about 0.5 where none was",
        judged=False,
    ),
    Metric(
        "ks_period",
        3,
        min,
        "KS distance of the ridges' wavelength, 0 to 1",
        "the largest gap between the distributions of made and real prints",
    ),
    Metric(
        "ks_coherence",
        3,
        min,
        "KS distance of the orientation's coherence, 0 to 1",
        "the same, of how clearly ridges have one direction",
    ),
    Metric(
        "ks_minutiae",
        3,
        min,
        "KS distance of the number of minutiae a print, 0 to 1",
        "the same, of how many minutiae a print has",
    ),
    Metric(
        "likeness",
        3,
        min,
        "mean SSIM of two prints, at most 1",
        "how alike the made prints are to each other: how little they vary",
        judged=False,
    ),
)
FID_FROM = 2000  # pictures: under that the Fréchet distance says little, and KID stands
SUBSETS, SUBSET = 100, 1000  # of KID: draws, and embeddings in each at most
DRAWS = 20  # of fingers, for the memorisation test


def score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """The Inception Score's formula on any network's class probabilities (N, classes): the exponential of the mean
    divergence of each picture's classes from all pictures' (Salimans et al. 2016). Mean and spread over splits at random;
    from 1 to the number of classes."""
    found = []
    mixed = np.random.default_rng(0).permutation(probabilities.clip(1e-12, 1))
    for part in np.array_split(mixed, min(splits, max(1, len(mixed) // 10))):
        divergence = (part * (np.log(part) - np.log(part.mean(0)))).sum(1)
        found.append(np.exp(divergence.mean()))
    return float(np.mean(found)), float(np.std(found))


def kid(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The kernel distance of two sets of embeddings (N, d), (M, d): the unbiased squared mean discrepancy with the cubic
    polynomial kernel (Bińkowski et al. 2018), its mean over SUBSETS draws where a set has more than SUBSET. 0 is as alike as
    two draws of one set; it may fall a little below.

    And half the width of its 95 % interval: of one draw, by leaving out each embedding once (the jackknife), which is wider
    than the mean's own."""
    rng = np.random.default_rng(0)
    if max(len(a), len(b)) <= SUBSET:
        return _discrepancy(a, b)
    sizes = min(SUBSET, len(a)), min(SUBSET, len(b))
    found = [
        _discrepancy(*(s[rng.permutation(len(s))[:n]] for s, n in zip((a, b), sizes, strict=True))) for _ in range(SUBSETS)
    ]
    return float(np.mean([value for value, _ in found])), found[0][1]


def _discrepancy(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """And half the width of its 95 % interval."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out: np.ndarray = (x @ y.T / x.shape[1] + 1) ** 3
        return out

    scale = np.sqrt(a.shape[1])  # embeddings of length 1: brought to a spread of about 1 a number, as the kernel expects
    a, b = a.astype(np.float64) * scale, b.astype(np.float64) * scale
    ab = kernel(a, b)
    inside = [k.sum(1) - np.diag(k) for k in (kernel(a, a), kernel(b, b))]  # of each embedding with the others of its set
    across = [ab.sum(1), ab.sum(0)]
    sizes = len(a), len(b)
    means = [rows.sum() / (n * (n - 1)) for rows, n in zip(inside, sizes, strict=True)]
    value = sum(means) - 2 * ab.mean()
    variance = 0.0
    for rows, between, n, mean in zip(inside, across, sizes, means, strict=True):
        own = (rows.sum() - 2 * rows) / ((n - 1) * (n - 2))
        without = value - mean + own + 2 * ab.mean() - 2 * (ab.sum() - between) / (ab.size - ab.size // n)
        variance += (n - 1) / n * ((without - without.mean()) ** 2).sum()
    return float(value), float(1.96 * np.sqrt(variance))


def fid(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of two sets of embeddings as if each were normal (Heusel et al. 2017)."""
    from scipy.linalg import sqrtm

    scale = np.sqrt(a.shape[1])
    a, b = a.astype(np.float64) * scale, b.astype(np.float64) * scale
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(ca @ cb))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root))


def nearest(samples: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each embedding the place of the nearest other, and its Euclidean distance."""
    from sklearn.neighbors import NearestNeighbors

    distance, place = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(samples)
    return place[:, 0], distance[:, 0]


def nearer_to_training(
    samples: np.ndarray, training: np.ndarray, training_fingers: np.ndarray, held: np.ndarray, held_fingers: np.ndarray
) -> float:
    """The memorisation test: the share of samples whose nearest training print is nearer than their nearest held-out one.

    As many whole fingers of both are taken, over and over: many prints of few fingers lie less close to anything than as many
    of many fingers. About a half where nothing was memorised, 1 where the samples are copies."""
    rng = np.random.default_rng(0)
    names, others = np.unique(training_fingers), np.unique(held_fingers)
    count = min(len(names), len(others))
    shares = []
    for _ in range(DRAWS):
        few = training[np.isin(training_fingers, rng.permutation(names)[:count])]
        beside = held[np.isin(held_fingers, rng.permutation(others)[:count])]
        size = min(len(few), len(beside))
        to_training, to_held = (nearest(samples, s[rng.permutation(len(s))[:size]])[1] for s in (few, beside))
        shares.append((to_training < to_held).mean() + 0.5 * (to_training == to_held).mean())
    return float(np.mean(shares))
