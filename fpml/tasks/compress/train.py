"""compress: a small network learns to give back what it is shown, through a code that can be taken out."""

from torch import Tensor, nn

from fpml.training.export import Registered
from fpml.training.pictures import own_targets as sets
from fpml.training.pictures import train

__all__ = ["registered", "sets", "train"]


class _FromBytes(nn.Module):
    """uint8 (B, 1, H, W) → the reconstruction (B, 1, H, W) and the code (B, numbers), both float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        code: Tensor = self.network.encoder(prints.float() / 255)  # type: ignore[operator]
        return self.network.decode(code), code  # type: ignore[operator]


def registered(network: nn.Module, prints: Tensor) -> Registered:
    return Registered(_FromBytes(network), {"prints": prints}, ("reconstruction", "code"))
