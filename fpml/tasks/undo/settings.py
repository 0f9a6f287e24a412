"""The settings of a recipe that learns to undo alterations."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Model, Promotion, Split
from fpml.settings.types import STRICT, Count, LearningRate, Pictures, Resamples, Seed, Whole


@dataclass(frozen=True, config=STRICT)
class TrainUndo:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    steps: Count  # batches an epoch, of each network
    batch_size: Annotated[Whole, Field(ge=2, le=4096)]  # prints, altered anew in every batch
    fresh_fingers: Annotated[Whole, Field(ge=0, le=1_000_000)]  # generated once, four prints of each; 0: data.train alone
    learning_rate: LearningRate
    average: Annotated[float, Field(ge=0, lt=1)]  # of the weights from step to step; 0: the last ones
    start_from: str  # a weights.safetensors or a model that comes with fpml, to go on from; '' for none


@dataclass(frozen=True, config=STRICT)
class EvaluateUndo:
    bootstrap: Resamples
    looked: Count  # at most so many altered prints are looked at for their minutiae, evenly of each kind
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class Undo:
    about: ClassVar[str] = "Finds what was done to an altered print, and moves back what was moved"
    task: Literal["undo"]
    data: Data
    split: Split
    model: Model
    train: TrainUndo
    evaluate: EvaluateUndo
    promotion: Promotion


RECIPE = Undo
KINDS = ("undo",)  # of models that it can train
