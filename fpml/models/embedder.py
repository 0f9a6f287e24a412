"""A small network whose embedding tells fingers apart: five convolutions, and a linear layer over a coarse grid of them."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import Trunk

KIND = "embedding"
GRID = 6  # cells a side
NUMBERS = 128  # of the embedding
SCALE = 16.0  # of the cosines that become logits


class Embedder(nn.Module):
    """(B, 1, H, W) float in 0..1 → logits (B, classes) and embedding (B, 128) of length 1.

    A logit is the embedding's cosine with its class's row, times SCALE."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk(width, GRID, NUMBERS)
        self.fc = nn.Linear(NUMBERS, classes, bias=False)

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.trunk(prints)
        return SCALE * F.linear(embedding, F.normalize(self.fc.weight.float())), embedding


class Settings(Protocol):
    """What a recipe's `model` section says of an embedder."""

    @property
    def width(self) -> int: ...


def build(model: Settings, height: int, width: int, classes: int) -> Embedder:
    if height % (8 * GRID) or width % (8 * GRID):
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs multiples of {8 * GRID}")
    return Embedder(model.width, classes)
