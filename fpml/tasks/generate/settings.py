"""The settings of a generate recipe."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Promotion, Split
from fpml.settings.types import STRICT, Count, LearningRate, Seed, Whole

OF_ADVERSARY, OF_FLOW = "of an adversary", "of a flow"  # what a section is of; with a space, which no key has
Condition = Literal["none", "hand", "finger", "pattern"]  # what a picture may be asked for by


@dataclass(frozen=True, config=STRICT)
class ModelAdversary:
    latent: Annotated[Whole, Field(ge=1, le=4096)]  # numbers that a picture is made from
    generator_width: Annotated[Whole, Field(ge=1, le=512)]
    discriminator_width: Annotated[Whole, Field(ge=1, le=512)]
    channels: Annotated[Whole, Field(ge=1, le=3)]  # 1: grey; 3: grey three times, as published
    condition: Condition  # what a picture may be asked for by
    spectral_norm: bool  # of the discriminator, in place of its batch normalisation: steadier (Miyato et al. 2018)


@dataclass(frozen=True, config=STRICT)
class ModelFlow:
    widths: Annotated[list[Count], Field(min_length=1, max_length=6)]  # of its maps, each half as large as the ones before
    steps: Annotated[Whole, Field(ge=1, le=1000)]  # from noise to a picture, of two looks each (Heun's method)
    condition: Condition  # what a picture may be asked for by


@dataclass(frozen=True, config=STRICT)
class TrainAdversary:
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
class TrainFlow:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    batch_size: Annotated[Whole, Field(ge=1, le=65_536)]
    learning_rate: LearningRate
    average: Annotated[float, Field(ge=0, lt=1)]  # of the weights from step to step; 0: the last ones
    flips: bool  # prints also shown turned over, left to right, and told so: none is made that way
    sheet_every: Count  # epochs between two sheets of fixed noise
    start_from: str


def _of(section: Any) -> str:
    """Whose section it is, by the keys that only one of them has: one that is misspelt changes nothing."""
    keys = set(section) if isinstance(section, dict) else set(getattr(section, "__dataclass_fields__", ()))
    adversary, flow = (
        {field for section in of for field in section.__dataclass_fields__}
        for of in ((ModelAdversary, TrainAdversary), (ModelFlow, TrainFlow))
    )
    return OF_ADVERSARY if len(keys & (adversary - flow)) > len(keys & (flow - adversary)) else OF_FLOW


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
    model: Annotated[Annotated[ModelAdversary, Tag(OF_ADVERSARY)] | Annotated[ModelFlow, Tag(OF_FLOW)], Discriminator(_of)]
    train: Annotated[Annotated[TrainAdversary, Tag(OF_ADVERSARY)] | Annotated[TrainFlow, Tag(OF_FLOW)], Discriminator(_of)]
    evaluate: EvaluateGenerate
    promotion: Promotion


RECIPE = Generate
KINDS = ("adversary", "flow")  # of models that it can train
