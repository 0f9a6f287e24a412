"""What every task's measuring is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fpml.data.manifest import is_synthetic

if TYPE_CHECKING:  # the report reads METRICS and needs no torch
    import torch
    from torch import nn

    from fpml.data.store import Prepared


@dataclass(frozen=True)
class Metric:
    """How a metric is shown, and which of two values is the better one."""

    digits: int
    better: Callable[..., Any]  # max or min
    label: str


MODEL = "model"  # the method's name in every table; what stands beside it are baselines
FLOOR = "floor"  # what nothing can go below
METRICS = {
    "psnr_mask": Metric(2, max, "PSNR inside the print, dB"),
    "ssim_mask": Metric(3, max, "SSIM inside the print"),
    "mse_mask": Metric(4, min, "MSE inside the print"),
    "psnr": Metric(2, max, "PSNR, dB"),
    "ssim": Metric(3, max, "SSIM"),
    "mse": Metric(4, min, "MSE"),
    "bce": Metric(4, min, "binary cross-entropy, nats a pixel"),
    "binary_accuracy": Metric(3, max, "share of pixels of exactly 0 or 1 that rounding gives back"),
    "auroc": Metric(3, max, "area under the ROC curve"),
    "knn_accuracy": Metric(3, max, "accuracy of nearest neighbours"),
    "accuracy": Metric(3, max, "closed-set accuracy"),
    "top5": Metric(3, max, "closed-set accuracy, among the first five"),
    "eer": Metric(2, min, "EER, %, FVC's protocol"),
    "eer_all": Metric(2, min, "EER, %, all pairs of prints"),
    "fmr100": Metric(2, min, "FNMR at an FMR of 1 %, %"),
    "fmr1000": Metric(2, min, "FNMR at an FMR of 0.1 %, %"),
    "zerofmr": Metric(2, min, "FNMR without a false match, %"),
    "d_prime": Metric(2, max, "d′, distance of genuine and impostor scores"),
    "rank1": Metric(3, max, "rank-1 identification, one print a finger in the gallery"),
    "kid": Metric(4, min, "KID, by the judge"),
    "fid": Metric(2, min, "FID, by the judge"),
    "judge_score": Metric(2, max, "Inception Score's formula on the judge's pattern classes, 1 to 5"),
    "inception_score": Metric(2, max, "Inception Score with ImageNet's Inception; says little of fingerprints"),
    "memorised": Metric(3, min, "share of made prints nearer to a training print than to a held-out one"),
    "ks_period": Metric(3, min, "KS distance of the ridges' wavelength"),
    "ks_coherence": Metric(3, min, "KS distance of the orientation's coherence"),
    "likeness": Metric(3, min, "mean SSIM of two prints: how little they vary"),
    "damage_iou": Metric(3, max, "damage map, intersection over union"),
    "unchanged": Metric(4, max, "share of undamaged pixels left as they were"),
}


@dataclass(frozen=True)
class Trained:
    """A trained run and its prints."""

    name: str
    recipe: Any  # one of fpml.config's recipes
    network: nn.Module  # on `device`, in eval mode
    family: ModuleType
    classes: tuple[str, ...]
    prints: Prepared
    side: np.ndarray  # (n,) what each prepared print is for
    device: torch.device
    history: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """scores: a row for each print and method. table: side, part, method, metric, value, low, high, prints, fingers; a
    part's name begins with its dataset's. facts: plain json; `headline` names the metric that is shown first, `notes` are
    sentences for the report, `matrix` names the metric of a train-sensor x test-sensor matrix, if there is one."""

    scores: pd.DataFrame
    table: pd.DataFrame
    facts: dict[str, Any]


@dataclass
class Album:
    """The figures of a run, and for each whether it shows prints and whether those are generated."""

    folder: Path
    index: pd.DataFrame
    figures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file: str, title: str, rows: np.ndarray | None = None) -> Path:
        """Where to draw a figure. rows: the prepared prints that can be seen on it, None where none can."""
        synthetic = rows is None or bool(is_synthetic(self.index).to_numpy()[rows].all())
        self.figures.append({"file": file, "title": title, "shows_prints": rows is not None, "synthetic": synthetic})
        return self.folder / file


def some(count: int, wanted: int) -> np.ndarray:
    """Places of at most `wanted` of `count` things, evenly over all of them."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int)


def wilson(right: float, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate, right of so many (Wilson 1927)."""
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


def sensor_labels(index: pd.DataFrame) -> pd.Series:
    """DATASET/SENSOR, or DATASET where a dataset is one sensor of the same name."""
    dataset, sensor = index["dataset"].astype(str), index["sensor"].astype(str)
    return dataset.where(dataset == sensor, dataset + "/" + sensor)
