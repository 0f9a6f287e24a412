"""The tasks: a folder each, found by its name. What a folder holds, fpml/tasks/protocol.py says.

Importing this imports no torch: settings are read by every command."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpml.settings.recipe import Recipe
    from fpml.tasks.protocol import Task


@cache
def names() -> tuple[str, ...]:
    """The tasks that there are: the folders beside this file."""
    return tuple(sorted(p.parent.name for p in Path(__file__).parent.glob("*/settings.py")))


def recipe_class(task: str) -> "type[Recipe]":
    """The dataclass of a task's recipes: what its settings.py calls RECIPE."""
    found: type[Recipe] = import_module(f"fpml.tasks.{task}.settings").RECIPE
    return found


def kinds(task: str) -> tuple[str, ...]:
    """The kinds of models that a task can train: what its settings.py calls KINDS."""
    found: tuple[str, ...] = import_module(f"fpml.tasks.{task}.settings").KINDS
    return found


def task(name: str) -> "Task[Any]":
    """What a task does: what its task.py calls TASK. Imports torch."""
    found: Task[Any] = import_module(f"fpml.tasks.{name}.task").TASK
    return found


def commands(name: str) -> dict[str, Any]:
    """A task's commands, where its folder has a commands.py: their name, what they say of themselves, function, arguments."""
    if not (Path(__file__).parent / name / "commands.py").exists():
        return {}
    found: dict[str, Any] = import_module(f"fpml.tasks.{name}.commands").COMMANDS
    return found
