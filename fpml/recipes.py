"""What a recipe states: data, split, model, training, evaluation, promotion. A class for each task; fpml.config reads them."""

from typing import Annotated, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, functional_validators
from pydantic.dataclasses import dataclass


def _whole(found: object) -> object:
    """1e5 and 100000.0, as people and DVC write them, are whole numbers too."""
    return int(found) if isinstance(found, float) and found.is_integer() else found


STRICT = ConfigDict(extra="forbid", strict=True)
Whole = Annotated[int, functional_validators.BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dpi = Annotated[float, Field(ge=50, le=5000)]
LearningRate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Resamples = Annotated[Whole, Field(ge=100, le=100_000)]  # of the fingers, for 95 % intervals
Pictures = Annotated[Whole, Field(ge=1, le=50)]  # prints shown for each sensor


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
    start_from: str  # a weights.safetensors to go on training from, below the project's root or absolute; '' for none


@dataclass(frozen=True, config=STRICT)
class SplitRecognise:
    unseen: Annotated[float, Field(ge=0, lt=1)]  # share of the fingers that are kept for verification, never trained on
    test: Annotated[Whole, Field(ge=1, le=1000)]  # prints of every other finger to be tested on, at random
    validation: Annotated[float, Field(gt=0, lt=1)]  # share of what then remains of a finger: it picks the epoch
    seed: Seed


@dataclass(frozen=True, config=STRICT)
class ModelRecognise:
    blocks: Annotated[list[Count], Field(max_length=8)]  # of a ResNet's four levels, [3, 4, 6, 3] for ResNet-50
    width: Annotated[Whole, Field(ge=1, le=512)]  # 64 for ResNet-50
    init: Literal["none", "imagenet", "synthetic"]  # what training starts from
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


@dataclass(frozen=True, config=STRICT)
class EvaluateReconstruct:
    bootstrap: Resamples
    pca_prints: Annotated[Whole, Field(ge=2)]  # at most so many training prints are used for the PCA baseline
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class EvaluateRepair:
    bootstrap: Resamples
    pictures: Pictures
    filters: list[Literal["median", "clahe", "gabor"]]  # of the network's input, each measured beside none


@dataclass(frozen=True, config=STRICT)
class EvaluateCompress:
    bootstrap: Resamples
    pca_prints: Annotated[Whole, Field(ge=2)]  # at most so many training prints for PCA and the nearest neighbours
    noise: list[Annotated[float, Field(gt=0, le=1)]]  # standard deviations of the de-noising test, on a scale of 0..1
    bits: list[Annotated[Whole, Field(ge=1, le=8)]]  # for each number of the code, in the compression test
    one_class_epochs: Annotated[Whole, Field(ge=0, le=1000)]  # of a network that sees one class only; 0: left out


@dataclass(frozen=True, config=STRICT)
class Promotion:
    metric: str  # one of those that evaluate measures
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]  # what the whole 95 % interval of the gain must exceed


@dataclass(frozen=True, config=STRICT)
class Reconstruct:
    task: Literal["reconstruct"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateReconstruct
    promotion: Promotion


@dataclass(frozen=True, config=STRICT)
class Repair:
    task: Literal["repair"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateRepair
    promotion: Promotion


@dataclass(frozen=True, config=STRICT)
class Compress:
    task: Literal["compress"]
    data: Data
    split: Split
    model: Model
    train: Train
    evaluate: EvaluateCompress
    promotion: Promotion


@dataclass(frozen=True, config=STRICT)
class Recognise:
    task: Literal["recognise"]
    data: Data
    split: SplitRecognise
    model: ModelRecognise
    train: TrainRecognise
    evaluate: EvaluateRecognise
    promotion: Promotion


@dataclass(frozen=True, config=STRICT)
class Generate:
    task: Literal["generate"]
    data: Data
    split: Split
    model: ModelGenerate
    train: TrainGenerate
    evaluate: EvaluateGenerate
    promotion: Promotion


Recipe = Reconstruct | Repair | Compress | Recognise | Generate
TASKS = {str(get_args(get_type_hints(recipe)["task"])[0]): recipe for recipe in get_args(Recipe)}
