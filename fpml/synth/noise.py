"""Random numbers that depend on a seed and a place only: the same in any batch, in any order, on any device."""

import numpy as np
import torch
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
