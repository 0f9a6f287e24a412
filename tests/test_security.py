"""Nothing that comes from elsewhere is unpickled."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpml.tracking import runs as tracking
from tests.conftest import REPOSITORY


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_no_code_unpickles() -> None:
    words = re.compile(
        r"torch\.load\(|pickle\.loads?\(|allow_pickle=True|yaml\.load\(|joblib\.load|read_pickle|shelve|eval\(|exec\("
    )
    for folder in ("fpml", "flows", "infra"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            lines = [
                line for line in file.read_text(encoding="utf-8").splitlines() if words.search(line) and ".eval(" not in line
            ]
            if (
                file.name == "first_weights.py"
            ):  # torchvision publishes ImageNet's weights in this form alone; tensors only, hash first
                assert lines.pop().endswith("weights_only=True)")
            assert not lines, (file, lines)


def test_a_registered_pickle_is_refused(
    project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Someone with access to the store registers a pickle under a run's name."""
    from sklearn.dummy import DummyRegressor

    from fpml.project.params import load

    mlflow = tracking.connect(load(project / "params.yaml").tracking)
    assert mlflow is not None
    for key, value in tracking.ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    mlflow.set_experiment("fpml")
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            DummyRegressor().fit(np.zeros((2, 1)), np.zeros(2)), name="model", registered_model_name="reconstruct",
            serialization_format="cloudpickle",
        )  # fmt: skip
    mark = tmp_path / "it ran"
    (file,) = (project / "mlartifacts").rglob("*.pkl")
    file.write_bytes(pickle.dumps(Evil(mark)))
    mlflow.MlflowClient().set_registered_model_alias("reconstruct", "challenger", "1")
    said = prepared("reconstruct", "raw/other/p0.png", "--out", "o", "--model", "models:/reconstruct@challenger", code=2).err
    assert "is not a model of this project" in said
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"(?i)pickle"):
        mlflow.pyfunc.load_model(info.model_uri)
    assert not mark.exists()


@pytest.mark.parametrize("what", ["weights.safetensors", "model.onnx"])
def test_a_pickle_in_place_of_a_file_is_no_model(project: Path, trained: Callable[..., Any], what: str, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    (project / "models" / "reconstruct" / what).write_bytes(pickle.dumps(Evil(mark)))
    command = (
        ("evaluate", "reconstruct") if what == "weights.safetensors" else ("reconstruct", "raw/other/p0.png", "--out", "o")
    )
    trained(*command, code=2)
    assert not mark.exists()


def test_arrays_of_objects_are_no_prepared_prints(project: Path, prepared: Callable[..., Any], tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    shard = project / "data" / "prepared" / "reconstruct" / "images-000.npy"
    np.save(shard, np.array([Evil(mark)], dtype=object), allow_pickle=True)
    assert "is damaged" in prepared("train", "reconstruct", code=2).err
    assert not mark.exists()
