"""The networks: one family a file, found by its name. What a file offers, the Protocols below say.

Importing this imports no torch: settings name families, and every command reads settings."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from fpml.base.errors import FpmlError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fpml.models.layers import PictureLoss

SHARED = ("follow", "layers", "texture")  # files that are no family


class Family(Protocol):
    """Every family. KIND: what its networks do, by which a task says which models it can train.

    autoencoder and code: pictures to pictures through a code, which `encoder` and `decode` of a 'code' reach. pictures:
    pictures to pictures. embedding: pictures to classes and an embedding. adversary and flow: noise to pictures."""

    KIND: str

    def build(self, model: Any, height: int, width: int, classes: int) -> "nn.Module":
        """A network by a recipe's `model` settings. FpmlError for settings that don't fit."""


class PictureFamily(Family, Protocol):
    """One that turns pictures into pictures."""

    def loss(self, output: Any, prints: "Tensor", targets: "Tensor", picture_loss: "PictureLoss") -> "Tensor":
        """A scalar. output: what the network gave for prints, which should have been targets."""


class Autoencoder(PictureFamily, Protocol):
    """One that has a code in its middle."""

    def code_size(self, model: Any, height: int, width: int) -> int:
        """How many numbers a picture's code has."""


class Generator(Family, Protocol):
    """One that makes pictures from noise."""

    def numbers(self, network: Any) -> int:
        """How many normal numbers a picture is made from."""

    def draw(self, network: Any, latent: "Tensor", classes: "Tensor") -> "Tensor":
        """Those of pictures, (B, numbers), and the numbers of their classes (B,) → pictures (B, channels, H, W) in 0..1."""


class Adversary(Generator, Protocol):
    """A generator, with the network that it plays against."""

    def discriminator(self, model: Any, side: int, classes: int) -> "nn.Module": ...


class Flow(Generator, Protocol):
    """One whose networks say which way a mixture of noise and a picture lies; they are Ways."""

    def loss(
        self, network: Any, way: "Way", prints: "Tensor", classes: "Tensor", noise: "Tensor", time: "Tensor", turned: "Tensor"
    ) -> "Tensor":
        """A scalar. network: way, or what wraps it; time and turned (B,): the pictures' shares, and which are turned over."""


class Way(Protocol):
    """A flow's network: pictures (B, 1, H, W), times, classes and turned (B,) → ways (B, 1, H, W)."""

    size: tuple[int, int]  # H, W
    steps: int  # in which it is followed
    mean: "Tensor"  # of all prints' pixels, and their spread; training sets both
    spread: "Tensor"
    names: "nn.Embedding | None"  # the classes


@runtime_checkable
class Particular(Family, Protocol):
    """One that can't learn what it should by every recipe whose settings `build` takes."""

    def check(self, init: str, start_from: str, dpi: float, crop: str) -> None:
        """FpmlError for a start or prints with which it would learn nothing good."""


@cache
def names() -> tuple[str, ...]:
    """The families that there are: the files beside this one."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", *SHARED)))


def family(model: str) -> Family:
    return cast(Family, import_module(f"fpml.models.{model}"))


def family_of(model: str, task: str, kinds: tuple[str, ...]) -> Family:
    """The family of a name. FpmlError where it is not of the kinds that a task can train."""
    found = family(model)
    if found.KIND not in kinds:
        able = [name for name in names() if family(name).KIND in kinds]
        raise FpmlError(f"the model '{model}' can't be trained to {task}; for that: {', '.join(able)}")
    return found
