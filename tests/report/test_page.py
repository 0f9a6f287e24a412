import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from fpml.drawing import figures
from fpml.metrics.table import METRICS
from fpml.project.params import load
from tests.conftest import make_print


def test_the_report_is_one_page_with_nothing_to_load(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    (project / "raw/prints/DB1_B/x_y_z.tif").write_text("<script>alert(1)</script>", encoding="utf-8")
    Image.fromarray(make_print(1)).save(project / "raw/prints/DB1_B/<b>.tif")
    trained("ingest", "prints")
    change_params("tracking.log_images", "all")
    trained("report")
    page = (project / "report/index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>.tif" not in page
    assert "&lt;b&gt;.tif" in page
    assert 'src="http' not in page
    assert page.count("<img") > 6
    run_id = json.loads((project / "models/reconstruct/run.json").read_text(encoding="utf-8"))["run_id"]
    assert page.count(run_id) > 5
    assert load(project / "params.yaml").tracking.log_images == "all"


def test_the_matrix_joins_the_rows_of_all_runs(
    project: Path, trained: Callable[..., Any], change_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run for each training sensor: the report's matrix has a row each, and every sensor's column."""
    recipe = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["recipes"]["reconstruct"]
    recipe["data"] |= {"train": ["prints/DB1"], "test": ["prints/DB2", "other"]}
    change_params("recipes.on-db1", recipe)
    change_params("run.on-db1", {"task": "reconstruct", "model": "autoencoder"})
    for stage in ("prepare", "split", "train", "evaluate"):
        trained(stage, "on-db1")
    drawn: list[tuple[pd.DataFrame, str]] = []
    heat_map = figures.heat_map

    def noted(table: pd.DataFrame, title: str, *rest: Any, **more: Any) -> None:
        drawn.append((table, title))
        heat_map(table, title, *rest, **more)

    monkeypatch.setattr(figures, "heat_map", noted)
    trained("report")
    page = (project / "report/index.html").read_text(encoding="utf-8")
    assert "<h2>reconstruct</h2>" in page
    assert "<h2>on-db1</h2>" in page
    ((matrix, title),) = drawn
    assert title == METRICS["psnr_mask"].label
    assert matrix.index.tolist() == ["prints (reconstruct)", "prints/DB1 (on-db1)"]
    for run, row in zip(("reconstruct", "on-db1"), matrix.to_dict("records"), strict=True):
        measured = json.loads((project / "results" / run / "metrics.json").read_text(encoding="utf-8"))["psnr_mask"]
        assert set(measured) == {"prints/DB1", "prints/DB2", "other"}
        assert row == measured
    sides = pd.read_parquet(project / "results/on-db1/table.parquet").set_index("part")["side"]
    assert set(sides["prints/DB2"]) == {"unseen"}
    assert set(sides["prints/DB1"]) == {"validation"}
