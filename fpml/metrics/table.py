"""Every metric once: how it is shown, and which of two values is the better one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
