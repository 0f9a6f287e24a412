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
            _glorot(nn.Conv2d(1, a, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            _glorot(nn.Conv2d(a, b, 3, padding=1)), nn.ReLU(), nn.MaxPool2d(2),
            _glorot(nn.Conv2d(b, c, 3, padding=1)), nn.ReLU(),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            _glorot(nn.Conv2d(c, c, 3, padding=1)), nn.ReLU(),
            _glorot(UpsampledConv(c, b)), nn.ReLU(),
            _glorot(UpsampledConv(b, 1)),
        )  # fmt: skip

    def forward(self, prints: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(self.encoder(prints)))


class UpsampledConv(nn.Conv2d):
    """Nearest upsampling by 2, then a 3 x 3 convolution: (B, C, H, W) → (B, C', 2H, 2W).

    Computed as one transposed convolution whose 4 x 4 kernel adds up the taps that meet the same pixel: 4
    products for each output instead of 9, and no enlarged copy of the input. The result is the same."""

    # Which of the three taps (columns) each row of the kernel of 4 adds up.
    TAPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        taps = self.weight.new_tensor(self.TAPS)
        kernel = torch.einsum("ak,bl,oikl->ioab", taps, taps, self.weight)
        return F.conv_transpose2d(maps, kernel, self.bias, stride=2, padding=1)


def _glorot(layer: nn.Conv2d) -> nn.Conv2d:
    """Keras's defaults: Glorot-uniform weights, zero biases."""
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
