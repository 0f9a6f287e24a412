"""The sections of params.yaml but for the recipes."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from fpml.settings.types import STRICT, Count, Dpi, Seed, Share, Whole

NAME = r"^[a-z0-9][a-z0-9-]*$"
Name = Annotated[str, Field(pattern=NAME)]


@dataclass(frozen=True, config=STRICT)
class Dataset:
    path: str  # a folder, below the project's root or absolute
    reader: str  # one of fpml/data/readers
    dpi: Dpi | dict[str, Dpi]  # one for all sensors, or sensor: dpi
    pattern: str  # folder reader: a regular expression for the file's path, with named groups; '' for none


@dataclass(frozen=True, config=STRICT)
class Synth:
    seed: Seed
    fvc_fingers: Annotated[Whole, Field(ge=2, le=100_000)]  # per database
    fvc_impressions: Annotated[Whole, Field(ge=1, le=100)]
    unseen_prints: Annotated[Whole, Field(ge=1, le=100_000)]  # on each of the two unseen sensors
    socofing_subjects: Annotated[Whole, Field(ge=1, le=10_000)]  # ten fingers each
    minutiae_fingers: Annotated[Whole, Field(ge=4, le=100_000)]  # each on four sensors, four impressions


@dataclass(frozen=True, config=STRICT)
class Ingest:
    max_pixels: Count  # a larger picture is quarantined, not decoded
    max_quarantined: Share  # a larger share of bad files stops the stage


@dataclass(frozen=True, config=STRICT)
class Run:
    task: str  # one of fpml/tasks; DVC finds the stages' code by it
    model: str  # one of fpml/models


@dataclass(frozen=True, config=STRICT)
class Runtime:
    engine: Literal["local", "dask"]  # where synth, ingest and prepare run, and the embedding of galleries
    scheduler: str  # dask: the address of its scheduler, tcp://127.0.0.1:8786 or, beyond this machine, tls://…
    workers: Annotated[Whole, Field(ge=0)]  # local: so many processes; 0: one a core
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16"]
    processes: Annotated[Whole, Field(ge=0)]  # training processes; 0: one a GPU

    @property
    def pool(self) -> int | str:
        """What fpml.base.parallel takes for workers."""
        return self.scheduler if self.engine == "dask" else self.workers


@dataclass(frozen=True, config=STRICT)
class Drift:
    prints: Annotated[Whole, Field(ge=20)]  # at most so many of either side are compared
    limit: Annotated[float, Field(gt=0, le=1)]  # of the Kolmogorov-Smirnov distance; more is drift


@dataclass(frozen=True, config=STRICT)
class Tracking:
    uri: str  # '' is mlflow.db in the project's root
    experiment: Annotated[str, Field(min_length=1)]
    log_images: Literal["synthetic-only", "all", "none"]  # which prints may be seen in MLflow and the report
