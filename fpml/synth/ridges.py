"""The master: ridges grown over an orientation field until minutiae emerge by themselves."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.field import HEIGHT, WIDTH, Finger, orientation, period_map

# Half resolution first: a ridge period of 9 pixels is still 4.5 there, and every step costs a quarter.
COARSE_STEPS, FINE_STEPS = 14, 2
ACROSS = torch.arange(-9, 10) / 8.0  # sampling places across the ridge, in periods
ALONG = torch.arange(-4, 5) / 3.0  # sampling places along the ridge, in periods
# A Gabor filter, split in two: a cosine of one period under a Gaussian across, a Gaussian along.
ACROSS_WEIGHT = torch.cos(2 * torch.pi * ACROSS) * torch.exp(-((ACROSS / 0.55) ** 2) / 2)
ACROSS_WEIGHT = ACROSS_WEIGHT - ACROSS_WEIGHT.mean()  # no answer to flat grey
ALONG_WEIGHT = torch.exp(-((ALONG / 0.7) ** 2) / 2)


def _filter(ridges: Tensor, theta: Tensor, period: Tensor, scale: float) -> Tensor:
    """One step of the oriented filter: (B, 1, H, W) -> the same; period in pixels of the full master."""
    batch, _, height, width = ridges.shape
    device = ridges.device
    ys, xs = torch.meshgrid(
        torch.linspace(-1, 1, height, device=device), torch.linspace(-1, 1, width, device=device), indexing="ij"
    )
    step_x, step_y = 2 / (width - 1), 2 / (height - 1)
    reach = period * scale
    along = torch.stack([torch.cos(theta) * reach * step_x, -torch.sin(theta) * reach * step_y], -1)
    across = torch.stack([torch.sin(theta) * reach * step_x, torch.cos(theta) * reach * step_y], -1)
    grid = torch.stack([xs, ys], -1).expand(batch, -1, -1, -1)
    for places, weights, direction in ((ALONG, ALONG_WEIGHT, along), (ACROSS, ACROSS_WEIGHT, across)):
        total = torch.zeros_like(ridges)
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            sample = F.grid_sample(ridges, grid + place * direction, padding_mode="border", align_corners=True)
            total = total + weight * sample
        ridges = total
    return ridges


def _saturate(ridges: Tensor) -> Tensor:
    """Equal contrast everywhere: divide by the local amplitude, then press into -1..1."""
    amplitude = F.avg_pool2d(ridges.square(), 15, stride=1, padding=7, count_include_pad=False).sqrt()
    return torch.tanh(1.4 * ridges / (amplitude + 1e-6))


def grow_masters(fingers: list[Finger], device: torch.device | str = "cpu") -> Tensor:
    """The masters of some fingers: (B, HEIGHT, WIDTH) float32 in -1..1 at 500 dpi, ridges positive.

    The first noise is drawn on the CPU from each finger's own seed, so a finger is the same in any batch,
    and the same within rounding on any device."""
    h, w = HEIGHT // 2, WIDTH // 2
    noise = [np.random.default_rng(np.random.SeedSequence([*f.seed, 2])).normal(0, 1, (h, w)) for f in fingers]
    ridges = torch.from_numpy(np.stack(noise).astype(np.float32))[:, None].to(device)
    for height, width, steps in ((h, w, COARSE_STEPS), (HEIGHT, WIDTH, FINE_STEPS)):
        theta = torch.stack([orientation(f, height, width, device) for f in fingers])
        period = torch.stack([period_map(f, height, width, device) for f in fingers])
        if ridges.shape[-1] != width:
            ridges = F.interpolate(ridges, (height, width), mode="bicubic", align_corners=False)
        for _ in range(steps):
            ridges = _saturate(_filter(ridges, theta, period, width / WIDTH))
    return ridges[:, 0]
