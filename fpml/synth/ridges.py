"""The master: ridges grown over an orientation field until minutiae emerge by themselves."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.field import HEIGHT, WIDTH, Finger, axes, orientation, period_map
from fpml.synth.noise import normal, seed_of

# Half resolution first: a ridge period of 9 pixels is still 4.5 there, and every step costs a quarter.
COARSE_STEPS, FINE_STEPS = 13, 1
# A Gabor filter, split in two: a cosine of one period under a Gaussian across the ridge, a Gaussian along it.
# Sampled every half period, where the cosine is 1, -1, 1: what such wide steps let through besides the ridges
# is finer than the half-resolution grid can hold, but for its diagonals, which the smoothing takes away.
ACROSS = ((-1.0, 0.20), (-0.5, -0.66), (0.0, 0.92), (0.5, -0.66), (1.0, 0.20))  # (place in periods, weight): sum 0
ALONG = ((-1.0, 0.36), (-0.5, 0.77), (0.0, 1.0), (0.5, 0.77), (1.0, 0.36))
SMOOTH = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])[None, None] / 16


def _places(
    theta: Tensor, period: Tensor, taps: tuple[tuple[float, float], ...], across: bool
) -> list[tuple[Tensor | None, float]]:
    """Where a filter samples, as grids for grid_sample (None: in place), and its weights."""
    _, height, width = theta.shape
    x, y = axes(height, width, theta.device)
    turn = theta + torch.pi / 2 if across else theta
    step_x, step_y = period * torch.cos(turn), period * torch.sin(turn)
    return [
        (torch.stack([(x + place * step_x) / (WIDTH / 2), -(y + place * step_y) / (HEIGHT / 2)], -1) if place else None, weight)
        for place, weight in taps
    ]


def _apply(ridges: Tensor, places: list[tuple[Tensor | None, float]]) -> Tensor:
    total = torch.zeros_like(ridges)
    for grid, weight in places:
        if grid is None:
            total = total.add(ridges, alpha=weight)
        else:
            sample = F.grid_sample(ridges, grid, padding_mode="border", align_corners=False)
            total = total.add_(sample, alpha=weight)
    return total


def _saturate(ridges: Tensor) -> Tensor:
    """Equal contrast everywhere: divide by the local amplitude, then press into -1..1."""
    energy = F.avg_pool2d(ridges.square(), 16, stride=8, padding=8, count_include_pad=False)
    energy = F.interpolate(energy, ridges.shape[-2:], mode="bilinear", align_corners=True)
    return torch.tanh(1.4 * ridges / (energy.sqrt() + 1e-6))


def grow_masters(fingers: list[Finger], device: torch.device | str = "cpu") -> Tensor:
    """The masters of some fingers: (B, HEIGHT, WIDTH) float32 in -1..1 at 500 dpi, ridges positive.

    A finger is the same in any batch and, within rounding, on any device."""
    ridges = normal([seed_of(f.seed, f.number, 2) for f in fingers], HEIGHT // 2, WIDTH // 2, device)[:, None]
    x, y = axes(HEIGHT // 2, WIDTH // 2, device)
    theta, period = orientation(fingers, x, y), period_map(fingers, x, y)
    along, across = _places(theta, period, ALONG, False), _places(theta, period, ACROSS, True)
    for _ in range(COARSE_STEPS):
        ridges = _apply(_apply(ridges, along), across)
        ridges = _saturate(F.conv2d(F.pad(ridges, (1, 1, 1, 1), mode="replicate"), SMOOTH.to(device)))
    ridges = F.interpolate(ridges, (HEIGHT, WIDTH), mode="bicubic", align_corners=False)
    x, y = axes(HEIGHT, WIDTH, device)
    theta, period = orientation(fingers, x, y), period_map(fingers, x, y)
    along, across = _places(theta, period, ALONG, False), _places(theta, period, ACROSS, True)
    for _ in range(FINE_STEPS):
        ridges = _saturate(_apply(_apply(ridges, along), across))
    return ridges[:, 0]
