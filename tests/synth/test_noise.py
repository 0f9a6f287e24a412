import math

import pytest
import torch

from fpml.synth.noise import normal, seed_of, smooth_noise


def splitmix(state: int) -> int:
    """The published generator, in whole numbers."""
    state &= (1 << 64) - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & ((1 << 64) - 1)
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & ((1 << 64) - 1)
    return state ^ (state >> 31)


def test_noise_is_splitmix_through_box_and_muller() -> None:
    seed = seed_of(5, 6)
    drawn = normal([seed], 2, 3, "cpu").flatten()
    for place in range(3):
        bits = splitmix(seed + (place + 1) * 0x9E3779B97F4A7C15)
        first, second = ((b & 0xFFFFFF) + 0.5 for b in (bits >> 40, bits))
        radius, angle = math.sqrt(-2 * math.log(first / 2**24)), 2 * math.pi * second / 2**24
        assert math.isclose(drawn[place], radius * math.cos(angle), abs_tol=1e-4)
        assert math.isclose(drawn[place + 3], radius * math.sin(angle), abs_tol=1e-4)


def test_noise_is_white_and_the_same_in_any_batch() -> None:
    seeds = [seed_of(1, n) for n in range(3)]
    together = normal(seeds, 101, 99, "cpu")
    assert torch.equal(together[1:2], normal(seeds[1:2], 101, 99, "cpu"))
    assert torch.allclose(together.mean((1, 2)), torch.zeros(3), atol=0.04)
    assert torch.allclose(together.std((1, 2)), torch.ones(3), atol=0.03)
    neighbours = (together[:, :, 1:] * together[:, :, :-1]).mean((1, 2))
    assert neighbours.abs().max() < 0.04
    assert (together[0] * together[1]).mean().abs() < 0.04


def test_noise_leaves_no_grid_to_be_seen() -> None:
    """Of many fields, the variance is the same at every place: an interpolated grid has less between its nodes."""
    fields = smooth_noise(list(range(400)), 5.5, 44, 44, "cpu")
    spread = fields.std(0)[8:-8, 8:-8]
    assert float(fields.std()) == pytest.approx(1, abs=0.1)
    assert float(spread.std() / spread.mean()) < 0.08
    neighbours = (fields[:, :, 1:] * fields[:, :, :-1]).mean()
    far = (fields[:, :, 8:] * fields[:, :, :-8]).mean()
    assert neighbours > 0.7
    assert abs(far) < 0.1
