"""The settings of a reconstruct recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Model, Promotion, Split, Train
from fpml.settings.types import STRICT, Count, Pictures, Resamples, Whole


@dataclass(frozen=True, config=STRICT)
class EvaluateReconstruct:
    bootstrap: Resamples
    pca_prints: Annotated[Whole, Field(ge=2)]  # at most so many training prints are used for the PCA baseline
    looked: Count  # at most so many prints are looked at for their minutiae, evenly over all
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class Reconstruct:
    about: ClassVar[str] = "Squeezes a print into a code and draws it again; tested on sensors it was never trained on"
    task: Literal["reconstruct"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateReconstruct
    promotion: Promotion


RECIPE = Reconstruct
KINDS = ("autoencoder", "code")  # of models that it can train
