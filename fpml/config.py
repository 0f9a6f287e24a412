"""params.yaml as frozen dataclasses: no default hides in code, and every mistake names its key.

The classes below are the one list of settings; params.yaml gives all their values.
"""

import difflib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML, YAMLError

from fpml.errors import FpmlError
from fpml.recipes import STRICT, TASKS, Count, Dpi, Recipe, Seed, Share, Whole

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
    fvc_fingers: Annotated[Whole, Field(ge=2, le=100_000)]  # per database
    fvc_impressions: Annotated[Whole, Field(ge=1, le=100)]
    unseen_prints: Annotated[Whole, Field(ge=1, le=100_000)]  # on each of the two unseen sensors
    socofing_subjects: Annotated[Whole, Field(ge=1, le=10_000)]  # ten fingers each


@dataclass(frozen=True, config=STRICT)
class Ingest:
    max_pixels: Count  # a larger picture is quarantined, not decoded
    max_quarantined: Share  # a larger share of bad files stops the stage


@dataclass(frozen=True, config=STRICT)
class Run:
    task: str  # the recipe's; said again here, since DVC finds the stages' code by it
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
        """What fpml.parallel takes for workers."""
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
        # By YAML 1.2 and with DVC's own reader, so that 5e-05, no and 1:30 are to fpml what they are to DVC.
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run fpml in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
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
    return f"{source}: '{key}' is {found!r} ({type(found).__name__}); it {message}"


def _names_at(location: list[str], task: str) -> list[str]:
    """The names allowed below a place in the file; task: of the recipe in which it lies."""
    here: Any = Params
    for part in location:
        here = get_type_hints(here)[part] if is_dataclass(here) else get_args(here)[1]
        here = TASKS.get(task) if here == Recipe else here
    return [f.name for f in fields(here)] if is_dataclass(here) else []
