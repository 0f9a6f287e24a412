"""The convolutional autoencoder published for FVC2002: conv 32-64-128 | conv 128-64-1, 3 x 3, 314,625 parameters.

Its code is 128 maps at a quarter of the side: at 224 x 224 that is 401,408 numbers for 50,176 pixels, so
copying is possible and a low error proves little. Measure it beside PCA and a low-pass copy.
"""

import torch
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import UpsampledConv, glorot, plain_loss
from fpml.settings.recipe import Model

KIND = "autoencoder"


class Autoencoder(nn.Module):
    """(B, 1, H, W) float in 0..1 → the same shape. H and W must be divisible by 4."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        a, b, c = widths
        self.encoder = nn.Sequential(
            glorot(nn.Conv2d(1, a, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(a, b, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(b, c, 3, padding=1)), nn.ReLU(),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            glorot(nn.Conv2d(c, c, 3, padding=1)), nn.ReLU(),
            glorot(UpsampledConv(c, b)), nn.ReLU(),
            glorot(UpsampledConv(b, 1)),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(self.encoder(prints)).float())


def build(model: Model, height: int, width: int, classes: int) -> Autoencoder:
    if height % 4 or width % 4:
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of 4")
    if len(model.widths) != 3:
        raise FpmlError(f"model.widths is {model.widths}; the autoencoder has three numbers, as [32, 64, 128]")
    return Autoencoder(model.widths)


def code_size(model: Model, height: int, width: int) -> int:
    """How many numbers the code of one print has."""
    return model.widths[2] * (height // 4) * (width // 4)


loss = plain_loss
