"""The house: imports only go down, one place finds a task, and DVC knows all code that can change a stage's outputs."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from fpml import models, tasks
from fpml.data import readers
from tests.conftest import REPOSITORY, demo_settings

# Code that a stage's outputs don't depend on: how commands and settings are read (their values are `params` of the stage), how
# work is spread, and how runs are told to MLflow.
NO_PART_OF_AN_OUTPUT = ("fpml.base", "fpml.cli", "fpml.settings", "fpml.project", "fpml.tracking")
ENTRY = {  # the modules that a stage's command calls
    "synth": ["fpml.synth.write"],
    "ingest": ["fpml.data.ingest", "fpml.data.readers.${item.reader}"],
    "prepare": ["fpml.data.prepare", *(f"fpml.data.readers.{name}" for name in readers.names())],
    "split": ["fpml.data.split", "fpml.data.store"],
    "train": ["fpml.stages.train", "fpml.models.${item.model}", "fpml.tasks.${item.task}.task"],
    "evaluate": ["fpml.stages.evaluate", "fpml.models.${item.model}", "fpml.tasks.${item.task}.task"],
    "report": ["fpml.report.page"],
}


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("fpml", exclude_type_checking_imports=True)


def needed(entries: list[str], left_out: set[str]) -> set[str]:
    """The modules that these lead to, but for those that are no part of an output, and what only those lead to."""
    found, waiting = set[str](), list(entries)
    while waiting:
        module = waiting.pop()
        if (
            module in found
            or module in left_out
            or ((module.startswith(NO_PART_OF_AN_OUTPUT) or module.endswith(".settings")) and module not in entries)
        ):
            continue
        found.add(module)
        waiting += imports().find_modules_directly_imported_by(module)
    return found - {"fpml"}


def stages() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in found.items()}


def covered(module: str, deps: list[str]) -> bool:
    file = REPOSITORY / (module.replace(".", "/") + ".py")
    path = file.relative_to(REPOSITORY) if file.exists() else Path(module.replace(".", "/")) / "__init__.py"
    return any(str(path) == dep or str(path).startswith(f"{dep}/") for dep in deps)


def uncovered(stage: str, item: dict[str, str]) -> list[str]:
    def filled(text: str) -> str:
        return re.sub(r"\$\{item\.(\w+)\}", lambda found: item.get(found[1], found[1]), text)

    deps = [filled(dep) for dep in stages()[stage]["deps"]]
    # A task has both, of which a stage calls one. What trains a model is upstream of measuring it.
    train, evaluate = r"fpml\.(training|synth|data|tasks\.\w+\.train)\b", r"fpml\.tasks\.\w+\.evaluate"
    other = {"train": evaluate, "evaluate": train}.get(stage, "$")
    left_out = {module for module in imports().modules if re.match(other, module)}
    return sorted(m for m in needed([filled(e) for e in ENTRY[stage]], left_out) if not covered(m, deps) and not is_empty(m))


def is_empty(module: str) -> bool:
    """A package's __init__ that only says what the folder is."""
    file = REPOSITORY / module.replace(".", "/") / "__init__.py"
    return file.exists() and not re.sub(r'""".*?"""', "", file.read_text(encoding="utf-8"), flags=re.S).strip()


@pytest.mark.parametrize("stage", ["synth", "prepare", "split", "report"])
def test_dvc_knows_the_code_of_a_stage(stage: str) -> None:
    assert uncovered(stage, {}) == []


@pytest.mark.parametrize("reader", readers.names())
def test_dvc_knows_the_code_of_ingest(reader: str) -> None:
    assert uncovered("ingest", {"reader": reader}) == []


@pytest.mark.parametrize("stage", ["train", "evaluate"])
@pytest.mark.parametrize("run", demo_settings()["run"].values(), ids=lambda run: f"{run['task']}-{run['model']}")
def test_dvc_knows_the_code_of_a_run(stage: str, run: dict[str, str]) -> None:
    assert uncovered(stage, run) == []


def test_a_task_s_own_code_makes_no_other_task_stale() -> None:
    """A change to recognise's saliency maps measures recognise anew, and nothing else."""
    for stage in ("train", "evaluate"):
        for dep in stages()[stage]["deps"]:
            assert not re.match(r"fpml/tasks/(?!\$|__init__|protocol)", dep), dep


def test_a_task_imports_no_other_task() -> None:
    for name in tasks.names():
        others = {f"fpml.tasks.{other}" for other in tasks.names() if other != name}
        own = {module for module in imports().modules if module.startswith(f"fpml.tasks.{name}.")}
        reached = {found for module in own for found in imports().find_modules_directly_imported_by(module)}
        assert not {module for module in reached if module in others or module.rpartition(".")[0] in others}


def test_imports_only_go_down() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=REPOSITORY, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_what_there_is_is_found_by_its_file() -> None:
    """No list of tasks, readers or models is kept by hand."""
    for name in tasks.names():
        assert tasks.recipe_class(name).__dataclass_fields__["task"].type.__args__ == (name,)
        assert tasks.task(name)
    for name in readers.names():
        assert callable(readers.reader_named(name).describe)
    kinds = {kind for name in tasks.names() for kind in tasks.kinds(name)}
    assert {models.family(name).KIND for name in models.names()} == kinds
