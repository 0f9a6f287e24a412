"""The judge: one fixed fingerprint network that scores what others make, so that scores don't move when a recipe is retrained.

Trained on generated prints only. Its weights are shipped; docs/judge.md has the command that makes them, and
what it can tell. Whatever is scored comes to it as a whole picture, resized to SIDE x SIDE."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from fpml.base.shipped import SHIPPED, as_shipped, card_of
from fpml.models.layers import Trunk

VERSION = "judge-2"
FOLDER = SHIPPED / VERSION
SIDE = 96  # pixels
GRID, NUMBERS = 6, 128  # cells a side that the embedding is made from, and its length
BATCH = 256


@dataclass(frozen=True)
class Judge:
    version: str
    sha256: str
    network: nn.Module  # prints → embedding

    @torch.inference_mode()
    def __call__(self, prints: Tensor) -> np.ndarray:
        """The embeddings (B, 128) of prints (B, 1, H, W) in 0..1."""
        parts = [prints[start : start + BATCH].float().cpu() for start in range(0, len(prints), BATCH)]
        return np.concatenate([self.network(as_seen(part)).numpy() for part in parts])


def as_seen(prints: Tensor) -> Tensor:
    """Whole pictures of any size as the judge sees them: SIDE x SIDE, mean 0 and spread 1 each."""
    small = F.interpolate(prints, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    mean, spread = small.mean((2, 3), keepdim=True), small.std((2, 3), keepdim=True)
    return (small - mean) / spread.clamp(min=1e-3)


class JudgeNetwork(nn.Module):
    """Prints as the judge sees them → embeddings (B, NUMBERS)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = Trunk(width, GRID, NUMBERS)

    def forward(self, prints: Tensor) -> Tensor:
        embedding: Tensor = self.trunk(prints)
        return embedding


def load_judge() -> Judge:
    """The shipped judge. FpmlError where its file is not the one that its card names."""
    card, content = card_of(FOLDER), as_shipped(FOLDER / "weights.safetensors")
    network = JudgeNetwork(card["width"])
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load(content).items()})
    return Judge(VERSION, card["sha256"], network.eval())
