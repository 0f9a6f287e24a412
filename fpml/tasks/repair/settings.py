"""The settings of a repair recipe."""

from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Model, Promotion, Split, Train
from fpml.settings.types import STRICT, Count, Pictures, Resamples


@dataclass(frozen=True, config=STRICT)
class EvaluateRepair:
    bootstrap: Resamples
    looked: Count  # at most so many altered prints are looked at for their minutiae, evenly of each kind
    pictures: Pictures
    filters: list[Literal["median", "clahe", "gabor"]]  # of the network's input, each measured beside none


@dataclass(frozen=True, config=STRICT)
class Repair:
    about: ClassVar[str] = "Takes altered prints back to what they were"
    task: Literal["repair"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateRepair
    promotion: Promotion


RECIPE = Repair
KINDS = ("autoencoder", "pictures")  # of models that it can train
