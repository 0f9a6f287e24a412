"""reconstruct: a network learns to give back the print it is shown."""

from torch import Tensor, nn

from fpml.models.layers import FromBytes
from fpml.training.export import Registered
from fpml.training.pictures import own_targets as sets
from fpml.training.pictures import train

__all__ = ["registered", "sets", "train"]


def registered(network: nn.Module, prints: Tensor) -> Registered:
    return Registered(FromBytes(network), {"prints": prints}, ("reconstruction",))
