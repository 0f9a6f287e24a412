"""The documentation site: its reference names all that there is, it builds without a warning, and it loads nothing."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fpml.cli.main import COMMANDS
from fpml.project import PRESETS
from fpml.project.preset import put_over, read_yaml, write_yaml
from tests.conftest import REPOSITORY, demo_settings, run

sys.path.insert(0, str(REPOSITORY / "docs" / "scripts"))
import reference


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra [docs] is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    run("mkdocs", "build", "--strict", "--site-dir", str(folder), cwd=REPOSITORY, env={"NO_MKDOCS_2_WARNING": "1"})
    return folder


def test_the_reference_has_every_command_with_its_arguments() -> None:
    page = reference.commands_page()
    for name, what in COMMANDS.items():
        below = what[1] if isinstance(what[1], dict) else {"": what}
        for inner in below:
            heading = f"## fpml {name} {inner}".strip()
            assert page.count(f"{heading}\n") == 1, heading
    assert "`--explain OUT.png` | draw both prints" in page  # of verify
    assert "`--use RECIPE:train\\|test`" in page  # a bar would end the cell


@pytest.fixture
def settings_page(tmp_path: Path) -> str:
    """Of the demo's settings, whatever the project's user has set in params.yaml."""
    params = read_yaml(REPOSITORY / "params.yaml")
    put_over(params, read_yaml(PRESETS / "demo.yaml"))
    write_yaml(params, tmp_path / "params.yaml")
    page: str = reference.settings_page(tmp_path / "params.yaml")
    return page


def keys(value: Any, name: str) -> list[str]:
    return [k for key, inside in value.items() for k in keys(inside, f"{name}.{key}")] if isinstance(value, dict) else [name]


def test_the_reference_has_every_setting(settings_page: str) -> None:
    settings = demo_settings()
    wanted = [f"recipes.R.{key[1:]}" for recipe in settings["recipes"].values() for key in keys(recipe, "")]
    wanted += [
        key for section in ("synth", "ingest", "drift", "runtime", "tracking") for key in keys(settings[section], section)
    ]
    wanted += [f"datasets.NAME.{key}" for key in settings["datasets"]["synth-fvc"]] + ["run.NAME.task", "run.NAME.model"]
    assert [key for key in wanted if f"| `{key}` |" not in settings_page] == []


@pytest.mark.parametrize(("key", "cells"), [
    ("ingest.max_pixels", ("whole number from 1", "`25000000`", "larger pictures are quarantined without decoding them")),
    ("runtime.device", ("`auto`, `cpu`, `cuda`", '`"auto"`', "or cpu, cuda")),
    ("recipes.R.train.beta1", ("number from 0 below 1", "`0.5`", "of Adam")),  # said in the dataclass alone
    ("recipes.R.split.unseen", ("number from 0 below 1", "`0.25`",
                                "share of the fingers held out for verification, never trained on")),
])  # fmt: skip
def test_a_setting_has_its_type_its_value_and_its_comment(settings_page: str, key: str, cells: tuple[str, ...]) -> None:
    assert f"| `{key}` | {' | '.join(cells)} |\n" in settings_page


def test_the_formats_and_the_api_name_modules_that_are_there() -> None:
    formats = reference.formats_page()
    assert '"finger_id": TEXT,  # the identity' in formats
    assert "impressions: int" not in formats
    assert len(re.findall(r"^::: fpml", reference.api_page(), re.MULTILINE)) == len(reference.API)


class Loads(HTMLParser):
    """What a browser fetches by itself when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.found += [given.get("src") or ""]
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev", "alternate"):
            self.found += [given.get("href") or ""]
        assert given.get("class") != "mermaid", "a diagram whose program Material loads from outside"


def test_the_site_builds_without_a_warning_and_loads_nothing_from_outside(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        html, loads = page.read_text(encoding="utf-8"), Loads()
        assert "```" not in html, f"{page}: an example that was taken for text: it needs four spaces in a list"
        assert not re.search(r"<p>(?:(?!</p>).)*\n[-*] ", html, re.DOTALL), f"{page}: a list needs an empty line before it"
        loads.feed(html)
        assert [one for one in loads.found if re.match(r"(\w+:)?//", one)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    assert (site / "search" / "search_index.js").exists()  # search without a server
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert 'id="fpml-data-purge"' in commands
    assert "fpml.inference.model.Model.repair" in (site / "reference" / "api.html").read_text(encoding="utf-8")


def test_the_notebook_runs_and_holds_no_outputs() -> None:
    nbclient = pytest.importorskip("nbclient", reason="the extra [docs] is not installed: make docs")
    import nbformat
    from traitlets.config import Config

    notebook = nbformat.read(REPOSITORY / "docs" / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    no_port = Config({"KernelManager": {"transport": "ipc"}})
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120, config=no_port).execute()
    said = "".join(o.get("text", "") for cell in code for o in cell.outputs)
    assert "one finger " in said
    assert re.search(r"^2 0\.\d+ match$", said, re.MULTILINE)
