from dataclasses import replace

import pytest
import torch

from fpml.settings.recipe import Train
from fpml.training.batches import Draws
from fpml.training.pictures import flipped, learning_rate, picture_loss

SETTINGS = Train(
    seed=1, epochs=10, batch_size=4, optimizer="adam", learning_rate=0.1, schedule="cosine", flips=True, loss="mse",
    start_from="",
)  # fmt: skip


def test_the_learning_rate_falls_from_the_whole_towards_nothing() -> None:
    rates = [learning_rate(SETTINGS, epoch) for epoch in range(1, 11)]
    assert rates[0] == 0.1
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.005
    assert learning_rate(replace(SETTINGS, schedule="constant"), 10) == 0.1


def test_a_print_and_its_target_are_turned_over_together() -> None:
    prints = torch.arange(64 * 6.0).reshape(64, 1, 2, 3)
    draws = Draws(torch.Generator().manual_seed(0), 64, torch.arange(64), prints.device)
    turned, targets = flipped(prints, -prints, draws)
    assert torch.equal(turned, -targets)
    kinds = {tuple((t - p.min()).flatten().int().tolist()) for t, p in zip(turned, prints, strict=True)}
    assert len(kinds) == 4  # as it was, left to right, top to bottom, both


def test_a_process_draws_its_part_of_the_global_batch() -> None:
    def draw(places: torch.Tensor) -> torch.Tensor:
        return Draws(torch.Generator().manual_seed(3), 6, places, places.device).normal(2)

    whole = draw(torch.arange(6))
    assert torch.equal(draw(torch.arange(6)[1::2]), whole[1::2])


@pytest.mark.parametrize("name", ["mse", "l1", "ssim"])
def test_losses_are_nothing_for_a_perfect_picture(name: str) -> None:
    torch.manual_seed(0)
    picture = torch.rand(2, 1, 16, 16)
    loss = picture_loss(name)
    assert float(loss(picture, picture)) == pytest.approx(0, abs=1e-5)
    assert float(loss(1 - picture, picture)) > float(loss(0.9 * picture, picture)) > 0


def test_cross_entropy_is_torchs_and_lets_no_number_through() -> None:
    torch.manual_seed(0)
    output, targets = torch.rand(2, 1, 8, 8, requires_grad=True), torch.rand(2, 1, 8, 8)
    ours, torchs = picture_loss("bce")(output, targets), torch.nn.functional.binary_cross_entropy(output, targets)
    assert torch.equal(ours, torchs)
    assert torch.equal(*(torch.autograd.grad(loss, output)[0] for loss in (ours, torchs)))
    assert picture_loss("bce")(torch.full((1, 1, 8, 8), torch.nan), targets[:1]).isnan()
