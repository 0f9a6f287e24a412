"""The parts of a recipe that tasks share: data, split, model, training, promotion. A task's own are in its folder."""

from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.types import STRICT, Count, Dpi, LearningRate, Seed, Whole


class Schedule(Protocol):
    """How a learning rate goes over the epochs."""

    @property
    def epochs(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def schedule(self) -> str: ...


class Recipe(Protocol):
    """What every task's recipe, a dataclass, has; `split`, `model`, `train` and `evaluate` may be classes of the task's own."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    about: ClassVar[str]  # what the task does, in one line that a newcomer understands

    @property
    def task(self) -> str: ...
    @property
    def data(self) -> "Data": ...
    @property
    def split(self) -> Any: ...
    @property
    def model(self) -> Any: ...
    @property
    def train(self) -> Any: ...
    @property
    def evaluate(self) -> Any: ...
    @property
    def promotion(self) -> "Promotion": ...


@dataclass(frozen=True, config=STRICT)
class Data:
    train: Annotated[list[str], Field(min_length=1)]  # DATASET or DATASET/SENSOR; divided by `split`
    test: list[str]  # the same; never trained on
    height: Annotated[Whole, Field(ge=8, le=4096)]  # pixels
    width: Annotated[Whole, Field(ge=8, le=4096)]
    dpi: Dpi
    crop: Literal["print", "none", "squash"]  # the print found and cut out; the whole picture; that, resized to a rectangle


@dataclass(frozen=True, config=STRICT)
class Split:
    by: Literal["finger", "subject", "image", "given"]
    validation: Annotated[float, Field(gt=0, lt=1)]  # share of the groups
    seed: Seed


@dataclass(frozen=True, config=STRICT)
class SplitWithinFingers:
    unseen: Annotated[float, Field(ge=0, lt=1)]  # share of the fingers that are kept for verification, never trained on
    test: Annotated[Whole, Field(ge=1, le=1000)]  # prints of every other finger to be tested on, at random
    validation: Annotated[float, Field(gt=0, lt=1)]  # share of what then remains of a finger: it picks the epoch
    seed: Seed


@dataclass(frozen=True, config=STRICT)
class Model:
    widths: Annotated[list[Count], Field(min_length=1, max_length=16)]  # how many, the model says


@dataclass(frozen=True, config=STRICT)
class Train:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    batch_size: Annotated[Whole, Field(ge=1, le=65_536)]
    optimizer: Literal["rmsprop", "adam", "adamw"]
    learning_rate: LearningRate
    schedule: Literal["constant", "cosine"]  # of the learning rate, over the epochs
    flips: bool  # prints turned over at random, left to right and top to bottom: another finger, yet as good to learn from
    loss: Literal["mse", "l1", "bce", "ssim"]  # between the picture that comes out and the one that should
    start_from: str  # weights.safetensors (below the project's root, or absolute) or a shipped model to go on from; '' for none


@dataclass(frozen=True, config=STRICT)
class Promotion:
    metric: str  # one of those that evaluate measures
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]  # what the whole 95 % interval of the gain must exceed
