"""reconstruct: a network learns to give back the print it is shown."""

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.config import Reconstruct
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models.layers import FromBytes
from fpml.train.batches import Batches
from fpml.train.export import Registered
from fpml.train.pictures import train
from fpml.train.session import Sets

__all__ = ["registered", "sets", "train"]


def sets(prints: Prepared, side: np.ndarray, recipe: Reconstruct, accelerator: Accelerator) -> Sets:
    """Every print is its own target. side: (n,) what each prepared print is for."""
    size = recipe.train.batch_size
    training, validation = (Batches(prints, np.flatnonzero(side == s), size, accelerator) for s in (TRAIN, VALIDATION))
    return Sets(training, validation)


def registered(network: nn.Module, prints: Tensor) -> Registered:
    return Registered(FromBytes(network), {"prints": prints}, ("reconstruction",))
