"""repair: a network is shown an altered print and learns to give the real one. Pairs come from source_id."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.data.pairs import pairs
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.tasks.repair.settings import Repair
from fpml.training.batches import Batches
from fpml.training.export import Registered
from fpml.training.pictures import train
from fpml.training.session import Sets

__all__ = ["pairs", "registered", "sets", "train"]


def sets(prints: Prepared, side: np.ndarray, recipe: Repair, accelerator: Accelerator) -> Sets:
    """Altered prints with their real ones as targets. side: (n,) what each prepared print is for."""
    if recipe.data.crop == "print":
        raise FpmlError("data.crop is print, which places an altered print elsewhere than its real one; for repair: none")
    if recipe.split.by == "image":
        raise FpmlError("split.by is image, which trains on real prints whose altered copies are held out; for repair: subject")
    table = pairs(prints.index)
    made = []
    for name in (TRAIN, VALIDATION):
        both = table[(side[table["altered"]] == name) & (side[table["real"]] == name)]
        if both.empty:
            raise FpmlError(f"no pair of an altered and a real print is on the side '{name}'; split by subject or finger")
        rows, targets = both["altered"].to_numpy(), both["real"].to_numpy()
        made.append(Batches(prints, rows, recipe.train.batch_size, accelerator, targets))
    training, validation = made
    return Sets(training, validation)


class _FromBytes(nn.Module):
    """uint8 (B, 1, H, W) → the repaired print and where it was damaged, both float32 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        return repaired(self.network, prints.float() / 255)


def repaired(network: nn.Module, prints: Tensor) -> tuple[Tensor, Tensor]:
    """The repaired print and the damage map of any family: its own, or how much it changed."""
    output = network(prints)
    if isinstance(output, tuple):
        return output[0], output[1]
    return output, torch.abs(output - prints)


def registered(network: nn.Module, prints: Tensor) -> Registered:
    return Registered(_FromBytes(network), {"prints": prints}, ("repaired", "damage"), stepped=("repaired",))
