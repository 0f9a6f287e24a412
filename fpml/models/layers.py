"""Layers that several families of networks share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


def glorot(layer: nn.Conv2d) -> nn.Conv2d:
    """Keras's defaults: Glorot-uniform weights, zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class FromBytes(nn.Module):
    """The network as it is registered: uint8 (B, 1, H, W) → float32 0..1, the scaling inside the graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> Tensor:
        out: Tensor = self.network(prints.float() / 255)
        return out


PictureLoss = Callable[[Tensor, Tensor], Tensor]  # (output, targets) → a scalar


def plain_loss(output: Tensor, prints: Tensor, targets: Tensor, picture_loss: PictureLoss) -> Tensor:
    """The loss of a family that gives a picture and nothing else."""
    return picture_loss(output, targets)
