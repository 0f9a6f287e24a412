"""The settings of a generate recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Promotion, Split
from fpml.settings.types import STRICT, Count, LearningRate, Seed, Whole


@dataclass(frozen=True, config=STRICT)
class ModelGenerate:
    latent: Annotated[Whole, Field(ge=1, le=4096)]  # numbers that a picture is made from
    generator_width: Annotated[Whole, Field(ge=1, le=512)]
    discriminator_width: Annotated[Whole, Field(ge=1, le=512)]
    channels: Annotated[Whole, Field(ge=1, le=3)]  # 1: grey; 3: grey three times, as published
    condition: Literal["none", "hand", "finger", "pattern"]  # what a picture may be asked for by
    spectral_norm: bool  # of the discriminator, in place of its batch normalisation: steadier (Miyato et al. 2018)


@dataclass(frozen=True, config=STRICT)
class TrainGenerate:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    batch_size: Annotated[Whole, Field(ge=2, le=65_536)]
    learning_rate: LearningRate
    beta1: Annotated[float, Field(ge=0, lt=1)]  # of Adam
    real_label: Annotated[float, Field(gt=0.5, le=1)]  # what the discriminator is told of real prints; under 1 calms it
    average: Annotated[float, Field(ge=0, lt=1)]  # of the generator's weights from step to step; 0: the last ones
    sheet_every: Count  # epochs between two sheets of fixed noise
    start_from: str


@dataclass(frozen=True, config=STRICT)
class EvaluateGenerate:
    samples: Annotated[Whole, Field(ge=16, le=1_000_000)]  # made to be measured
    inception: str  # an ONNX file of ImageNet's Inception, for its score; '' for none
    beside: str  # a sensor of `fpml synth`, whose prints are measured in the same way; '' for none


@dataclass(frozen=True, config=STRICT)
class Generate:
    about: ClassVar[str] = "Makes new prints from noise"
    task: Literal["generate"]
    data: Data
    split: Split
    model: ModelGenerate
    train: TrainGenerate
    evaluate: EvaluateGenerate
    promotion: Promotion


RECIPE = Generate
KINDS = ("adversary",)  # of models that it can train
