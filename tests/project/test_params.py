import dataclasses
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from fpml import tasks
from fpml.base.errors import FpmlError
from fpml.project import PRESETS
from fpml.project import params as config
from fpml.project.preset import put_over
from fpml.settings import recipe, sections
from fpml.settings.reading import read_yaml
from tests.conftest import demo_settings, tiny_params


def changed(key: str, value: Any) -> dict[str, Any]:
    params = tiny_params()
    place = params
    *path, last = key.split(".")
    for part in path:
        place = place[part]
    place[last] = value
    return params


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("recipes.reconstruct.train.epochs", "ten", ["recipes.reconstruct.train.epochs", "'ten'", "integer"]),
        ("recipes.reconstruct.train.epochs", 2.5, ["recipes.reconstruct.train.epochs", "2.5"]),
        ("recipes.reconstruct.train.epochs", 0, ["recipes.reconstruct.train.epochs", "0", "greater than or equal to 1"]),
        ("recipes.reconstruct.train.epohcs", 3, ["unknown key 'recipes.reconstruct.train.epohcs'", "did you mean 'epochs'"]),
        ("recipes.reconstruct.train.optimizer", "sgd", ["optimizer", "'sgd'", "'rmsprop', 'adam' or 'adamw'"]),
        ("recipes.reconstruct.split.validation", 1.5, ["split.validation", "1.5", "less than 1"]),
        ("run.reconstruct.task", "guess", ["'run.reconstruct.task' is 'guess'", "reconstruct, repair"]),
        ("run.reconstruct.task", "repair", ["unknown key 'recipes.reconstruct.evaluate.pca_prints'", "filters"]),
        ("recipes.reconstruct.task", "reconstruct", ["a recipe's task is said in run.reconstruct; delete this line"]),
        ("recipes.reconstruct.data.crop", "no", ["data.crop", "'no'", "'print', 'none' or 'squash'"]),
        ("recipes.reconstruct.data.train", ["absent"], ["data.train", "'absent'", "prints, other"]),
        ("recipes.reconstruct.data.train", ["other"], ["trains and tests on other"]),
        ("datasets.prints.reader", "fcv", ["datasets.prints.reader", "'fcv'", "fvc, idx"]),
        ("datasets.prints.dpi", 0, ["datasets.prints.dpi", "0"]),
        ("recipes.reconstruct.train.learning_rate", "1e-3", ["learning_rate", "'1e-3'", "should be a valid number"]),
        ("recipes.reconstruct.train.batch_size", float("inf"), ["train.batch_size", "inf", "integer"]),
        ("datasets.prints.dpi", 5, ["'datasets.prints.dpi' is 5 (int); it should be greater than or equal to 50"]),
        ("datasets.prints.dpi", "500", ["datasets.prints.dpi", "'500'"]),
        ("datasets.prints.pattern", "x", ["datasets.prints.pattern", "folder"]),
        ("run.second", {"task": "reconstruct", "model": "autoencoder"}, ["run.second", "recipes.second"]),
        (
            "run.reconstruct",
            {"task": "reconstruct", "model": "transformer"},
            ["run.reconstruct.model", "gated, minutiae, resnet, small, tight"],
        ),
        ("tracking.log_images", "yes", ["tracking.log_images", "'synthetic-only', 'all' or 'none'"]),
        ("runtime", None, ["runtime"]),
    ],
)
def test_a_mistake_is_named(key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(FpmlError) as error:
        config.check(changed(key, value))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_missing_key_is_named() -> None:
    params = tiny_params()
    del params["recipes"]["reconstruct"]["train"]["seed"]
    with pytest.raises(FpmlError, match=r"missing key 'recipes.reconstruct.train.seed'"):
        config.check(params)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", ""])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FpmlError, match=r"params\.yaml"):
        config.load(tmp_path / "params.yaml")


def written(key: str, literal: str) -> str:
    """params.yaml's text with a literal in the place of a value."""
    return yaml.safe_dump(changed(key, "LITERAL"), sort_keys=False).replace("LITERAL", literal)


@pytest.mark.parametrize(
    ("key", "literal", "value"),
    [
        ("train.learning_rate", "5e-05", 0.00005),
        ("train.learning_rate", "5E-5", 0.00005),
        ("train.learning_rate", "1e+0", 1.0),
        ("train.learning_rate", ".5", 0.5),
        ("train.learning_rate", "+.5e-3", 0.0005),
        ("train.learning_rate", "0.000_05", 0.00005),
        ("train.learning_rate", "1", 1.0),
        ("data.dpi", "1_000", 1000.0),
        ("train.epochs", "1_000", 1000),
        ("train.epochs", "1E5", 100_000),
        ("train.epochs", "1e+3", 1000),
        ("train.epochs", "20.0", 20),
        ("train.epochs", "010", 10),
        ("model.widths", "[1e1, 8]", [10, 8]),
    ],
)
def test_a_number_is_a_number_however_it_is_written(tmp_path: Path, key: str, literal: str, value: Any) -> None:
    (tmp_path / "params.yaml").write_text(written(f"recipes.reconstruct.{key}", literal))
    recipe: Any = config.load(tmp_path / "params.yaml").recipes["reconstruct"]
    part, name = key.split(".")
    found = getattr(getattr(recipe, part), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1:30", "no", "on", "0x", "e5", "1e", "'5e-05'", '"1_000"', "'2024-01-01'"])
def test_text_stays_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(written("tracking.experiment", text))
    assert config.load(tmp_path / "params.yaml").tracking.experiment == text.strip("'\"")


@pytest.mark.parametrize("value", ["5e-05", "1E-05", "0.00005", "5.0e-05", ".00005"])
def test_what_dvc_writes_is_read_back(project: Path, value: str) -> None:
    """As `dvc exp run -S` changes params.yaml: with the same parser of values and the same writer."""
    from dvc.utils.hydra import apply_overrides

    apply_overrides("params.yaml", [f"recipes.reconstruct.train.learning_rate={value}", "tracking.experiment='5e-05'"])
    params = config.load(project / "params.yaml")
    assert params.recipes["reconstruct"].train.learning_rate == float(value)
    assert params.tracking.experiment == "5e-05"


def test_settings_have_no_defaults() -> None:
    modules = [recipe, sections, config, *(import_module(f"fpml.tasks.{name}.settings") for name in tasks.names())]
    both = {name: value for module in modules for name, value in vars(module).items()}
    settings = [c for c in both.values() if isinstance(c, type) and dataclasses.is_dataclass(c) and c.__module__[:4] == "fpml"]
    assert len(settings) > 20
    for one in settings:
        for field in dataclasses.fields(one):
            assert field.default is dataclasses.MISSING, f"{one.__name__}.{field.name} hides a default"
            assert field.default_factory is dataclasses.MISSING


def with_preset(name: str) -> dict[str, Any]:
    params = demo_settings()
    put_over(params, read_yaml(PRESETS / f"{name}.yaml"))
    return params


def test_the_demo_preset_sets_back_all_that_others_set() -> None:
    demo, *others = (pd.json_normalize(read_yaml(PRESETS / f"{n}.yaml")).iloc[0] for n in ("demo", "published", "release"))
    assert set(demo.index) == {key for other in others for key in other.index}
    for other in others:
        assert [key for key in other.index if demo[key] != other[key]]
    for name in ("demo", "published", "release"):
        config.check(with_preset(name))


def test_published_values() -> None:
    recipe = config.check(with_preset("published")).recipes["reconstruct"]
    assert (recipe.data.height, recipe.data.width, recipe.data.crop) == (224, 224, "squash")
    assert recipe.model.widths == [32, 64, 128]
    assert (recipe.train.epochs, recipe.train.batch_size) == (200, 128)
    assert (recipe.train.optimizer, recipe.train.learning_rate) == ("rmsprop", 1e-3)
    assert (recipe.split.by, recipe.split.validation) == ("image", 0.2)


def test_a_typo_in_params_stops_a_command(fpml: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.train.lerning_rate", 0.1)
    assert "did you mean 'learning_rate'" in fpml("split", "reconstruct", code=2).err


def test_a_misspelt_key_is_not_called_missing_too() -> None:
    params = tiny_params()
    train = params["recipes"]["reconstruct"]["train"]
    train["epoch"] = train.pop("epochs")
    with pytest.raises(FpmlError) as error:
        config.check(params)
    assert "did you mean 'epochs'" in str(error.value)
    assert "missing" not in str(error.value)
