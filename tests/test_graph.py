"""The real graph under the real DVC: caching, experiments, and what a kill costs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import REPOSITORY, demo_settings, run, tiny_params, write_fvc, write_params


def repro(project: Path, *arguments: str, code: int = 0) -> str:
    done = run("dvc", "repro", *arguments, cwd=project, code=code)
    return done.stdout + done.stderr


def ran(said: str) -> set[str]:
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}


@pytest.fixture
def whole(dvc_project: Path) -> Path:
    """The project with embedded data in it too, at its smallest, and all stages run once."""
    params = demo_settings()
    tiny = tiny_params()
    params["datasets"] |= tiny["datasets"]
    params["synth"], params["run"], params["recipes"] = tiny["synth"], tiny["run"], tiny["recipes"]
    params["recipes"]["reconstruct"]["data"] |= {"train": ["prints", "synth-fvc"], "test": ["other", "synth-secugen"]}
    params["runtime"] = tiny["runtime"]
    write_params(dvc_project, params)
    repro(dvc_project)
    return dvc_project


def test_the_graph_as_a_dvc_user_meets_it(whole: Path, change_params: Callable[..., None]) -> None:
    for made in ("report/index.html", "models/reconstruct/model.onnx", "results/reconstruct/metrics.json", "mlflow.db"):
        assert (whole / made).exists()
    digests = json.loads((whole / "models/reconstruct/run.json").read_text(encoding="utf-8"))["datasets"]
    lock = yaml.safe_load((whole / "dvc.lock").read_text(encoding="utf-8"))
    md5 = {d["name"]: d["digest"] for d in digests}
    assert md5["synth-fvc"] == lock["stages"]["ingest@synth-fvc"]["deps"][0]["md5"]
    assert md5["synth-fvc"].endswith(".dir")
    assert {d["digest_from"] for d in digests} == {"dvc"}

    assert ran(repro(whole)) == set()
    # Where it runs is nobody's dependency.
    change_params("runtime.workers", 2)
    change_params("runtime.precision", "fp32")
    assert ran(repro(whole)) == set()
    # A measuring change measures, and trains nothing.
    change_params("recipes.reconstruct.evaluate.pictures", 1)
    assert ran(repro(whole)) == {"evaluate@reconstruct", "report"}
    # What was run before comes back from the cache, its run's identity with it.
    before = (whole / "models/reconstruct/run.json").read_bytes()
    change_params("recipes.reconstruct.train.epochs", 3)
    assert "train@reconstruct" in ran(repro(whole))
    assert (whole / "models/reconstruct/run.json").read_bytes() != before
    changed = run("dvc", "params", "diff", cwd=whole)
    assert "recipes.reconstruct.train.epochs" in changed.stdout
    change_params("recipes.reconstruct.train.epochs", 2)
    assert "train@reconstruct" not in ran(repro(whole))
    assert (whole / "models/reconstruct/run.json").read_bytes() == before
    assert "evaluate@reconstruct" in run("dvc", "dag", cwd=whole).stdout
    assert "psnr_mask" in run("dvc", "metrics", "show", cwd=whole).stdout
    # Another dataset is ingested; the prints of the recipe stay as they are, so nothing is trained.
    write_fvc(whole / "raw" / "new", ("DB1_A",), 2)
    change_params("datasets.new", {"path": "raw/new", "reader": "fvc", "dpi": 500, "pattern": ""})
    assert ran(repro(whole)) == {"ingest@new", "prepare@reconstruct", "report"}


def test_experiments(dvc_project: Path) -> None:
    said = run("dvc", "exp", "run", "-S", "recipes.reconstruct.train.epochs=3", "evaluate@reconstruct", cwd=dvc_project).stdout
    assert "Ran experiment" in said
    assert json.loads((dvc_project / "models/reconstruct/metrics.json").read_text(encoding="utf-8"))["epochs"] == 3
    # In a copy: the workspace stays, the run is kept.
    run("dvc", "exp", "run", "--temp", "-S", "recipes.reconstruct.train.epochs=4", "evaluate@reconstruct", cwd=dvc_project)
    assert json.loads((dvc_project / "models/reconstruct/metrics.json").read_text(encoding="utf-8"))["epochs"] == 3
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{dvc_project / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("fpml").experiment_id])
    assert {r.data.params["train.epochs"] for r in found if "train.epochs" in r.data.params} == {"3", "4"}


def _slow(project: Path, change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.model.widths", [16, 32, 32])
    change_params("recipes.reconstruct.data.height", 64)
    change_params("recipes.reconstruct.data.width", 64)
    change_params("recipes.reconstruct.train.epochs", 30)
    change_params("recipes.reconstruct.train.batch_size", 2)
    change_params("tracking.uri", "http://127.0.0.1:9")  # the store is no part of this


def _start_and_wait(project: Path, epochs: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        ["dvc", "repro", "train@reconstruct"], cwd=project, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _until(lambda: list(project.glob(f".fpml/checkpoints/*/epoch-{epochs:05d}")) != [] or child.poll() is not None)
    assert child.poll() is None, "the training ended before it could be killed"
    return child


def _until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    dvc_project: Path, change_params: Callable[..., None]
) -> None:
    weights = dvc_project / "models/reconstruct/weights.safetensors"
    _slow(dvc_project, change_params)
    repro(dvc_project, "train@reconstruct")
    unbroken = weights.read_bytes()

    for alone in (False, True):
        _forget(dvc_project)
        dvc = _start_and_wait(dvc_project, 3)
        family = psutil.Process(dvc.pid).children(recursive=True)
        assert any("train" in p.cmdline() for p in family)
        if alone:
            os.kill(dvc.pid, signal.SIGKILL)
        else:
            os.killpg(dvc.pid, signal.SIGKILL)
        dvc.wait(60)
        # Killed alone, dvc leaves its child: that one notices, and does not write outputs later.
        _until(lambda family=family: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))  # type: ignore[misc]
        assert not weights.exists()
        said = repro(dvc_project, "train@reconstruct")
        assert "going on after epoch" in said
        assert weights.read_bytes() == unbroken


def _forget(project: Path) -> None:
    """As if the training had never been: no outputs, no checkpoints, nothing in DVC's caches."""
    import shutil

    for path in ("models", ".fpml/checkpoints", ".dvc/cache/runs", "dvc.lock"):
        target = project / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


def test_a_bad_setting_stops_the_graph_with_the_stages_line(dvc_project: Path, change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.split.validation", 0.01)
    said = repro(dvc_project, "split@reconstruct", code=255)
    assert "fpml: the split leaves 'validation' empty" in said
    assert "failed to reproduce 'split@reconstruct'" in said


def test_every_code_dependency_is_there() -> None:
    graph: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in graph.values():
        for dep in (stage.get("do") or stage)["deps"]:
            if dep.startswith("fpml/") and "$" not in dep:
                assert (REPOSITORY / dep).exists(), dep
