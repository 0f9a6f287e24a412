import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY


@pytest.fixture
def shipped(project: Path) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", project / "params.yaml")
    return project


def settings(project: Path) -> dict[str, Any]:
    params: dict[str, Any] = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    return params


def test_there_and_back(shipped: Path, fpml: Callable[..., Any]) -> None:
    fpml("preset", "demo")  # whatever the project's user has set
    before = settings(shipped)
    fpml("preset", "published")
    assert settings(shipped)["recipes"]["reconstruct"]["train"]["epochs"] == 200
    fpml("preset", "demo")
    assert settings(shipped) == before
    assert "# pixels" in (shipped / "params.yaml").read_text(encoding="utf-8")


def test_own_datasets_runs_and_places_stay(shipped: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("datasets.mine", {"path": "data/raw/mine", "reader": "folder", "dpi": 500, "pattern": ""})
    change_params("recipes.reconstruct.data.train", ["mine"])
    change_params("recipes.reconstruct.train.epochs", 7)
    change_params("recipes.second", settings(shipped)["recipes"]["reconstruct"])
    change_params("run.second", {"task": "reconstruct", "model": "autoencoder"})
    change_params("tracking.uri", "http://127.0.0.1:9")
    fpml("preset", "published")
    now = settings(shipped)
    assert now["recipes"]["reconstruct"]["data"]["train"] == ["mine"]
    assert now["recipes"]["reconstruct"]["train"]["epochs"] == 200
    assert now["datasets"]["mine"]["path"] == "data/raw/mine"
    assert "second" in now["run"]
    assert now["recipes"]["second"]["train"]["epochs"] == 7
    assert now["tracking"]["uri"] == "http://127.0.0.1:9"


def test_a_broken_file_is_left_alone(shipped: Path, fpml: Callable[..., Any]) -> None:
    (shipped / "params.yaml").write_text("run: [", encoding="utf-8")
    assert "not valid YAML" in fpml("preset", "demo", code=2).err
    assert (shipped / "params.yaml").read_text(encoding="utf-8") == "run: ["
