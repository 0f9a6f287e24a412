"""params.yaml as frozen dataclasses: no default hides in code, and every mistake names its key.

The classes in fpml/settings and in each task's settings.py are the one list of settings; params.yaml gives all values.
"""

import difflib
import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import Field, Tag, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fpml import models, tasks
from fpml.base.errors import FpmlError
from fpml.data import readers
from fpml.settings.reading import read_yaml
from fpml.settings.recipe import Recipe
from fpml.settings.sections import Dataset, Drift, Ingest, Name, Run, Runtime, Synth, Tracking
from fpml.settings.types import STRICT

if TYPE_CHECKING:
    OfAnyTask = Recipe
else:  # the tasks are found, not listed, which a type checker can't follow
    OfAnyTask = Annotated[Union[tuple(tasks.recipe_class(t) for t in tasks.names())], Field(discriminator="task")]  # noqa: UP007


@dataclass(frozen=True, config=STRICT)
class Params:
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    synth: Synth
    ingest: Ingest
    run: Annotated[dict[Name, Run], Field(min_length=1)]
    recipes: dict[Name, OfAnyTask]
    runtime: Runtime
    drift: Drift
    tracking: Tracking

    def recipe(self, name: str) -> Recipe:
        if name not in self.recipes:
            raise FpmlError(f"no recipe '{name}' runs by params.yaml; there are: {', '.join(self.recipes)}")
        return self.recipes[name]


def load(path: Path) -> Params:
    """Read and check params.yaml. FpmlError names the key, what was found and what is allowed."""
    return check(read_yaml(path), str(path))


def check(raw: Any, source: str = "params.yaml") -> Params:
    if not isinstance(raw, dict):
        raise FpmlError(f"{source}: found {type(raw).__name__}, allowed: a mapping of settings")
    try:
        params = TypeAdapter(Params).validate_json(json.dumps(_with_tasks(raw, source), default=str))
    except TypeError:
        raise FpmlError(f"{source}: a key is neither text nor a number; put it in quotes") from None
    except ValidationError as error:
        raise FpmlError("; ".join(_explanations(error.errors(), source)[:3])) from None
    _check_references(params, source)
    return params


def _with_tasks(raw: dict[str, Any], source: str) -> dict[str, Any]:
    """The settings with only the recipes that run, each with its task, which `run` says."""
    run, recipes = raw.get("run"), raw.get("recipes")
    if not (isinstance(run, dict) and isinstance(recipes, dict)):
        return raw
    chosen = {}
    for name, one in run.items():
        if name not in recipes:
            raise FpmlError(f"{source}: run.{name} has no recipes.{name}; there are: {', '.join(map(str, recipes))}")
        if not (isinstance(one, dict) and isinstance(recipes[name], dict)):
            return raw
        if "task" in recipes[name]:
            raise FpmlError(f"{source}: recipes.{name}.task: a recipe's task is said in run.{name}; delete this line")
        chosen[name] = {"task": one.get("task"), **recipes[name]}
    return {**raw, "recipes": chosen}


def _check_references(params: Params, source: str) -> None:
    if params.runtime.engine == "dask" and not params.runtime.scheduler:
        raise FpmlError(f"{source}: runtime.engine is dask, and runtime.scheduler is ''; give the scheduler's address")
    for name, run in params.run.items():
        if run.model not in models.names():
            raise FpmlError(f"{source}: run.{name}.model is '{run.model}'; allowed: {', '.join(models.names())}")
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
        if dataset.reader not in readers.names():
            raise FpmlError(f"{source}: datasets.{name}.reader is '{dataset.reader}'; allowed: {', '.join(readers.names())}")
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
    """The keys on the way; a union's branches ('constrained-float', 'dict[...]', a recipe's task, 'of a flow') are no keys of
    the file."""
    location = [str(p) for p in error["loc"] if not str(p).startswith(("constrained-", "dict[", "[key]", "function-", "of a"))]
    return location[:2] + location[3:] if location[0] == "recipes" else location


def _explain(error: Any, source: str) -> str:
    location = _location(error)
    key = ".".join(location)
    found = error["input"]
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        task = str(error["loc"][2]) if location[0] == "recipes" else ""
        names = _names_at(location[:-1], task, next((str(p) for p in error["loc"] if str(p).startswith("of a")), ""))
        close = difflib.get_close_matches(location[-1], names, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ";"
        return f"{source}: unknown key '{key}'{hint} allowed: {', '.join(names)}"
    if error["type"] in ("missing", "missing_argument"):
        return f"{source}: missing key '{key}'; every setting is stated; `git log -p params.yaml` shows values it had"
    if error["type"].startswith("union_tag"):
        found = found.get("task") if isinstance(found, dict) else found
        return f"{source}: '{key.replace('recipes.', 'run.')}.task' is {found!r}; allowed: {', '.join(tasks.names())}"
    message = re.sub(r"^\w+ should", "should", error["msg"])
    return f"{source}: '{key}' is {found!r} ({type(found).__name__}); it {message}"


def _names_at(location: list[str], task: str, of: str) -> list[str]:
    """The names allowed below a place in the file; task: of the recipe in which it lies; of: which of several sections."""
    here: Any = Params
    if location[:1] == ["recipes"] and len(location) > 1:
        here, location = tasks.recipe_class(task) if task in tasks.names() else None, location[2:]
    for part in location:
        here = get_type_hints(here, include_extras=True)[part] if is_dataclass(here) else get_args(here)[1]
        here = _branch(here, of)
    return [f.name for f in fields(here) if f.name != "task"] if is_dataclass(here) else []


def _branch(hint: Any, of: str) -> Any:
    """A type without what is said about it; of several the one with a tag."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
        hint = next((part for part in get_args(hint) if Tag(of) in get_args(part)), hint)
    return hint
