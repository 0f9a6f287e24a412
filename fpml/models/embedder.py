"""A small network whose embedding tells fingers apart: six convolutions, and a linear layer over a coarse grid of them.

The grid keeps where on the print something is, which an average over the whole map would lose."""

import torch.nn.functional as F
from torch import Tensor, nn

from fpml.config import ModelRecognise
from fpml.errors import FpmlError

TASKS = ("recognise",)
GRID = 6  # cells a side
NUMBERS = 128  # of the embedding
SCALE = 16.0  # of the cosines that become logits


def _layer(inside: int, outside: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Embedder(nn.Module):
    """(B, 1, H, W) float in 0..1 → logits (B, classes) and embedding (B, 128) of length 1.

    A logit is the embedding's cosine with its class's row, times SCALE."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            _layer(1, w, 2), _layer(w, 2 * w, 2), _layer(2 * w, 2 * w, 1),
            _layer(2 * w, 3 * w, 2), _layer(3 * w, 3 * w, 1), nn.AdaptiveAvgPool2d(GRID), nn.Flatten(),
        )  # fmt: skip
        self.embed = nn.Sequential(nn.Linear(3 * w * GRID * GRID, NUMBERS, bias=False), nn.BatchNorm1d(NUMBERS))
        self.fc = nn.Linear(NUMBERS, classes, bias=False)

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        flat = prints - 0.5
        embedding = F.normalize(self.embed(self.body(flat)).float())
        return SCALE * F.linear(embedding, F.normalize(self.fc.weight.float())), embedding


def build(model: ModelRecognise, height: int, width: int, classes: int) -> Embedder:
    if height % (8 * GRID) or width % (8 * GRID):
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of {8 * GRID}")
    return Embedder(model.width, classes)
