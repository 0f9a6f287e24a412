"""An autoencoder that can't copy: its code has at most an eighth as many numbers as the print has pixels.

It works on patches of 8 x 8 pixels: each becomes one place with 64 channels, and all convolutions run on the small grid
of patches, where a ridge's direction, phase and distance are a few numbers. Residual blocks as in He et al. 2016.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import plain_loss
from fpml.settings.recipe import Model

PATCH = 8  # pixels on a side
SHARE = 8  # pixels for each number of the code, at least
STEEP = 4.0  # before the sigmoid, so that black and white are in reach of small weights
KIND = "autoencoder"


class Residual(nn.Module):
    """(B, C, h, w) → the same, itself and a correction that begins as nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        correction: Tensor = self.mix(F.gelu(self.around(maps)))
        return maps + correction


class TightAutoencoder(nn.Module):
    """(B, 1, H, W) float in 0..1 → the same shape. H and W must be divisible by 8."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH), nn.Conv2d(PATCH**2, width, 3, padding=1), Residual(width), nn.Conv2d(width, code, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(code, width, 3, padding=1), Residual(width), Residual(width),
            nn.Conv2d(width, PATCH**2, 1), nn.PixelShuffle(PATCH),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return torch.sigmoid(STEEP * self.decoder(self.encoder(prints - 0.5)).float())


def build(model: Model, height: int, width: int, classes: int) -> TightAutoencoder:
    if height % PATCH or width % PATCH:
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of {PATCH}")
    if len(model.widths) != 2:
        raise FpmlError(f"model.widths is {model.widths}; the tight autoencoder has two numbers: of its layers and of its code")
    if code_size(model, height, width) * SHARE > height * width:
        raise FpmlError(
            f"model.widths ends in {model.widths[-1]}; a code of at most an eighth of the pixels has 8 maps or fewer"
        )
    return TightAutoencoder(*model.widths)


def code_size(model: Model, height: int, width: int) -> int:
    """How many numbers the code of one print has."""
    return model.widths[-1] * (height // PATCH) * (width // PATCH)


loss = plain_loss
