"""Random numbers that depend on a seed and a place only: the same in any batch, in any order, on any device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def seed_of(*numbers: int) -> int:
    """One 63-bit seed out of several numbers, each 0 or more."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0] >> 1)


def normal(seeds: list[int], height: int, width: int, device: torch.device | str) -> Tensor:
    """White Gaussian noise, (len(seeds), height, width) float32, mean 0, standard deviation 1.

    A counter hashed by SplitMix64 (Steele, Lea and Flood 2014), then Box and Muller's transform: torch's own
    generators give other numbers on a GPU than on a CPU."""
    half = (height * width + 1) // 2
    start = torch.tensor(seeds, dtype=torch.int64, device=device)[:, None]
    z = start + torch.arange(1, half + 1, device=device) * -0x61C8864680B583EB  # the golden ratio's odd 64 bits, signed
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        z = (z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))) * factor
    z = z ^ ((z >> 31) & ((1 << 33) - 1))
    scale = 1 / (1 << 24)
    first = (((z >> 40) & 0xFFFFFF).to(torch.float32) + 0.5) * scale
    second = ((z & 0xFFFFFF).to(torch.float32) + 0.5) * scale
    radius, angle = (-2 * first.log()).sqrt(), 2 * torch.pi * second
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
    return both[:, : height * width].reshape(len(seeds), height, width)


def smooth_noise(seeds: list[int], period: float, height: int, width: int, device: torch.device | str) -> Tensor:
    """Noise with bumps of about `period` pixels, (B, height, width), standard deviation 1: white noise under a Gaussian.
    Interpolating a coarse grid of noise instead would leave the grid to be seen, as rows of gaps across the ridges."""
    if period <= 1:
        return normal(seeds, height, width, device)
    step = max(1.0, period / 3)
    rows, columns = (max(8, round(n / step)) for n in (height, width))
    sigma = 0.36 * period / step
    noise = soften(normal(seeds, rows, columns, device), sigma)
    if step == 1:
        return noise
    return F.interpolate(noise[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def soften(white: Tensor, sigma: float) -> Tensor:
    """White noise under a Gaussian of `sigma` pixels, again with standard deviation 1."""
    return blur(white, sigma).mul_(float(2 * np.pi**0.5 * sigma))


def blur(grey: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels, cut at 2.5 sigma: shifted sums, which for so few places are faster than a convolution."""
    reach = max(1, round(2.5 * sigma))
    kernel = np.exp(-((np.arange(reach + 1) / sigma) ** 2) / 2)
    kernel = kernel / (2 * kernel.sum() - kernel[0])
    grey = F.pad(grey[:, None], (reach, reach, reach, reach), mode="replicate")[:, 0]
    for axis in (1, 2):
        size = grey.shape[axis] - 2 * reach
        total = float(kernel[0]) * grey.narrow(axis, reach, size)
        for place in range(1, reach + 1):
            total = total + float(kernel[place]) * (
                grey.narrow(axis, reach - place, size) + grey.narrow(axis, reach + place, size)
            )
        grey = total
    return grey
