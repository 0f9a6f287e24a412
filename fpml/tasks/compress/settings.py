"""The settings of a compress recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Model, Promotion, Split, Train
from fpml.settings.types import STRICT, Resamples, Whole


@dataclass(frozen=True, config=STRICT)
class EvaluateCompress:
    bootstrap: Resamples
    pca_prints: Annotated[Whole, Field(ge=2)]  # at most so many training prints for PCA and the nearest neighbours
    noise: list[Annotated[float, Field(gt=0, le=1)]]  # standard deviations of the de-noising test, on a scale of 0..1
    bits: list[Annotated[Whole, Field(ge=1, le=8)]]  # for each number of the code, in the compression test
    one_class_epochs: Annotated[Whole, Field(ge=0, le=1000)]  # of a network that sees one class only; 0: left out


@dataclass(frozen=True, config=STRICT)
class Compress:
    about: ClassVar[str] = "Squeezes the middle of a print into 128 numbers that can be looked at"
    task: Literal["compress"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateCompress
    promotion: Promotion


RECIPE = Compress
KINDS = ("code",)  # of models that it can train
