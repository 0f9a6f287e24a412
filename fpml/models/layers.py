"""Layers that several families of networks share."""

from collections.abc import Callable
from typing import Any

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


def convolution(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution, batch normalisation (Ioffe and Szegedy 2015) and ReLU."""
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class FromBytes(nn.Module):
    """The network as it is registered: uint8 (B, 1, H, W) → float32 0..1, the scaling inside the graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> Tensor:
        out: Tensor = self.network(prints.float() / 255)
        return out


class Trunk(nn.Module):
    """(B, 1, H, W) float in 0..1 → embedding (B, numbers) of length 1: five convolutions, an average over a coarse grid of
    cells, which keeps where on the print something is, and a linear layer."""

    def __init__(self, width: int, grid: int, numbers: int) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            _rectified(1, w, 2), _rectified(w, 2 * w, 2), _rectified(2 * w, 2 * w, 1),
            _rectified(2 * w, 3 * w, 2), _rectified(3 * w, 3 * w, 1), nn.AdaptiveAvgPool2d(grid), nn.Flatten(),
        )  # fmt: skip
        self.embed = nn.Sequential(nn.Linear(3 * w * grid * grid, numbers, bias=False), nn.BatchNorm1d(numbers))

    def forward(self, prints: Tensor) -> Tensor:
        return F.normalize(self.embed(self.body(prints - 0.5)).float())


def _rectified(inside: int, outside: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


DIFFERENT = 6 / 255  # a larger difference between an altered print and its real one is damage
PictureLoss = Callable[[Tensor, Tensor], Tensor]  # (output, targets) → a scalar


def binary_cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """torch's, which refuses an output that is not a number (on a GPU with all that comes after): here that gives a loss that
    is not a number, as with every other loss."""
    lost = output.isnan()
    with torch.autocast(output.device.type, enabled=False):  # on CUDA torch refuses it under autocast
        found = F.binary_cross_entropy(output.masked_fill(lost, 0.5).float(), targets.float())
    return torch.where(lost.any(), torch.nan, found)


def plain_loss(output: Tensor, prints: Tensor, targets: Tensor, picture_loss: PictureLoss) -> Tensor:
    """The loss of a family that gives a picture and nothing else."""
    return picture_loss(output, targets)


def summary(network: nn.Module, run: Callable[[], Any]) -> list[dict[str, Any]]:
    """A row for each layer, in the order in which run() passes them: name, type, shape of its output, parameters."""
    rows: list[dict[str, Any]] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: Tensor) -> None:
            shape, count = list(output.shape[1:]), sum(p.numel() for p in layer.parameters())
            rows.append({"layer": name, "type": type(layer).__name__, "output": shape, "parameters": count})

        return hook

    leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return rows
