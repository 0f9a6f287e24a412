"""The settings of a recognise recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Promotion, SplitWithinFingers
from fpml.settings.types import STRICT, Count, LearningRate, Pictures, Resamples, Seed, Whole


@dataclass(frozen=True, config=STRICT)
class ModelRecognise:
    blocks: Annotated[list[Count], Field(max_length=8)]  # of a ResNet's four levels, [3, 4, 6, 3] for ResNet-50
    width: Annotated[Whole, Field(ge=1, le=512)]  # 64 for ResNet-50
    init: Literal["none", "imagenet", "synthetic", "shipped"]  # what training starts from
    weights: str  # imagenet: a safetensors file with torchvision's names, or '' to have it downloaded
    synthetic_fingers: Annotated[Whole, Field(ge=2, le=100_000)]  # synthetic: how many generated fingers come first,
    synthetic_epochs: Count  # and for how long


@dataclass(frozen=True, config=STRICT)
class TrainRecognise:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    batch_size: Annotated[Whole, Field(ge=2, le=65_536)]
    learning_rate: LearningRate
    schedule: Literal["constant", "cosine"]
    fc_penalty: Annotated[float, Field(ge=0, le=1)]  # of the last layer's squared weights, added to the loss
    flips: bool  # as published; a mirrored print is another finger's
    crops: Annotated[float, Field(ge=0, lt=1)]  # share of each side that a random crop may lose
    turns: Annotated[float, Field(ge=0, le=180)]  # degrees that a print may be turned either way
    distortion: Annotated[float, Field(ge=0, le=0.5)]  # of a print's half side, that its skin may be pulled
    start_from: str


@dataclass(frozen=True, config=STRICT)
class EvaluateRecognise:
    bootstrap: Resamples
    fmr: Annotated[float, Field(gt=0, lt=1)]  # false match rate of the threshold that is kept with the model
    occlusion: Annotated[Whole, Field(ge=1, le=4096)]  # pixels: side of the square that hides a part of a print
    stride: Annotated[Whole, Field(ge=1, le=4096)]  # pixels that it moves on
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class Recognise:
    about: ClassVar[str] = "Says which known finger a print is of, and whether two prints are of one finger"
    task: Literal["recognise"]
    data: Data
    split: SplitWithinFingers
    model: ModelRecognise
    train: TrainRecognise
    evaluate: EvaluateRecognise
    promotion: Promotion


RECIPE = Recognise
KINDS = ("embedding",)  # of models that it can train
