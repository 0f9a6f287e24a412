"""What a model that gives pictures back stands beside: PCA, and a low-pass copy."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PCA, LOW_PASS = "PCA", "low-pass copy"  # the methods' names in tables
COARSE = 4  # the low-pass copy keeps one number for 4 x 4 pixels, the size of the network's grid
PictureToPicture = Callable[[Tensor], Tensor]  # (B, 1, H, W) float 0..1 → the same


def low_pass(prints: Tensor) -> Tensor:
    """Averaged over COARSE x COARSE pixels and drawn smooth again."""
    small = F.avg_pool2d(prints, COARSE, ceil_mode=True)
    return F.interpolate(small, prints.shape[-2:], mode="bilinear", align_corners=False)


def fit_pca(prints: np.ndarray, components: int) -> PictureToPicture:
    """PCA of training prints (N, H, W) uint8, as a function that sends prints through it and back."""
    from sklearn import decomposition

    pca = decomposition.PCA(components, svd_solver="full").fit(prints.reshape(len(prints), -1).astype(np.float32) / 255)
    mean, axes = torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_)

    def reconstruct(batch: Tensor) -> Tensor:
        flat = batch.flatten(1).cpu() - mean
        return ((flat @ axes.T) @ axes + mean).clamp(0, 1).reshape(batch.shape).to(batch.device)

    return reconstruct
