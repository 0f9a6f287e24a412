from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fpml.base.errors import FpmlError
from fpml.models import dcgan, flow
from fpml.models.follow import follow


def made(side: int = 16, classes: int = 0, widths: tuple[int, ...] = (8, 16)) -> flow.FlowNet:
    torch.manual_seed(1)
    return flow.build(SimpleNamespace(widths=list(widths), steps=15), side, side, classes)


def test_noise_follows_a_known_flow_to_where_it_leads() -> None:
    """To 3 + 0.5 times the noise, along straight lines; numpy and torch alike."""
    noise = np.linspace(-2, 2, 7)
    np.testing.assert_allclose(follow(lambda here, t: (3 - 0.5 * here) / (1 - 0.5 * t), noise, 15), 3 + 0.5 * noise, rtol=1e-12)
    there = follow(lambda here, t: torch.exp(torch.tensor(t)) * torch.ones_like(here), torch.zeros(2), 15)
    torch.testing.assert_close(there, torch.full((2,), float(np.e - 1)), rtol=4e-3, atol=0)


def test_the_best_linear_guess_is_the_one_that_regression_finds() -> None:
    net = made()
    net.spread.fill_(0.6)
    rng = np.random.default_rng(1)
    print_, noise = 0.6 * rng.normal(size=400_000), rng.normal(size=400_000)
    for t in (0.1, 0.5, 0.9):
        mixed, way = t * print_ + (1 - t) * noise, print_ - noise
        slope = (mixed * way).mean() / (mixed**2).mean()
        size, own, rest = (float(s) for s in net.scales(torch.tensor(t)))
        assert size == pytest.approx(mixed.std(), rel=0.01)
        assert own == pytest.approx(slope, abs=0.01)
        assert rest == pytest.approx((way - slope * mixed).std(), rel=0.01)


def test_before_it_has_learnt_anything_pictures_have_the_mean_and_spread_of_the_prints() -> None:
    net = made()
    net.mean.fill_(0.3)
    net.spread.fill_(0.5)
    pictures = flow.draw(net.eval(), torch.randn(200, flow.numbers(net)), torch.zeros(200, dtype=torch.int64)).detach()
    assert pictures.shape == (200, 1, 16, 16)
    assert float(pictures.mean()) == pytest.approx((0.3 + 1) / 2, abs=0.01)
    assert float(pictures.std()) == pytest.approx(0.5 / 2, rel=0.05)
    prints = (0.3 + 0.5 * torch.randn(200, 1, 16, 16) + 1) / 2
    noise, time, none = torch.randn_like(prints), torch.rand(200), torch.zeros(200)
    assert float(flow.loss(net, net, prints, none.long(), noise, time, none).detach()) == pytest.approx(1, abs=0.03)


def test_classes_and_prints_that_are_turned_over_are_learnt_apart() -> None:
    """Pictures dark on the left, of class 0, and bright on the left, of class 1, half of them shown turned over."""
    net = made(8, classes=2)
    draw = torch.Generator().manual_seed(1)
    prints = torch.full((32, 1, 8, 8), 0.8)
    classes = torch.arange(32) % 2
    prints[classes == 0, ..., :4] = 0.2
    prints[classes == 1, ..., 4:] = 0.2
    net.mean.fill_(float(prints.mean() * 2 - 1))
    net.spread.fill_(float(prints.std() * 2))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(400):
        noise, time = torch.randn(prints.shape, generator=draw), torch.randn(32, generator=draw).sigmoid()
        loss = flow.loss(net, net, prints, classes, noise, time, (torch.rand(32, generator=draw) < 0.5).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3
    with torch.inference_mode():
        pictures = flow.draw(net.eval(), torch.randn(20, 64, generator=draw), torch.arange(20) % 2)
    left, right = pictures[..., :4].mean((1, 2, 3)), pictures[..., 4:].mean((1, 2, 3))
    assert (left[::2] < right[::2] - 0.3).sum() >= 9
    assert (left[1::2] > right[1::2] + 0.3).sum() >= 9


@pytest.mark.parametrize(
    ("height", "width", "fold"), [(16, 16, 1), (32, 32, 1), (40, 48, 2), (64, 64, 2), (128, 64, 2), (128, 128, 4)]
)
def test_larger_pictures_are_folded_to_at_most_32_pixels(height: int, width: int, fold: int) -> None:
    net = flow.build(SimpleNamespace(widths=[4, 8], steps=2), height, width, 0)
    assert net.first.in_channels == fold**2
    assert flow.draw(net.eval(), torch.randn(2, height * width), torch.zeros(2)).shape == (2, 1, height, width)
    with pytest.raises(FpmlError, match=f"in multiples of {2 * fold} pixels"):
        flow.build(SimpleNamespace(widths=[4, 8], steps=2), height + fold, width, 0)
    with pytest.raises(FpmlError, match=r"model.widths is \[4, 6\]; a flow's last one is a multiple of 4"):
        flow.build(SimpleNamespace(widths=[4, 6], steps=2), height, width, 0)


@pytest.mark.parametrize(("family", "sections"), [(dcgan, "a flow's"), (flow, "a dcgan's")])
def test_sections_of_another_family_are_refused(family: Any, sections: str) -> None:
    settings = SimpleNamespace(widths=[4]) if family is dcgan else SimpleNamespace(generator_width=4)
    with pytest.raises(FpmlError, match=f"the recipe's model and train sections are {sections}"):
        family.build(settings, 64, 64, 0)
