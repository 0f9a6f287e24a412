"""What an epoch says is the mean over the prints that were seen, whatever the task and the last batch's size."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from fpml import tasks
from fpml.base.errors import FpmlError
from fpml.data.store import Prepared
from fpml.models import family_of, flow
from fpml.project.params import check
from fpml.stages import train as stage
from fpml.tasks.generate import train as generate
from fpml.tasks.recognise import train as recognise
from fpml.training import pictures
from fpml.training.batches import Batches
from fpml.training.checkpoint import Checkpoints
from fpml.training.session import Row, Session, Sets
from tests.conftest import tiny_params

SIZE = 4
RUNS = {
    "generate": ("generate", "dcgan"), "generate-conditional": ("generate", "flow"), "compress": ("compress", "small"),
    "recognise": ("recognise", "resnet"),
}  # fmt: skip


class OneOf:
    """One of several processes, which adds nothing of the others': theirs is added in the test."""

    device, is_main_process = torch.device("cpu"), True

    def __init__(self, rank: int, processes: int, alone: Accelerator) -> None:
        self.process_index, self.num_processes = rank, processes
        self.prepare, self.backward, self.unwrap_model = alone.prepare, alone.backward, alone.unwrap_model
        self.clip_grad_norm_, self.autocast = alone.clip_grad_norm_, alone.autocast

    def reduce(self, total: torch.Tensor, _: str) -> torch.Tensor:
        return total


def one_epoch(
    name: str, module: Any, prints: int, folder: Path, rank: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> Row:
    """What a process says of an epoch in which every loss is 1."""

    def one(output: Any, *_: Any, **__: Any) -> torch.Tensor:
        return (next(output.parameters()) if isinstance(output, nn.Module) else output).float().mean() * 0 + 1

    raw = tiny_params()
    task, model = RUNS[name]
    raw["run"] = {name: {"task": task, "model": model}}
    raw["recipes"][name]["train"] |= {"epochs": 1, "batch_size": SIZE}
    params = check(raw)
    recipe: Any = params.recipes[name]
    accelerator: Any = OneOf(rank, processes, stage._accelerator(params.runtime))
    side = recipe.data.height
    pictures_of = np.random.default_rng(0).integers(0, 256, (prints, side, side), dtype=np.uint8)
    whole = Prepared([pictures_of], [pictures_of], pd.DataFrame(index=range(prints)), {"rows_per_shard": prints})
    classes = np.arange(prints) % 2
    one_set = Batches(whole, np.arange(prints), SIZE, accelerator, classes=classes)
    names = ("a", "b") if name == "recognise" else ()
    family: Any = family_of(model, task, tasks.kinds(task))
    monkeypatch.setattr(generate, "_bce", one)
    monkeypatch.setattr(flow, "loss", one)
    monkeypatch.setattr(F, "cross_entropy", one)
    monkeypatch.setattr(pictures, "picture_loss", lambda _: one)
    rows: list[Row] = []
    session = Session(accelerator, Checkpoints(folder), rows.append, lambda: None)
    network = family.build(recipe.model, side, side, len(names))
    module.train(network, family, Sets(one_set, one_set, names), recipe.train, session)
    return rows[0]


class Stopped(Exception):
    pass


def test_a_flow_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Its learning rate, noise, mean and spread, average and optimiser are those of an unbroken run."""
    raw = tiny_params()
    raw["run"] = {"generate-conditional": {"task": "generate", "model": "flow"}}
    raw["recipes"]["generate-conditional"]["train"] |= {"epochs": 4, "batch_size": SIZE}
    params = check(raw)
    recipe: Any = params.recipes["generate-conditional"]
    accelerator = stage._accelerator(params.runtime)
    pictures_of = np.random.default_rng(0).integers(0, 256, (10, 32, 32), dtype=np.uint8)
    whole = Prepared([pictures_of], [pictures_of], pd.DataFrame(index=range(10)), {"rows_per_shard": 10})
    one_set = Batches(whole, np.arange(10), SIZE, accelerator, classes=np.arange(10) % 2)

    def trained(folder: Path, stop_after: int) -> dict[str, torch.Tensor]:
        def logged(row: Row) -> None:
            if row["epoch"] == stop_after:
                raise Stopped

        torch.manual_seed(1)
        network = flow.build(recipe.model, 32, 32, 2)
        session = Session(accelerator, Checkpoints(folder), logged, lambda: None)
        sets = Sets(one_set, one_set, ("a", "b"))
        return generate.train(network, family_of("flow", "generate", ("flow",)), sets, recipe.train, session).state_dict()

    expected = trained(tmp_path / "unbroken", 0)
    with pytest.raises(Stopped):
        trained(tmp_path / "broken", 2)
    for name, tensor in trained(tmp_path / "broken", 0).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("of", ["generate", "generate-conditional"])
def test_sections_of_two_families_are_refused(of: str) -> None:
    raw = tiny_params()
    recipes, other = raw["recipes"], {"generate": "generate-conditional", "generate-conditional": "generate"}[of]
    task, model = RUNS[of]
    raw["run"] = {of: {"task": task, "model": model}}
    recipes[of]["train"] = recipes[other]["train"]
    recipe: Any = check(raw).recipes[of]
    whole: Any = None
    with pytest.raises(FpmlError, match=r"the recipe's train section is a \w+'s, and its model section a \w+'s; take both"):
        generate.train(torch.nn.Linear(1, 1), family_of(model, task, tasks.kinds(task)), whole, recipe.train, whole)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("last", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("name", "module", "losses"),
    [
        ("generate", generate, {"discriminator/loss": 2.0, "generator/loss": 1.0}),
        ("generate-conditional", generate, {"train/loss": 1.0, "validation/loss": 1.0}),
        ("compress", pictures, {"train/loss": 1.0, "validation/loss": 1.0}),
        ("recognise", recognise, {"train/loss": 1.0, "validation/loss": 1.0}),
    ],
)
def test_a_mean_is_over_the_prints_that_were_seen(
    name: str, module: Any, losses: dict[str, float], last: int, processes: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rows = [one_epoch(name, module, 2 * SIZE + last, tmp_path / str(r), r, processes, monkeypatch) for r in range(processes)]
    assert {key: sum(row[key] for row in rows) for key in losses} == pytest.approx(losses)
