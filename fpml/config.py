"""params.yaml as frozen dataclasses: no default hides in code, and every mistake names its key.

The classes below are the one list of settings; params.yaml gives all their values.
"""

import difflib
import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fpml.errors import FpmlError

STRICT = ConfigDict(extra="forbid", strict=True)
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dpi = Annotated[float, Field(ge=50, le=5000)]
LearningRate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Resamples = Annotated[int, Field(ge=100, le=100_000)]  # of the fingers, for 95 % intervals
Pictures = Annotated[int, Field(ge=1, le=50)]  # prints shown for each sensor
NAME = r"^[a-z0-9][a-z0-9-]*$"
Name = Annotated[str, Field(pattern=NAME)]


@dataclass(frozen=True, config=STRICT)
class Dataset:
    path: str  # a folder, below the project's root or absolute
    reader: Literal["fvc", "socofing", "polyu", "folder", "synth", "idx"]
    dpi: Dpi | dict[str, Dpi]  # one for all sensors, or sensor: dpi
    pattern: str  # folder reader: a regular expression for the file's path, with named groups; '' for none


@dataclass(frozen=True, config=STRICT)
class Synth:
    seed: Seed
    fvc_fingers: Annotated[int, Field(ge=2, le=100_000)]  # per database
    fvc_impressions: Annotated[int, Field(ge=1, le=100)]
    unseen_prints: Annotated[int, Field(ge=1, le=100_000)]  # on each of the two unseen sensors
    socofing_subjects: Annotated[int, Field(ge=1, le=10_000)]  # ten fingers each


@dataclass(frozen=True, config=STRICT)
class Ingest:
    max_pixels: Count  # a larger picture is quarantined, not decoded
    max_quarantined: Share  # a larger share of bad files stops the stage


@dataclass(frozen=True, config=STRICT)
class Data:
    train: Annotated[list[str], Field(min_length=1)]  # DATASET or DATASET/SENSOR; divided by `split`
    test: list[str]  # the same; never trained on
    height: Annotated[int, Field(ge=8, le=4096)]  # pixels
    width: Annotated[int, Field(ge=8, le=4096)]
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
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    optimizer: Literal["rmsprop", "adam", "adamw"]
    learning_rate: LearningRate
    schedule: Literal["constant", "cosine"]  # of the learning rate, over the epochs
    flips: bool  # prints turned over at random, left to right and top to bottom: another finger, yet as good to learn from
    loss: Literal["mse", "l1", "bce", "ssim"]  # between the picture that comes out and the one that should
    start_from: str  # a weights.safetensors to go on training from, below the project's root or absolute; '' for none


@dataclass(frozen=True, config=STRICT)
class SplitRecognise:
    unseen: Annotated[float, Field(ge=0, lt=1)]  # share of the fingers that are kept for verification, never trained on
    test: Annotated[int, Field(ge=1, le=1000)]  # prints of every other finger to be tested on, at random
    validation: Annotated[float, Field(gt=0, lt=1)]  # share of what then remains of a finger: it picks the epoch
    seed: Seed


@dataclass(frozen=True, config=STRICT)
class ModelRecognise:
    blocks: Annotated[list[Count], Field(max_length=8)]  # of a ResNet's four levels, [3, 4, 6, 3] for ResNet-50
    width: Annotated[int, Field(ge=1, le=512)]  # 64 for ResNet-50
    init: Literal["none", "imagenet", "synthetic"]  # what training starts from
    weights: str  # imagenet: a safetensors file with torchvision's names, or '' to have it downloaded
    synthetic_fingers: Annotated[int, Field(ge=2, le=100_000)]  # synthetic: how many generated fingers come first,
    synthetic_epochs: Count  # and for how long


@dataclass(frozen=True, config=STRICT)
class TrainRecognise:
    seed: Seed
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=2, le=65_536)]
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
    occlusion: Annotated[int, Field(ge=1, le=4096)]  # pixels: side of the square that hides a part of a print
    stride: Annotated[int, Field(ge=1, le=4096)]  # pixels that it moves on
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class ModelGenerate:
    latent: Annotated[int, Field(ge=1, le=4096)]  # numbers that a picture is made from
    generator_width: Annotated[int, Field(ge=1, le=512)]
    discriminator_width: Annotated[int, Field(ge=1, le=512)]
    channels: Annotated[int, Field(ge=1, le=3)]  # 1: grey; 3: grey three times, as published
    condition: Literal["none", "hand", "finger", "pattern"]  # what a picture may be asked for by
    spectral_norm: bool  # of the discriminator, in place of its batch normalisation: steadier (Miyato et al. 2018)


@dataclass(frozen=True, config=STRICT)
class TrainGenerate:
    seed: Seed
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=2, le=65_536)]
    learning_rate: LearningRate
    beta1: Annotated[float, Field(ge=0, lt=1)]  # of Adam
    real_label: Annotated[float, Field(gt=0.5, le=1)]  # what the discriminator is told of real prints; under 1 calms it
    average: Annotated[float, Field(ge=0, lt=1)]  # of the generator's weights from step to step; 0: the last ones
    sheet_every: Count  # epochs between two sheets of fixed noise
    start_from: str


@dataclass(frozen=True, config=STRICT)
class EvaluateGenerate:
    samples: Annotated[int, Field(ge=16, le=1_000_000)]  # made to be measured
    inception: str  # an ONNX file of ImageNet's Inception, for its score; '' for none


@dataclass(frozen=True, config=STRICT)
class EvaluateReconstruct:
    bootstrap: Resamples
    pca_prints: Annotated[int, Field(ge=2)]  # at most so many training prints are used for the PCA baseline
    pictures: Pictures


@dataclass(frozen=True, config=STRICT)
class EvaluateRepair:
    bootstrap: Resamples
    pictures: Pictures
    filters: list[Literal["median", "clahe", "gabor"]]  # of the network's input, each measured beside none


@dataclass(frozen=True, config=STRICT)
class EvaluateCompress:
    bootstrap: Resamples
    pca_prints: Annotated[int, Field(ge=2)]  # at most so many training prints for PCA and the nearest neighbours
    noise: list[Annotated[float, Field(gt=0, le=1)]]  # standard deviations of the de-noising test, on a scale of 0..1
    bits: list[Annotated[int, Field(ge=1, le=8)]]  # for each number of the code, in the compression test
    one_class_epochs: Annotated[int, Field(ge=0, le=1000)]  # of a network that sees one class only; 0: left out


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


@dataclass(frozen=True, config=STRICT)
class Run:
    task: str  # the recipe's; said again here, since DVC finds the stages' code by it
    model: str  # one of fpml/models


@dataclass(frozen=True, config=STRICT)
class Runtime:
    engine: Literal["local", "dask"]  # where synth, ingest and prepare run, and the embedding of galleries
    scheduler: str  # dask: the address of its scheduler, tcp://127.0.0.1:8786 or, beyond this machine, tls://…
    workers: Annotated[int, Field(ge=0)]  # local: so many processes; 0: one a core
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16"]
    processes: Annotated[int, Field(ge=0)]  # training processes; 0: one a GPU

    @property
    def pool(self) -> int | str:
        """What fpml.parallel takes for workers."""
        return self.scheduler if self.engine == "dask" else self.workers


@dataclass(frozen=True, config=STRICT)
class Drift:
    prints: Annotated[int, Field(ge=20)]  # at most so many of either side are compared
    limit: Annotated[float, Field(gt=0, le=1)]  # of the Kolmogorov-Smirnov distance; more is drift


@dataclass(frozen=True, config=STRICT)
class Tracking:
    uri: str  # '' is mlflow.db in the project's root
    experiment: Annotated[str, Field(min_length=1)]
    log_images: Literal["synthetic-only", "all", "none"]  # which prints may be seen in MLflow and the report


@dataclass(frozen=True, config=STRICT)
class Params:
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    synth: Synth
    ingest: Ingest
    run: Annotated[dict[Name, Run], Field(min_length=1)]
    recipes: dict[Name, Annotated[Recipe, Field(discriminator="task")]]
    runtime: Runtime
    drift: Drift
    tracking: Tracking

    def recipe(self, name: str) -> Recipe:
        if name not in self.recipes:
            raise FpmlError(f"no recipe '{name}' in params.yaml; there are: {', '.join(self.recipes)}")
        return self.recipes[name]


def load(path: Path) -> Params:
    """Read and check params.yaml. FpmlError names the key, what was found and what is allowed."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run fpml in the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise FpmlError(f"{path} is no YAML: {where}") from None
    return check(raw, str(path))


def check(raw: Any, source: str = "params.yaml") -> Params:
    if not isinstance(raw, dict):
        raise FpmlError(f"{source}: found {type(raw).__name__}, allowed: a mapping of settings")
    try:
        params = TypeAdapter(Params).validate_json(json.dumps(raw, default=str))
    except TypeError:
        raise FpmlError(f"{source}: a key is neither text nor a number; put it in quotes") from None
    except ValidationError as error:
        raise FpmlError("; ".join(_explanations(error.errors(), source)[:3])) from None
    _check_references(params, source)
    return params


def _check_references(params: Params, source: str) -> None:
    if params.runtime.engine == "dask" and not params.runtime.scheduler:
        raise FpmlError(f"{source}: runtime.engine is dask, and runtime.scheduler is ''; give the scheduler's address")
    for name in params.run:
        if name not in params.recipes:
            raise FpmlError(f"{source}: run.{name} has no recipes.{name}; there are: {', '.join(params.recipes)}")
    families = sorted(p.stem for p in (Path(__file__).parent / "models").glob("*.py"))
    families = [f for f in families if f not in ("__init__", "layers")]
    for name, run in params.run.items():
        if run.task != params.recipes[name].task:
            raise FpmlError(f"{source}: run.{name}.task is '{run.task}'; recipes.{name}.task is '{params.recipes[name].task}'")
        if run.model not in families:
            raise FpmlError(f"{source}: run.{name}.model is '{run.model}'; allowed: {', '.join(families)}")
        data = params.recipes[name].data
        for key, entries in (("train", data.train), ("test", data.test)):
            for entry in entries:
                if entry.split("/")[0] not in params.datasets:
                    raise FpmlError(
                        f"{source}: recipes.{name}.data.{key} names '{entry}'; datasets has: {', '.join(params.datasets)}"
                    )
        both = [t for t in data.test for r in data.train if t == r or t.startswith(f"{r}/") or r.startswith(f"{t}/")]
        if both:
            raise FpmlError(f"{source}: recipes.{name}.data trains and tests on {', '.join(sorted(both))}; name it once")
    for name, dataset in params.datasets.items():
        if dataset.pattern and dataset.reader != "folder":
            raise FpmlError(f"{source}: datasets.{name}.pattern is for the folder reader; leave it '' for {dataset.reader}")


def _explanations(errors: list[Any], source: str) -> list[str]:
    """A sentence for each key: unknown ones first, since a key that is missed is often one that was misspelt."""
    unknown = [e for e in errors if e["type"] in ("unexpected_keyword_argument", "extra_forbidden")]
    by_key: dict[str, str] = {}
    for error in unknown or errors:
        by_key.setdefault(".".join(_location(error)), _explain(error, source))
    return list(by_key.values())


def _location(error: Any) -> list[str]:
    """The keys on the way; a union's branches ('constrained-float', 'dict[...]', a recipe's task) are no keys of the file."""
    location = [str(p) for p in error["loc"] if not str(p).startswith(("constrained-", "dict[", "[key]", "function-"))]
    return location[:2] + location[3:] if location[0] == "recipes" else location


def _explain(error: Any, source: str) -> str:
    location = _location(error)
    key = ".".join(location)
    found = error["input"]
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        task = str(error["loc"][2]) if location[0] == "recipes" else ""
        names = _names_at(location[:-1], task)
        close = difflib.get_close_matches(location[-1], names, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ";"
        return f"{source}: unknown key '{key}'{hint} allowed: {', '.join(names)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{source}: missing key '{key}'; every setting is stated (presets/demo.yaml has them all)"
    if error["type"].startswith("union_tag"):
        found = found.get("task") if isinstance(found, dict) else found
        return f"{source}: '{key}.task' is {found!r}; allowed: {', '.join(TASKS)}"
    message = error["msg"].replace("Input should", "should").replace("String should", "should")
    hint = ""
    if isinstance(found, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", found):
        hint = f"; YAML takes it for text: write {found.lower().replace('e', '.0e')}"
    return f"{source}: '{key}' is {found!r} ({type(found).__name__}); it {message}{hint}"


def _names_at(location: list[str], task: str) -> list[str]:
    """The names allowed below a place in the file; task: of the recipe in which it lies."""
    here: Any = Params
    for part in location:
        here = get_type_hints(here)[part] if is_dataclass(here) else get_args(here)[1]
        here = TASKS.get(task) if here == Recipe else here
    return [f.name for f in fields(here)] if is_dataclass(here) else []
