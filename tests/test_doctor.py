from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpml.doctor import examine


def test_a_sound_project(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert examine()
    said = capsys.readouterr().out
    for word in (
        "Python",
        "params.yaml: 2 datasets",
        "git: all committed",
        "to be run: ",
        "MLflow's store answers",
        "torch",
        "disk free",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: (p / "params.yaml").write_text("run: ["), "no YAML"),
        (lambda p: (p / "mlflow.db").write_text("no database"), "MLflow's store can't be used"),
        (lambda p: (p / ".dvc").rename(p / "gone"), "dvc init"),
        (lambda p: (p / "raw" / "other").rename(p / "raw" / "gone"), "raw/other is not there"),
    ],
)
def test_what_is_wrong_is_named(
    dvc_project: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], Any], words: str
) -> None:
    harm(dvc_project)
    assert not examine()
    said = capsys.readouterr().out
    assert any(line.startswith("BAD") and words in line for line in said.splitlines()), said
    assert "mend what is marked BAD" in said


def test_another_environments_tools_are_noticed(
    dvc_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert not examine()
    assert "'fpml' is not on PATH" in capsys.readouterr().out


def test_unfinished_trainings_are_named(dvc_project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dvc_project / ".fpml/checkpoints/reconstruct-abc/epoch-00001").mkdir(parents=True)
    examine()
    assert "trainings that did not end" in capsys.readouterr().out


def test_outside_a_project_it_says_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not examine()
    assert capsys.readouterr().out.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_show_names_only_what_is_there(dvc_project: Path, fpml: Callable[..., Any]) -> None:
    said = fpml("show").out
    assert "index.html" not in said
    assert said.count("not made yet; run: make demo") == 2
