"""How well prints are given back. A metric that is added to a kind below is measured by every task that measures the kind."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fpml.metrics.metric import Metric, OfPrints

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIXELS = (1, 2, 3)  # the dimensions of a picture in a batch
HALF = 5  # pixels: half of SSIM's window, which fits round no pixel nearer to a picture's edge


@dataclass(frozen=True)
class Outcome:
    """What came out for prints, beside what should have: each (B, 1, H, W), grey 0..1."""

    output: "Tensor"
    prints: "Tensor"

    @cached_property
    def error(self) -> "Tensor":
        return (self.output - self.prints).square()

    @cached_property
    def similarity(self) -> "Tensor":
        """SSIM, (B, 1, H - 10, W - 10), at each pixel round which the Gaussian 11 x 11 window (sigma 1.5, range 1) fits into
        the picture, as Wang et al. (2004) and scikit-image average it (gaussian_weights=True, use_sample_covariance=False)."""
        from torchmetrics.functional.image import structural_similarity_index_measure as ssim

        whole: Tensor = ssim(self.output, self.prints, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True)[1]
        return whole[..., HALF:-HALF, HALF:-HALF]


@dataclass(frozen=True)
class Masked(Outcome):
    """An outcome of prints whose place in the picture is known."""

    masks: "Tensor"  # (B, 1, H, W) 1 inside the print, else 0

    def inside(self, values: "Tensor") -> "Tensor":
        """The mean inside each print's mask, (B,); nan where that is empty. Of SSIM: over those of the mask's pixels round
        which its window fits into the picture; the window may reach beyond the mask."""
        rim = (self.masks.shape[-1] - values.shape[-1]) // 2
        masks = self.masks[..., rim : self.masks.shape[-2] - rim, rim : self.masks.shape[-1] - rim]
        return (values * masks).sum(PIXELS) / masks.sum(PIXELS)


@dataclass(frozen=True)
class Repaired(Outcome):
    """An outcome of altered prints."""

    before: "Tensor"  # (B, 1, H, W) what was to be repaired, grey 0..1
    said: "Tensor"  # (B, 1, H, W) bool: what the network takes for damaged
    differs: "Tensor"  # (B, 1, H, W) bool: what is damaged

    @property
    def untouched(self) -> "Tensor":
        """The undamaged pixels whose grey level is as it was."""
        return ((self.output.clamp(0, 1) * 255).round() == (self.before.clamp(0, 1) * 255).round()) & ~self.differs


def decibels(error: "Tensor") -> "Tensor":
    """PSNR of mean squared errors, at most 100 dB."""
    return -10 * error.clamp(min=1e-10).log10()


def cross_entropy(outcome: Outcome) -> "Tensor":
    from torch.nn.functional import binary_cross_entropy

    return binary_cross_entropy(outcome.output, outcome.prints, reduction="none").mean(PIXELS)


INSIDE = (  # of a Masked
    OfPrints(
        "psnr_mask",
        2,
        max,
        "PSNR inside the print, dB",
        "how near the grey levels inside the print come to the true ones (peak signal-to-noise ratio)",
        lambda o: decibels(o.inside(o.error)),
    ),
    OfPrints(
        "ssim_mask",
        3,
        max,
        "SSIM inside the print, at most 1",
        "how alike ridges and valleys inside the print look in small windows; 1 for the same picture",
        lambda o: o.inside(o.similarity),
    ),
    OfPrints(
        "mse_mask",
        4,
        min,
        "MSE inside the print, grey 0 to 1",
        "mean squared error of the grey levels inside the print",
        lambda o: o.inside(o.error),
    ),
)
WHOLE = (
    OfPrints(
        "psnr",
        2,
        max,
        "PSNR, dB",
        "how near the grey levels of the whole picture come to the true ones (peak signal-to-noise ratio)",
        lambda o: decibels(o.error.mean(PIXELS)),
    ),
    OfPrints(
        "ssim",
        3,
        max,
        "SSIM, at most 1",
        "how alike the whole picture looks in small windows; 1 for the same picture",
        lambda o: o.similarity.mean(PIXELS),
    ),
    OfPrints(
        "mse",
        4,
        min,
        "MSE, grey 0 to 1",
        "mean squared error of the grey levels of the whole picture",
        lambda o: o.error.mean(PIXELS),
    ),
)
CODED = (
    OfPrints(
        "bce",
        4,
        min,
        "binary cross-entropy, nats a pixel",
        "the loss that the network was trained with; grey pictures have a floor above 0",
        cross_entropy,
    ),
    OfPrints(
        "binary_accuracy",
        3,
        max,
        "share of pixels of exactly 0 or 1 that rounding gives back",
        "the published 'accuracy' of small autoencoders",
        lambda o: (o.output.round() == o.prints).float().mean(PIXELS),  # only exactly 0 or 1 can be met
    ),
)
DAMAGE = (  # of a Repaired
    OfPrints(
        "damage_iou",
        3,
        max,
        "damage map, intersection over union, 0 to 1",
        "how well the network says where a print is damaged",
        lambda r: (r.said & r.differs).sum(PIXELS) / (r.said | r.differs).sum(PIXELS).clamp(min=1),
    ),
    OfPrints(
        "unchanged",
        4,
        max,
        "share of undamaged pixels left as they were, 0 to 1",
        "how much of what was sound is kept",
        lambda r: r.untouched.sum(PIXELS) / (~r.differs).sum(PIXELS).clamp(min=1),
    ),
)
METRICS = (
    *INSIDE,
    *WHOLE,
    *CODED,
    Metric(
        "auroc", 3, max, "area under the ROC curve, 0 to 1", "how well strange pictures are told from known ones; 0.5 is chance"
    ),
    Metric(
        "knn_accuracy",
        3,
        max,
        "accuracy of nearest neighbours, 0 to 1",
        "how often a print's five nearest neighbours name its class",
    ),
    *DAMAGE,
)


def measure(outcome: Outcome, *kinds: Iterable[OfPrints]) -> dict[str, np.ndarray]:
    """The metrics of each print, (B,), on the CPU; those of a kind by their names, as files have them."""
    return {m.name: m.measure(outcome).cpu().numpy() for kind in kinds for m in sorted(kind, key=lambda m: m.name)}


def to_float(prints: np.ndarray, device: "torch.device") -> "Tensor":
    """uint8 (B, H, W) → float 0..1 (B, 1, H, W), channels last."""
    import torch

    out = torch.from_numpy(prints)[:, None].to(device).float() / 255
    return out.contiguous(memory_format=torch.channels_last)


def to_bytes(prints: "Tensor") -> np.ndarray:
    """Float (B, 1, H, W) in 0..1 → uint8 (B, H, W)."""
    return (prints[:, 0].float().clamp(0, 1) * 255).round().byte().cpu().numpy()
