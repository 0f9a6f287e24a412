"""The small autoencoder published for Fashion-MNIST, whose code can be taken out and looked at: 28 x 28 pixels, a code of
128 numbers (16 x 8 as a picture), 4,385 parameters, 1,904 of them in the encoder."""

import torch
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import UpsampledConv, glorot, plain_loss
from fpml.settings.recipe import Model

KIND = "code"
SIDE, GRID = 28, 4  # pixels; of the code's maps


class SmallAutoencoder(nn.Module):
    """(B, 1, 28, 28) float in 0..1 → the same."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        a, b, c = widths
        self.encoder = nn.Sequential(
            glorot(nn.Conv2d(1, a, 3)), nn.ReLU(), nn.MaxPool2d(2),
            glorot(nn.Conv2d(a, b, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
            glorot(nn.Conv2d(b, c, 3, stride=2, padding=1)), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (c, GRID, GRID)),
            glorot(nn.Conv2d(c, c, 3, padding=1)), nn.ReLU(),
            glorot(UpsampledConv(c, b)), nn.ReLU(),
            nn.Upsample(scale_factor=2), glorot(nn.Conv2d(b, a, 3)), nn.ReLU(),
            glorot(UpsampledConv(a, 1)),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return self.decode(self.encoder(prints))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 16 * widths[2]) → prints."""
        return torch.sigmoid(self.decoder(codes).float())


def build(model: Model, height: int, width: int, classes: int) -> SmallAutoencoder:
    if (height, width) != (SIDE, SIDE):
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model is made for {SIDE} x {SIDE}")
    if len(model.widths) != 3:
        raise FpmlError(f"model.widths is {model.widths}; the small autoencoder has three numbers, as [16, 8, 8]")
    return SmallAutoencoder(model.widths)


def code_size(model: Model, height: int, width: int) -> int:
    return model.widths[2] * GRID * GRID


loss = plain_loss
