import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from fpml.base.errors import FpmlError
from fpml.models import family
from fpml.project.params import load
from fpml.tasks.generate import train as generate
from fpml.tasks.minutiae import train as minutiae
from fpml.tasks.recognise import train as recognise
from fpml.tasks.reconstruct import train as reconstruct
from fpml.tasks.undo import train as undo
from fpml.training import export, pictures
from fpml.training.checkpoint import Checkpoints
from tests.conftest import IN_BACKGROUND, demo_settings, with_altered_prints, with_generated_prints, write_fvc

RUNS = {name: (run["task"], run["model"]) for name, run in demo_settings()["run"].items()}


@pytest.fixture
def ready(project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]) -> Callable[[str], None]:
    """ready("repair") makes a run of a recipe, with made prints that suit it, prepared and split."""

    def make(recipe: str) -> None:
        task, model = RUNS[recipe]
        change_params("run", {recipe: {"task": task, "model": model}})
        if task == "recognise":
            write_fvc(project / "raw" / "many", ("DB1_A",), 5, 5)
            change_params("datasets.many", {"path": "raw/many", "reader": "fvc", "dpi": 500, "pattern": ""})
            change_params(f"recipes.{recipe}.data.train", ["many"])
            prepared("ingest", "many")
        if task == "generate":
            write_fvc(project / "raw" / "many", ("DB1_A", "DB2_A"), 10, 2)
            change_params("datasets.many", {
                "path": "raw/many", "reader": "folder", "dpi": 500,
                "pattern": r"(?P<sensor>DB\d)_A/(?P<finger>(?P<pattern>\d)\d*_\d+)\.tif",
            })  # fmt: skip
            change_params(f"recipes.{recipe}.data.train", ["many"])
            change_params(f"recipes.{recipe}.split.validation", 0.5)
            prepared("ingest", "many")
        if task in ("repair", "undo"):
            with_altered_prints(project, recipe, change_params)
            prepared("ingest", "altered")
        if task == "minutiae":
            with_generated_prints(recipe, change_params, prepared)
        for command in ("prepare", "split"):
            prepared(command, recipe)

    return make


@pytest.mark.parametrize("recipe", RUNS)
def test_every_recipe_trains_and_leaves_its_outputs(
    recipe: str, project: Path, prepared: Callable[..., Any], ready: Callable[[str], None]
) -> None:
    task = RUNS[recipe][0]
    ready(recipe)
    prepared("train", recipe)
    index = pd.read_parquet(project / "data/prepared" / recipe / "index.parquet")
    side = pd.read_parquet(project / "data/split" / f"{recipe}.parquet")["side"]
    fingers = {name: set(part["finger_id"]) for name, part in index.groupby(side)}
    kept = "unseen" if task == "recognise" else "validation"  # what must share no finger with training
    assert fingers[kept]
    assert not fingers["train"] & fingers[kept]
    folder = project / "models" / recipe
    assert {p.name for p in folder.iterdir()} == {
        "weights.safetensors", "model.onnx", "config.json", "history.parquet", "metrics.json", "run.json",
    }  # fmt: skip
    history = pd.read_parquet(folder / "history.parquet")
    assert history["epoch"].tolist() == [1, 2]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    loss = "generator/loss" if RUNS[recipe][1] == "dcgan" else "train/loss"
    assert metrics[loss.replace("/", "_")] == history[loss].iloc[-1]
    assert list((project / ".fpml" / "checkpoints").glob("*/epoch-00002"))
    prepared("evaluate", recipe)  # DVC has the outputs by then
    assert not list((project / ".fpml" / "checkpoints").glob("*/epoch-*"))


def test_the_loss_falls(project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.train.epochs", 12)
    change_params("recipes.reconstruct.train.optimizer", "adam")
    change_params("recipes.reconstruct.train.schedule", "constant")
    prepared("train", "reconstruct")
    loss = pd.read_parquet(project / "models" / "reconstruct" / "history.parquet")["train/loss"]
    assert loss.iloc[-1] < 0.8 * loss.iloc[0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_optimizers(optimizer: str, project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.train.optimizer", optimizer)
    prepared("train", "reconstruct")
    assert (
        json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["params"]["train.optimizer"]
        == optimizer
    )
    used = pictures.optimizer(load(project / "params.yaml").recipes["reconstruct"].train, torch.nn.Linear(1, 1))
    assert type(used).__name__.lower() == optimizer
    assert used.defaults["eps"] == 1e-7


def test_the_exported_model_says_what_torch_says(project: Path, prepared: Callable[..., Any]) -> None:
    prepared("train", "reconstruct")
    folder = project / "models" / "reconstruct"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = family(config["model"]).build(_model(config), 32, 32, 0).eval()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for batch in (1, 5):
        prints = np.random.default_rng(batch).integers(0, 256, (batch, 1, 32, 32), dtype=np.uint8)
        with torch.inference_mode():
            ours = network(torch.from_numpy(prints) / 255).numpy()
        theirs = session.run(None, {"prints": prints})[0]
        assert theirs.shape == prints.shape
        assert np.abs(ours - theirs).max() < 1e-4


def _model(config: dict[str, Any]) -> Any:
    from fpml.settings.recipe import Model

    return Model(**config["settings"])


def test_a_model_that_exports_wrongly_is_not_let_through(tmp_path: Path) -> None:
    class Fickle(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0.5 if torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling() else x

    made = reconstruct.registered(Fickle(), torch.full((2, 1, 8, 8), 200, dtype=torch.uint8))
    with pytest.raises(FpmlError, match="differs from torch"):
        export.export(made, tmp_path / "m.onnx")


@pytest.mark.parametrize("recipe", RUNS)
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_weights(
    recipe: str, project: Path, prepared: Callable[..., Any], ready: Callable[[str], None], change_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By steps that are absurdly wide from the third epoch on."""
    rate, save = pictures.learning_rate, Checkpoints.save
    for module in (pictures, recognise):
        monkeypatch.setattr(module, "learning_rate", lambda settings, epoch: 1e30 if epoch > 2 else rate(settings, epoch))
    of_step = minutiae._learning_rate
    monkeypatch.setattr(minutiae, "_learning_rate", lambda s, step, each: 1e30 if step >= 2 * each else of_step(s, step, each))

    pace = generate._pace
    monkeypatch.setattr(generate, "_pace", lambda done, step: 1e33 if done >= 0.5 else pace(done, step))
    warmed = undo._learning_rate
    monkeypatch.setattr(undo, "_learning_rate", lambda s, step: 1e30 if step >= 2 * s.steps else warmed(s, step))

    def save_and_widen(self: Checkpoints, network: Any, optimisers: Any, history: Any) -> None:
        save(self, network, optimisers, history)
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = 1e30 if len(history) == 2 else optimiser.param_groups[0]["lr"]

    monkeypatch.setattr(Checkpoints, "save", save_and_widen)
    ready(recipe)
    change_params(f"recipes.{recipe}.train.epochs", 4)
    error = prepared("train", recipe, code=2).err
    last = error.strip().splitlines()[-1]
    assert "the loss of epoch 3 is not a number: " in last
    assert "the weights of epoch 2 stay in " in last
    assert re.search(r"lower train.learning_rate \(it is \de\+30", last)
    assert not (project / "models" / recipe).exists()
    (kept,) = (project / ".fpml" / "checkpoints").glob("*/epoch-00002")
    assert all(t.isfinite().all() for t in load_file(kept / "network.safetensors").values())
    assert not list(kept.parent.glob("epoch-00003"))


def test_weights_that_are_no_numbers_stop_too(
    project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the last step of an epoch, of which no loss tells."""

    def spoilt(network: torch.nn.Module, *_: Any) -> float:
        with torch.no_grad():
            next(network.parameters())[0] = torch.nan
        return 0.5

    monkeypatch.setattr(pictures, "validate", spoilt)
    assert "a weight of epoch 1 is not a number: train/loss 0." in (said := prepared("train", "reconstruct", code=2).err)
    assert "; nothing was kept; lower train.learning_rate" in said
    assert not list(project.glob(".fpml/checkpoints/*/epoch-*"))


def test_a_split_of_other_prints_is_refused(project: Path, prepared: Callable[..., Any]) -> None:
    path = project / "data" / "split" / "reconstruct.parquet"
    pd.read_parquet(path).iloc[::-1].to_parquet(path, index=False)
    assert "is not of these prints" in prepared("train", "reconstruct", code=2).err


def test_cuda_that_is_not_there(prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    change_params("runtime.device", "cuda")
    assert "finds no GPU" in prepared("train", "reconstruct", code=2).err


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)])
def test_an_interrupt_is_one_line_and_the_next_run_goes_on(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None], number: signal.Signals, processes: int
) -> None:
    """Also of a training that a shell has started in the background, where SIGINT is ignored."""
    change_params("recipes.reconstruct.train.epochs", 2000)
    change_params("runtime.processes", processes)
    child = subprocess.Popen([*IN_BACKGROUND, "fpml", "train", "reconstruct"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not list((project / ".fpml").glob("checkpoints/*/epoch-*")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(number)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 130, said
    assert "Traceback" not in said or processes > 1  # torchrun shows its own
    assert said.splitlines()[-1].startswith("fpml: interrupted; nothing half-written was left")
    assert not psutil.wait_procs(family, 20)[1]
    assert not (project / "models").exists() or not list((project / "models").iterdir())
    (folder,) = (project / ".fpml" / "checkpoints").iterdir()
    assert not list(folder.glob(".*part"))


def test_two_processes_train_as_one(project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("runtime.precision", "fp32")
    losses = []
    for processes in (1, 2):
        change_params("runtime.processes", processes)
        subprocess.run([sys.executable, "-m", "fpml.cli", "train", "reconstruct"], check=True, capture_output=True, timeout=200)
        history = pd.read_parquet(project / "models" / "reconstruct" / "history.parquet")
        losses.append(history[["train/loss", "validation/loss"]].to_numpy())
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_of_two_processes_one_is_killed(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    """The stage fails in one line, no process stays, and the next try goes on after the last epoch."""
    change_params("runtime.processes", 2)
    change_params("recipes.reconstruct.train.epochs", 400)
    change_params("tracking.uri", "http://127.0.0.1:9")
    command = [sys.executable, "-m", "fpml.cli", "train", "reconstruct"]
    stage = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(project.glob(".fpml/checkpoints/*/epoch-*")):
        assert stage.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(stage.pid).children(recursive=True)
    trainers = [p for p in family if "RANK" in p.environ()]
    assert len(trainers) == 2
    trainers[-1].kill()
    said = stage.communicate(timeout=100)[1]
    assert stage.returncode == 2
    assert "training reconstruct in 2 processes ended with code" in said.splitlines()[-1]
    assert not psutil.wait_procs(family, 20)[1]
    assert not (project / "models" / "reconstruct").exists()
    epochs = max(int(p.name[-5:]) for p in project.glob(".fpml/checkpoints/*/epoch-*"))
    change_params("runtime.processes", 1)
    again = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert again.stderr
    lines = iter(again.stderr.readline, "")
    assert any(f"going on after epoch {epochs}" in line for line in lines)
    again.kill()
    again.communicate()


def test_training_goes_on_from_saved_weights(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("recipes.reconstruct.train.epochs", 6)
    change_params("recipes.reconstruct.train.optimizer", "adam")
    change_params("recipes.reconstruct.train.schedule", "constant")
    prepared("train", "reconstruct")
    folder = project / "models" / "reconstruct"
    kept = (folder / "weights.safetensors").read_bytes()
    (project / "kept.safetensors").write_bytes(kept)
    first = pd.read_parquet(folder / "history.parquet")["train/loss"]
    change_params("recipes.reconstruct.train.start_from", "kept.safetensors")
    prepared("train", "reconstruct")
    assert pd.read_parquet(folder / "history.parquet")["train/loss"].iloc[0] < first.iloc[0]
    identity = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert identity["params"]["start"] == f"kept.safetensors, SHA-256 {hashlib.sha256(kept).hexdigest()}"
    (project / "kept.safetensors").write_bytes(kept[:100])
    assert "is not a safetensors file" in prepared("train", "reconstruct", code=2).err
    change_params("recipes.reconstruct.train.start_from", "away.safetensors")
    assert "away.safetensors is not there" in prepared("train", "reconstruct", code=2).err
    (project / "kept.safetensors").write_bytes(kept)
    change_params("recipes.reconstruct.train.start_from", "kept.safetensors")
    change_params("recipes.reconstruct.model.widths", [4, 4, 5])
    assert "does not fit this model and its settings" in prepared("train", "reconstruct", code=2).err


def test_outputs_from_a_cache_need_no_checkpoints(project: Path, trained: Callable[..., Any]) -> None:
    import shutil

    metrics = project / "results/reconstruct/metrics.json"
    before = metrics.read_text(encoding="utf-8")
    metrics.unlink()
    shutil.rmtree(project / ".fpml")
    trained("evaluate", "reconstruct")
    assert metrics.read_text(encoding="utf-8") == before


def test_half_the_batch_is_said_and_kept(project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prefect's second try asks for where the device's memory was too small."""
    monkeypatch.setenv("FPML_HALVE_BATCH", "1")
    said = prepared("train", "reconstruct").err
    assert "batches of 4 in place of 8" in said
    assert (
        json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["params"]["train.batch_size"] == "4"
    )
