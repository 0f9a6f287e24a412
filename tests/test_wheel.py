"""What is installed from the wheel: models on a person's pictures, in any folder, without torch and the pipeline's packages."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import REPOSITORY, make_print

PIPELINE = (
    "torch",
    "mlflow",
    "dvc",
    "prefect",
    "accelerate",
    "sklearn",
    "skimage",
    "matplotlib",
    "onnx",
    "yaml",
    "safetensors",
)
WITHOUT = f"""
import sys
from importlib.abc import MetaPathFinder
class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {PIPELINE}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(folder),
    ]
    # From a copy: a build folder in the checkout may hold files that are gone.
    source = folder / "source"
    shutil.copytree(REPOSITORY / "fpml", source / "fpml", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python as where only the wheel and what it requires are installed, in a folder of its own."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    (site / "sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    elsewhere.mkdir(exist_ok=True)

    def call(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=elsewhere, env=environment, capture_output=True, encoding="utf-8", timeout=100
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"fpml", next(t for t in tops if t.endswith(".dist-info"))}
    assert wheel.name.startswith("fingerprint_ml-")
    modules = {f"fpml/{p.relative_to(REPOSITORY / 'fpml').as_posix()}" for p in (REPOSITORY / "fpml").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    of_the_page = ("tryout/page.html.j2", "tryout/static/page.js", "tryout/examples/a-1.png")
    for needed in (
        "alteration/noise.npy",
        "shipped/judge-2/weights.safetensors",
        "shipped/pattern-1/model.onnx",
        "project/presets/demo.yaml",
        "report/report.html.j2",
        *of_the_page,
    ):
        assert f"fpml/{needed}" in names
    shipped = sum(p.stat().st_size for p in (REPOSITORY / "fpml" / "shipped").rglob("*") if p.is_file())
    assert shipped < 15e6


def test_a_model_works_in_any_folder(trained: Callable[..., Any], project: Path, installed: Callable[..., Any]) -> None:
    elsewhere = project / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    trained("export", "reconstruct", "--out", str(elsewhere / "mine.fpml.zip"))
    Image.fromarray(make_print(7)).save(elsewhere / "a.png")
    said = installed("-m", "fpml.cli", "reconstruct", "a.png", "--out", "out", "--model", "mine.fpml.zip").stdout
    assert "PSNR" in said
    assert (elsewhere / "out/a-reconstruction.png").exists()
    code = """
import fpml
model = fpml.load("mine.fpml.zip")
(found,) = model.reconstruct(fpml.read("a.png"), dpi=500)
print(found.picture.shape, found.picture.dtype, found.dpi, round(found.psnr, 2))
"""
    told = installed("-c", code).stdout
    assert told.startswith("(32, 32) uint8 160.0 ")
    assert told.split()[-1] in said


def test_the_page_needs_no_torch(installed: Callable[..., Any]) -> None:
    code = """
from fastapi.testclient import TestClient
from fpml.tryout.app import create_app
from fpml.tryout.models import offered
here = "http://127.0.0.1"
with TestClient(create_app(offered([])), here, headers={"origin": here}) as client:
    print(client.get("/").text)
    client.headers["fpml-session"] = client.post("/api/open").json()["session"]
    for slot in ("first", "second"):
        client.post(f"/api/example/{slot}", json={"file": "a-1.png"})
    asked = {"model": "minutiae-1", "dpi": 500, "second_dpi": 500}
    print(client.post("/api/compare", json=asked).json()["verdict"])
    print(client.post("/api/make", json={}).json()["error"])
"""
    line = "this needs torch, which is not installed; it comes with fpml&#39;s extra [pipeline], see README"
    page, verdict, refusal = installed("-c", code).stdout.rstrip().rsplit("\n", 2)
    assert f"Making prints: {line}." in page
    assert verdict == "the same finger"
    assert refusal == line.replace("&#39;", "'")


def test_what_is_not_installed_is_said_in_one_line(installed: Callable[..., Any], project: Path) -> None:
    (project / "elsewhere" / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    said = installed("-m", "fpml.cli", "train", "reconstruct", code=2).stderr
    assert said.strip() == "fpml: this needs torch, which is not installed; it comes with fpml's extra [pipeline], see README"
    installed("-m", "fpml.cli", "synth", "--help")
    assert "no model 'nothing'" in installed("-m", "fpml.cli", "verify", "a", "b", "--model", "nothing", code=2).stderr
