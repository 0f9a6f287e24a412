import math

import pytest
import torch
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.models import aligned
from fpml.tasks.recognise.settings import ModelRecognise

SETTINGS = ModelRecognise(blocks=[], width=4, init="none", weights="", synthetic_fingers=2, synthetic_epochs=1)


def ridges(angle: float) -> Tensor:
    """Waves whose lines run at an angle, in radians counter-clockwise from the horizontal."""
    y, x = torch.meshgrid(torch.arange(160.0), torch.arange(128.0), indexing="ij")
    return 0.5 + 0.5 * torch.sin((x * math.sin(angle) + y * math.cos(angle)) * 2 * math.pi / 4)[None, None]


def test_logits_and_an_embedding_of_length_1() -> None:
    network = aligned.build(SETTINGS, 160, 128, 7).eval()
    logits, embedding = network(torch.rand(2, 1, 160, 128))
    assert logits.shape == (2, 7)
    assert embedding.shape == (2, aligned.NUMBERS)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-5)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(FpmlError, match="this model needs 160 x 128, at 200 dpi"):
        aligned.build(SETTINGS, 128, 128, 7)
    with pytest.raises(FpmlError, match="needs an even number"):
        aligned.build(ModelRecognise(**{**SETTINGS.__dict__, "width": 5}), 160, 128, 7)


def test_prints_that_it_can_t_lay_straight_are_refused() -> None:
    aligned.check("shipped", "", 200, "print")
    aligned.check("none", "some.safetensors", 200, "print")
    with pytest.raises(FpmlError, match=r"model.init is none; this model starts from shipped, or from train.start_from"):
        aligned.check("none", "", 200, "print")
    for dpi, crop in ((250, "print"), (200, "squash")):
        with pytest.raises(FpmlError, match=f"data.dpi is {dpi} and data.crop {crop}; this model needs 200 and print"):
            aligned.check("shipped", "", dpi, crop)


def test_what_lies_askew_is_laid_straight() -> None:
    """A finger's axis, turned by 30 degrees counter-clockwise and moved, becomes the upright line through the middle."""
    y, x = torch.meshgrid(torch.arange(160) - 79.5, torch.arange(128) - 63.5, indexing="ij")
    right, down, angle = 12.0, -20.0, math.radians(30)
    # Seen on the picture, whose y goes down: the axis's direction is (-sin, -cos).
    across = (x - right) * math.cos(angle) - (y - down) * math.sin(angle)
    along = (x - right) * math.sin(angle) + (y - down) * math.cos(angle)
    axis = ((across.abs() < 2) & (along.abs() < 50)).float()[None, None]
    network = aligned.build(SETTINGS, 160, 128, 7)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)]])
    view = network.straight(axis, torch.tensor([[right, down]]), turn)[0, 0]
    assert view.shape == aligned.VIEW
    middle = aligned.VIEW[1] // 2
    assert view[24:120, middle - 1 : middle + 1].min() > 0.9
    assert view[:, : middle - 6].max() < 0.1
    assert view[:, middle + 6 :].max() < 0.1


def test_grey_and_contrast_make_no_difference() -> None:
    prints = ridges(0.3)
    even, dim = aligned.evened(prints), aligned.evened(0.2 + 0.5 * prints)
    assert torch.allclose(even, dim, atol=0.15)
    assert 0.8 < float(even.std()) < 1.2
    assert aligned.evened(torch.full((1, 1, 160, 128), 0.7)).abs().max() < 1e-2  # a plate alone


@pytest.mark.parametrize("degrees", [0, 40, 90, 135])
def test_flow_is_the_direction_of_the_ridges(degrees: float) -> None:
    angle = math.radians(degrees)
    flow = aligned.flow(aligned.evened(ridges(angle)))
    assert flow.shape == (1, 3, 40, 32)
    cosine, sine, strength = flow[0, :, 20, 16].tolist()
    # The gradient stands across the ridges, and y goes down: twice its angle is pi less twice theirs, mirrored.
    assert cosine == pytest.approx(-math.cos(2 * angle), abs=0.1)
    assert sine == pytest.approx(math.sin(2 * angle), abs=0.1)
    assert strength > 0.3
