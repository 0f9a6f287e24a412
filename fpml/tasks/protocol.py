"""What a task is: the one Protocol that all of them keep, and what passes between it and the stages.

A task's folder has
    settings.py   RECIPE, the dataclass of its recipes, and KINDS, the kinds of models that it can train
    task.py       TASK, which keeps the Protocol below
    train.py, evaluate.py   what TASK is made of
    commands.py   COMMANDS of its own for fpml, if it has any
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.parallel import Workers
from fpml.data.manifest import is_synthetic
from fpml.data.store import Prepared
from fpml.models import Family
from fpml.settings.recipe import Recipe
from fpml.training import first_weights
from fpml.training.export import Registered
from fpml.training.session import Session, Sets

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Trained(Generic[R]):
    """A trained run and its prints."""

    name: str
    recipe: R
    network: nn.Module  # on `device`, in eval mode
    family: Family
    classes: tuple[str, ...]
    prints: Prepared
    side: np.ndarray  # (n,) what each prepared print is for
    device: torch.device
    history: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """scores: a row for each print and method. table: side, part, method, metric, value, low, high, prints, fingers; a
    part's name begins with its dataset's. facts: plain json; `headline` names the metric that is shown first, `notes` are
    sentences for the report, `matrix` names the metric of a train-sensor x test-sensor matrix, if there is one, and `why` says
    for a model that can't be expected to reach the best baseline why not."""

    scores: pd.DataFrame
    table: pd.DataFrame
    facts: dict[str, Any]


@dataclass
class Album:
    """The figures of a run, and for each whether it shows prints and whether those are generated."""

    folder: Path
    index: pd.DataFrame
    figures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file: str, title: str, rows: np.ndarray | None = None) -> Path:
        """Where to draw a figure. rows: the prepared prints that can be seen on it, None where none can."""
        synthetic = rows is None or bool(is_synthetic(self.index).to_numpy()[rows].all())
        self.figures.append({"file": file, "title": title, "shows_prints": rows is not None, "synthetic": synthetic})
        return self.folder / file


class Task(Protocol[R]):
    def start(self, recipe: R) -> str:
        """What training starts from, in one line: a part of the checkpoint's key, and logged. 'none' for chance."""

    def begin(self, network: nn.Module, family: Family, recipe: R, session: Session, workers: Workers) -> None:
        """Put the first weights into a network, those that start() names."""

    def sets(self, prints: Prepared, side: np.ndarray, recipe: R, accelerator: Accelerator) -> Sets:
        """The training and the validation prints. side: (n,) what each prepared print is for."""

    def train(self, network: nn.Module, family: Family, sets: Sets, recipe: R, session: Session) -> nn.Module:
        """Train, epoch by epoch through session.run; the network whose weights stand."""

    def registered(self, network: nn.Module, prints: Tensor) -> Registered:
        """The form that is exported. prints: examples, uint8 (B, 1, H, W)."""

    def evaluate(self, trained: Trained[R], album: Album) -> Findings:
        """Measure what was trained, beside baselines, and draw it."""


class FromWeights:
    """For a task whose training starts from chance, or from the weights that train.start_from names: a file, or a model that
    comes with the package."""

    def start(self, recipe: Any) -> str:
        return first_weights.of_start(recipe.train.start_from)

    def begin(self, network: nn.Module, family: Family, recipe: Any, session: Session, workers: Workers) -> None:
        if recipe.train.start_from:
            first_weights.load_start(network, recipe.train.start_from)


def some(count: int, wanted: int) -> np.ndarray:
    """Places of at most `wanted` of `count` things, evenly over all of them."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int)


def of_each(kinds: pd.DataFrame, wanted: int) -> np.ndarray:
    """Places of at most `wanted` of a table's rows, evenly over its kinds, which its columns tell. Where kinds take turns, each
    third row may be of one."""
    by_kind = kinds.reset_index(drop=True).sort_values(list(kinds.columns), kind="stable").index.to_numpy()
    return np.sort(by_kind[some(len(by_kind), wanted)])


def sensor_labels(index: pd.DataFrame) -> pd.Series:
    """DATASET/SENSOR, or DATASET where a dataset is one sensor of the same name."""
    dataset, sensor = index["dataset"].astype(str), index["sensor"].astype(str)
    return dataset.where(dataset == sensor, dataset + "/" + sensor)
