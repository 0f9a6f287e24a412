"""What a model that gives pictures back stands beside: PCA of whole prints and of their patches, and a low-pass copy. And what
one that makes pictures does: PCA with random numbers."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PCA, PATCH_PCA, LOW_PASS, DRAWS = "PCA", "PCA of patches", "low-pass copy", "draws of PCA"  # the methods' names in tables
PATCH = 8  # pixels on a side
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


def fit_patch_pca(prints: np.ndarray, components: int) -> PictureToPicture:
    """PCA of the PATCH x PATCH patches of training prints (N, H, W) uint8, sides multiples of PATCH: each patch of a print
    goes through it by itself, and comes back from so many components."""
    from sklearn import decomposition

    def patches(batch: Tensor) -> Tensor:  # (B, h, w, PATCH²)
        return F.pixel_unshuffle(batch, PATCH).permute(0, 2, 3, 1)

    seen = patches(torch.from_numpy(prints)[:, None].float() / 255).reshape(-1, PATCH**2).numpy()
    pca = decomposition.PCA(components, svd_solver="covariance_eigh").fit(seen)
    mean, axes = torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_)

    def reconstruct(batch: Tensor) -> Tensor:
        back = ((patches(batch.cpu()) - mean) @ axes.T) @ axes + mean
        return F.pixel_shuffle(back.permute(0, 3, 1, 2), PATCH).clamp(0, 1).to(batch.device)

    return reconstruct


def draws(prints: np.ndarray, count: int, seed: int) -> Tensor:
    """Pictures (count, 1, H, W) in 0..1 made from PCA of prints (N, H, W) uint8: each component with a normal number of the
    spread that it has there."""
    from sklearn import decomposition

    pca = decomposition.PCA(svd_solver="full").fit(prints.reshape(len(prints), -1).astype(np.float32) / 255)
    spread = np.sqrt(pca.explained_variance_)
    numbers = np.random.default_rng(seed).normal(size=(count, len(spread))) * spread
    made = (numbers @ pca.components_ + pca.mean_).astype(np.float32).clip(0, 1)
    return torch.from_numpy(made).reshape(count, 1, *prints.shape[1:])
