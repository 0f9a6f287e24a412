"""The settings of a minutiae recipe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.recipe import Data, Model, Promotion, Split
from fpml.settings.types import STRICT, Count, LearningRate, Pictures, Resamples, Seed, Whole


@dataclass(frozen=True, config=STRICT)
class TrainMinutiae:
    seed: Seed
    epochs: Annotated[Whole, Field(ge=1, le=100_000)]
    steps: Annotated[Whole, Field(ge=0, le=1_000_000)]  # batches of crops an epoch; 0: only textures are learned
    batch_size: Annotated[Whole, Field(ge=2, le=65_536)]  # crops
    crop: Annotated[Whole, Field(ge=64, le=1024, multiple_of=16)]  # pixels, the side of a crop
    texture_steps: Annotated[Whole, Field(ge=0, le=1_000_000)]  # batches of patches an epoch
    minutiae: Annotated[Whole, Field(ge=2, le=65_536)]  # of a batch of patches, two impressions of each
    fresh_fingers: Annotated[Whole, Field(ge=0, le=1_000_000)]  # generated anew for each epoch, four prints of each; 0: none
    kept_epochs: Count  # how many epochs such prints stay among those that crops are taken from
    learning_rate: LearningRate
    schedule: Literal["constant", "cosine"]  # of the learning rate, over the epochs
    average: Annotated[float, Field(ge=0, lt=1)]  # of the weights from step to step; 0: the last ones
    start_from: str  # a weights.safetensors or a model that comes with fpml, to go on from; '' for none


@dataclass(frozen=True, config=STRICT)
class EvaluateMinutiae:
    bootstrap: Resamples
    fmr: Annotated[float, Field(gt=0, lt=1)]  # false match rate of the threshold that is stored with the model
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class Minutiae:
    about: ClassVar[str] = "Finds endings and forks of ridges, by which prints are compared"
    task: Literal["minutiae"]
    data: Data
    split: Split
    model: Model
    train: TrainMinutiae
    evaluate: EvaluateMinutiae
    promotion: Promotion


RECIPE = Minutiae
KINDS = ("minutiae",)  # of models that it can train
