"""The convolutional autoencoder published for FVC2002: conv 32-64-128 | conv 128-64-1, 3 x 3, 314,625 parameters.

Its code is 128 maps at a quarter of the side: at 224 x 224 that is 401,408 numbers for 50,176 pixels, so
copying is possible and a low error proves little. Measure it beside PCA and a low-pass copy.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.config import Model
from fpml.errors import FpmlError


class Autoencoder(nn.Module):
    """(B, 1, H, W) float in 0..1 → the same shape. H and W must be divisible by 4."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        a, b, c = widths
        self.encoder = nn.Sequential(
            _conv(1, a), nn.ReLU(), nn.MaxPool2d(2), _conv(a, b), nn.ReLU(), nn.MaxPool2d(2), _conv(b, c), nn.ReLU()
        )
        self.decoder = nn.Sequential(
            _conv(c, c), nn.ReLU(), nn.Upsample(scale_factor=2, mode="nearest"),
            _conv(c, b), nn.ReLU(), nn.Upsample(scale_factor=2, mode="nearest"),
            _conv(b, 1),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(self.encoder(prints)))


def _conv(inside: int, outside: int) -> nn.Conv2d:
    """A 'same' 3 x 3 convolution with Keras's defaults: Glorot-uniform weights, zero biases."""
    layer = nn.Conv2d(inside, outside, 3, padding=1)
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def build(model: Model, height: int, width: int) -> Autoencoder:
    if height % 4 or width % 4:
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of 4")
    return Autoencoder(model.widths)


def code_size(model: Model, height: int, width: int) -> int:
    """How many numbers the code of one print has."""
    return model.widths[2] * (height // 4) * (width // 4)


def loss(output: Tensor, prints: Tensor) -> Tensor:
    """Mean squared error, in float32 whatever the network ran in."""
    return F.mse_loss(output.float(), prints)


class FromBytes(nn.Module):
    """The network as it is registered: uint8 (B, 1, H, W) → float32 0..1, the scaling inside the graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> Tensor:
        out: Tensor = self.network(prints.float() / 255)
        return out
