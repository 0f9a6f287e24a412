"""An autoencoder that can't copy: its code has at most an eighth as many numbers as the print has pixels.

The published one's layers with one more pooling, and a narrow last convolution whose maps are the code: with 8 maps
at an eighth of the side, 2,048 numbers for 128 x 128 pixels.
"""

import torch
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import UpsampledConv, glorot, plain_loss
from fpml.settings.recipe import Model

SHARE = 8  # pixels for each number of the code, at least
KIND = "autoencoder"


class TightAutoencoder(nn.Module):
    """(B, 1, H, W) float in 0..1 → the same shape. H and W must be divisible by 8."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        a, b, c, code = widths
        self.encoder = nn.Sequential(
            glorot(nn.Conv2d(1, a, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(a, b, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(b, c, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(c, code, 3, padding=1)),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            glorot(nn.Conv2d(code, c, 3, padding=1)), nn.ReLU(),
            glorot(UpsampledConv(c, b)), nn.ReLU(),
            glorot(UpsampledConv(b, a)), nn.ReLU(),
            glorot(UpsampledConv(a, 1)),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(self.encoder(prints)).float())


def build(model: Model, height: int, width: int, classes: int) -> TightAutoencoder:
    if height % 8 or width % 8:
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of 8")
    if len(model.widths) != 4:
        raise FpmlError(f"model.widths is {model.widths}; the tight autoencoder has four numbers, the last one of its code")
    if code_size(model, height, width) * SHARE > height * width:
        raise FpmlError(
            f"model.widths ends in {model.widths[-1]}; a code of at most an eighth of the pixels has 8 maps or fewer"
        )
    return TightAutoencoder(model.widths)


def code_size(model: Model, height: int, width: int) -> int:
    """How many numbers the code of one print has."""
    return model.widths[-1] * (height // 8) * (width // 8)


loss = plain_loss
