"""The first page of MLflow's pages, and that what it states is what the installed pages keep in the browser."""

import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import mlflow.server
import pytest

from fpml.tracking import front_page


@pytest.fixture(scope="module")
def scripts() -> str:
    folder = Path(str(mlflow.server.app.static_folder)) / "static" / "js"
    return "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.js"))


def test_the_first_page_leads_to_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(front_page.START, "http://127.0.0.1:5000/#/experiments/1/runs?a=</script>")
    html = mlflow.server.app.test_client().get("/", headers={"Host": "127.0.0.1"}).get_data(as_text=True)
    (script,) = re.findall(r"<head><script>(.*?)</script>", html)
    assert "/experiments/1/runs?a=\\u003c/script>" in script
    assert html.index("<head><script>") < html.index("main.")  # before MLflow's own
    stated = json.loads(re.findall(r"Object.entries\((\{.*?\})\)", script)[0])
    assert stated == front_page.AT_FIRST


@pytest.mark.parametrize("key", front_page.AT_FIRST)
def test_the_pages_know_what_is_stated(key: str, scripts: str) -> None:
    """A key that MLflow has renamed would be stated in vain."""
    assert f'"{key.rpartition("_v")[0]}"' in scripts


@pytest.mark.parametrize("word", ["mlflow.sharedViewState.", "viewStateShareKey", "compareRunsMode", "isAccordionReordered"])
def test_the_pages_know_views(word: str, scripts: str) -> None:
    assert word in scripts


def test_the_app_is_found_by_its_name() -> None:
    declared = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    (value,) = re.findall(r'\[project.entry-points."mlflow.app"\]\nfpml = "([^"]+)"', declared)
    module, name = value.split(":")
    assert module == front_page.__name__
    assert hasattr(front_page, name)
    installed = [entry.value for entry in entry_points(group="mlflow.app") if entry.name == "fpml"]
    assert installed in ([], [value])  # [] where the project was installed before it had this
