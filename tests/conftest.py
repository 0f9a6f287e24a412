"""Tiny data and throw-away projects; real parts (SQLite, DVC, git, ONNX Runtime) everywhere."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fpml.settings.reading import read_yaml

REPOSITORY = Path(__file__).parent.parent
os.environ.update({
    "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
})  # fmt: skip
for name in ("DVC_ROOT", "DVC_STAGE", "FPML_STATE", "MLFLOW_TRACKING_URI"):
    os.environ.pop(name, None)

# A shell starts what it runs in the background with SIGINT ignored, and so would be all that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Before a command: it is started as a shell does it in the background.
IN_BACKGROUND = ("sh", "-c", """trap '' INT; exec "$@\"""", "sh")


def make_print(number: int, height: int = 96, width: int = 88, period: float = 9.0) -> np.ndarray:
    """A made print: rings round a drifting middle on white, uint8 (height, width). Each number is another one."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    cy, cx = height / 2 + rng.uniform(-6, 6), width / 2 + rng.uniform(-6, 6)
    radius = np.hypot(y - cy, x - cx)
    rings = 0.5 + 0.5 * np.cos(2 * np.pi * radius / period + rng.uniform(0, 6))
    inside = ((y - height / 2) / (0.42 * height)) ** 2 + ((x - width / 2) / (0.4 * width)) ** 2 < 1
    grey = np.where(inside, 250 - 220 * rings, 250) + rng.normal(0, 3, (height, width))
    return grey.clip(0, 255).astype(np.uint8)


def write_fvc(folder: Path, sensors: tuple[str, ...] = ("DB1_B", "DB2_B"), fingers: int = 5, impressions: int = 2) -> Path:
    for number, sensor in enumerate(sensors):
        (folder / sensor).mkdir(parents=True)
        for finger in range(1, fingers + 1):
            for impression in range(1, impressions + 1):
                picture = make_print(10_000 * number + 100 * finger + impression)
                Image.fromarray(picture).save(folder / sensor / f"{finger}_{impression}.tif")
    return folder


def write_socofing(folder: Path, subjects: int = 2) -> Path:
    (folder / "Real").mkdir(parents=True)
    (folder / "Altered" / "Altered-Easy").mkdir(parents=True)
    for subject in range(1, subjects + 1):
        for number, finger in enumerate(("index", "thumb")):
            stem = f"{subject}__M_Left_{finger}_finger"
            picture = np.zeros((103, 96), np.uint8)
            picture[2:-4, 2:-4] = make_print(subject * 10 + number, 97, 90, 4)
            Image.fromarray(picture).convert("RGBA").save(folder / "Real" / f"{stem}.BMP")
            picture[40:60, 40:60] = 255 - picture[40:60, 40:60]
            Image.fromarray(picture).save(folder / "Altered" / "Altered-Easy" / f"{stem}_CR.BMP")
    return folder


def with_altered_prints(project: Path, recipe: str, change_params: Callable[..., None]) -> None:
    """A dataset 'altered' with made prints, real and altered, for a repair recipe to train on."""
    write_socofing(project / "raw" / "altered", 4)
    change_params("datasets.altered", {"path": "raw/altered", "reader": "socofing", "dpi": 180, "pattern": ""})
    change_params(f"recipes.{recipe}.data", {
        "train": ["altered"], "test": [], "height": 100, "width": 100, "dpi": 180, "crop": "none",
    })  # fmt: skip
    change_params(f"recipes.{recipe}.split.validation", 0.5)


GENERATED_ON = ("fvc2002-db3", "random-1")  # sensors


def with_generated_prints(recipe: str, change_params: Callable[..., None], fpml: Callable[..., Any]) -> None:
    """A dataset 'made' of four generated fingers with their truth, on two sensors, and a tiny minutiae recipe for it."""
    counts = ("--fingers", "4", "--impressions", "2")
    fpml("synth", "--out", "raw/made", *counts, "--sensor", *GENERATED_ON, "--condition", "hard")
    dpi = dict.fromkeys(GENERATED_ON, 500)
    change_params("datasets.made", {"path": "raw/made", "reader": "synth", "dpi": dpi, "pattern": ""})
    change_params(f"recipes.{recipe}.data", {
        "train": ["made"], "test": [], "height": 416, "width": 400, "dpi": 500, "crop": "none",
    })  # fmt: skip
    change_params(f"recipes.{recipe}.model.widths", [4, 4, 8, 8])
    tiny = {"epochs": 2, "steps": 2, "batch_size": 4, "crop": 96, "fresh_fingers": 1, "kept_epochs": 1}
    for key, value in {**tiny, "texture_steps": 1, "minutiae": 4}.items():
        change_params(f"recipes.{recipe}.train.{key}", value)
    fpml("ingest", "made")


def demo_settings() -> dict[str, Any]:
    """All settings, with the demo's values, whatever the project's user has set in params.yaml."""
    from fpml.project import PRESETS
    from fpml.project.preset import put_over

    params, demo = read_yaml(REPOSITORY / "params.yaml"), read_yaml(PRESETS / "demo.yaml")
    put_over(params, demo)
    return params


def tiny_params() -> dict[str, Any]:
    """The demo's settings over made prints, so small that everything takes moments."""
    params = demo_settings()
    params["datasets"] = {
        "prints": {"path": "raw/prints", "reader": "fvc", "dpi": 500, "pattern": ""},
        "other": {"path": "raw/other", "reader": "folder", "dpi": 500, "pattern": ""},
    }
    for recipe in params["recipes"].values():
        _make_tiny(recipe)
    params["run"] = {"reconstruct": {"task": "reconstruct", "model": "autoencoder"}}  # a test enables what else it wants
    params["runtime"] |= {"workers": 1, "device": "cpu"}
    params["synth"] = {"seed": 7, "fvc_fingers": 2, "fvc_impressions": 1, "unseen_prints": 1, "socofing_subjects": 1,
                       "minutiae_fingers": 4}  # fmt: skip
    return params


def _make_tiny(recipe: dict[str, Any]) -> None:
    side = 28 if "noise" in recipe["evaluate"] else 64 if "latent" in recipe["model"] else 32  # what their networks take
    recipe["data"] |= {"train": ["prints"], "test": ["other"], "height": side, "width": side, "dpi": 160}
    narrow = {"widths": [4] * len(recipe["model"].get("widths", [])), "width": 4, "synthetic_fingers": 2, "synthetic_epochs": 1}
    narrow |= {"latent": 8, "generator_width": 4, "discriminator_width": 4}
    recipe["model"] |= {key: value for key, value in narrow.items() if key in recipe["model"]}
    if recipe["model"].get("init") == "shipped":  # weights that fit one size
        recipe["data"] |= {"height": 160, "width": 128, "dpi": 200}
        recipe["model"]["width"] = 48
    recipe["train"] |= {"epochs": 2, "batch_size": 8, "start_from": ""}
    if "fresh_fingers" in recipe["train"]:
        recipe["train"] |= {"batch_size": 2, "steps": 1, "fresh_fingers": 1}
    small = {"bootstrap": 100, "pictures": 2, "one_class_epochs": 1, "samples": 32}
    recipe["evaluate"] |= {key: value for key, value in small.items() if key in recipe["evaluate"]}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in it: made once, copied for each project."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A project with made prints and tiny settings; the working folder of the test."""
    fill(tmp_path, empty_store)
    monkeypatch.chdir(tmp_path)
    for leaked in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):  # mlflow sets them in its own process
        monkeypatch.setenv(leaked, "")
        monkeypatch.delenv(leaked)
    return tmp_path


def fill(folder: Path, empty_store: Path) -> None:
    write_fvc(folder / "raw" / "prints")
    (folder / "raw" / "other").mkdir()
    for number in range(3):
        Image.fromarray(make_print(5000 + number)).save(folder / "raw" / "other" / f"p{number}.png")
    write_params(folder, tiny_params())
    shutil.copy(empty_store, folder / "mlflow.db")


def write_params(folder: Path, params: dict[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture
def change_params(project: Path) -> Callable[..., None]:
    """change_params("recipes.reconstruct.train.epochs", 5)"""

    def change(key: str, value: Any) -> None:
        params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
        place = params
        *path, last = key.split(".")
        for part in path:
            place = place[part]
        place[last] = value
        write_params(project, params)

    return change


@pytest.fixture(scope="session")
def once_under_dvc(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Such a project under git and DVC, with the real graph: made once, copied for each test."""
    folder = tmp_path_factory.mktemp("once")
    fill(folder, empty_store)
    shutil.copytree(REPOSITORY / "fpml", folder / "fpml", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    for git in (["init", "-q"], ["config", "user.email", "test@localhost"], ["config", "user.name", "test"]):
        run("git", *git, cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    for git in (["add", "-A"], ["commit", "-qm", "start"]):
        run("git", *git, cwd=folder)
    return folder


@pytest.fixture
def dvc_project(project: Path, once_under_dvc: Path) -> Path:
    """The project under git and DVC, with the real graph."""
    shutil.copytree(once_under_dvc, project, dirs_exist_ok=True)
    return project


def run(*command: str, cwd: Path, code: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with this code."""
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=240,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def fpml(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run fpml in this process: fpml("split", "reconstruct", code=2) → what it wrote to stdout and stderr."""
    from fpml.cli.main import main

    def call(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        got = main(list(arguments))
        said = capsys.readouterr()
        assert got == code, f"fpml {arguments} gave {got}: {said.err}"
        if code == 2:
            assert said.err.strip().splitlines()[-1].startswith("fpml: ")
            assert "Traceback" not in said.err
        return said

    return call


@pytest.fixture
def prepared(fpml: Callable[..., Any]) -> Callable[..., Any]:
    """The project's stages up to split, done; gives the fpml fixture back."""
    for dataset in ("prints", "other"):
        fpml("ingest", dataset)
    fpml("prepare", "reconstruct")
    fpml("split", "reconstruct")
    return fpml


@pytest.fixture
def trained(prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The project trained, measured and published; gives the fpml fixture back."""
    from fpml.tracking import runs as tracking

    monkeypatch.setattr(tracking, "SYSTEM_METRICS_SECONDS", 0.3)  # a tiny training is over before five seconds
    prepared("train", "reconstruct")
    prepared("evaluate", "reconstruct")
    return prepared


@pytest.fixture
def client(project: Path) -> Any:
    from mlflow import MlflowClient

    uri = f"sqlite:///{project / 'mlflow.db'}"
    return MlflowClient(uri, registry_uri=uri)


def runs(client: Any) -> dict[str, Any]:
    experiment = client.get_experiment_by_name("fpml")
    # the newest of a name wins
    return {r.info.run_name: r for r in reversed(client.search_runs([experiment.experiment_id]))}


def challenger(client: Any) -> int:
    return int(client.get_model_version_by_alias("reconstruct", "challenger").version)
