"""The master: ridges grown over an orientation field until minutiae emerge by themselves."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.field import HEIGHT, WIDTH, Finger, grid, orientation, period_map
from fpml.synth.noise import normal, seed_of

# Half resolution first: a ridge period of 9 pixels is still 4.5 there, and every step costs a quarter.
COARSE_STEPS, FINE_STEPS = 8, 1
# A Gabor filter, split in two: a cosine of one period under a Gaussian across the ridge, a Gaussian along it.
# Sampled every half period, where the cosine is 1, -1, 1: what such wide steps let through besides the ridges
# is finer than the half-resolution grid can hold, but for its diagonals, which smoothing takes away: a little at
# every step (more would coarsen the ridges), well at the end.
HALVES = torch.arange(-3, 4) / 2  # places across the ridge, in periods
ACROSS = torch.cos(2 * torch.pi * HALVES) * torch.exp(-((HALVES / 0.75) ** 2) / 2)
ACROSS = torch.where(ACROSS < 0, ACROSS * ACROSS.clamp(min=0).sum() / -ACROSS.clamp(max=0).sum(), ACROSS)  # flat grey gives 0
ALONG = torch.exp(-((HALVES[1:-1] / 0.7) ** 2) / 2)
LIGHT, STRONG = 12.0, 2.0  # of the middle, in a smoothing [1, middle, 1] along rows and columns
NARROWER = 0.972  # sampling between pixels prefers coarse ridges; measured, and taken off again (docs/generator.md)


def _places(theta: Tensor, period: Tensor, weights: Tensor, across: bool) -> list[tuple[Tensor | None, float]]:
    """Where a filter samples, as grids for grid_sample (None: in place), and its weights."""
    _, height, width = theta.shape
    x, y = grid(height, width, theta.device)
    turn = theta + torch.pi / 2 if across else theta
    step_x, step_y = NARROWER * period * torch.cos(turn), NARROWER * period * torch.sin(turn)
    return [
        (torch.stack([(x + place * step_x) / (WIDTH / 2), -(y + place * step_y) / (HEIGHT / 2)], -1) if place else None, weight)
        for place, weight in zip((HALVES if across else HALVES[1:-1]).tolist(), weights.tolist(), strict=True)
    ]


def _apply(ridges: Tensor, places: list[tuple[Tensor | None, float]]) -> Tensor:
    total = torch.zeros_like(ridges)
    for place, weight in places:
        if place is None:
            total = total.add(ridges, alpha=weight)
        else:
            sample = F.grid_sample(ridges, place, padding_mode="border", align_corners=False)
            total = total.add_(sample, alpha=weight)
    return total


def _smooth(ridges: Tensor, middle: float) -> Tensor:
    row = torch.tensor([1.0, middle, 1.0], device=ridges.device) / (middle + 2)
    return F.conv2d(F.pad(ridges, (1, 1, 1, 1), mode="replicate"), (row[:, None] * row)[None, None])


def _saturate(ridges: Tensor) -> Tensor:
    """Equal contrast everywhere: divide by the local amplitude, then press into -1..1."""
    energy = F.avg_pool2d(ridges.square(), 16, stride=8, padding=8, count_include_pad=False)
    energy = F.interpolate(energy, ridges.shape[-2:], mode="bilinear", align_corners=True)
    return torch.tanh(1.4 * ridges / (energy.sqrt() + 1e-6))


def grow_masters(fingers: list[Finger], device: torch.device | str = "cpu") -> Tensor:
    """The masters of some fingers: (B, HEIGHT, WIDTH) float32 in -1..1 at 500 dpi, ridges positive.

    A finger is the same in any batch and, within rounding, on any device."""
    ridges = normal([seed_of(f.seed, f.number, 2) for f in fingers], HEIGHT // 2, WIDTH // 2, device)[:, None]
    x, y = grid(HEIGHT // 2, WIDTH // 2, device)
    theta, period = orientation(fingers, x, y), period_map(fingers, x, y)
    along, across = _places(theta, period, ALONG, False), _places(theta, period, ACROSS, True)
    for _ in range(COARSE_STEPS):
        ridges = _apply(_apply(ridges, along), across)
        ridges = _saturate(_smooth(ridges, LIGHT))
    ridges = F.interpolate(_smooth(ridges, STRONG), (HEIGHT, WIDTH), mode="bicubic", align_corners=False)
    x, y = grid(HEIGHT, WIDTH, device)
    theta, period = orientation(fingers, x, y), period_map(fingers, x, y)
    along, across = _places(theta, period, ALONG, False), _places(theta, period, ACROSS, True)
    for _ in range(FINE_STEPS):
        ridges = _saturate(_apply(_apply(ridges, along), across))
    return ridges[:, 0]
