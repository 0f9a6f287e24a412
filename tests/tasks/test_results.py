import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from fpml import metrics
from fpml.metrics import generation
from fpml.metrics.metric import Metric
from fpml.metrics.results import Row, as_table
from fpml.metrics.table import METRICS
from tests.tasks import made


def inception(path: Path) -> str:
    """A file that takes what ImageNet's Inception takes: 48 means in place of its logits."""
    pool = helper.make_node("AveragePool", ["pictures"], ["means"], kernel_shape=[74, 74], strides=[74, 74])
    flat = helper.make_node("Flatten", ["means"], ["logits"])
    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["b", 3, 299, 299])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 48])
    graph = helper.make_graph([pool, flat], "inception", [pictures], [logits])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


def test_every_declared_metric_is_measured_by_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table_of: Callable[..., pd.DataFrame]
) -> None:
    monkeypatch.setattr(generation, "FID_FROM", 16)
    tables = [table_of(run) for run in (made.given_back, made.mended, made.copies, made.matches)]
    tables.append(made.evaluated(made.dreams(inception=inception(tmp_path / "inception.onnx")), tmp_path))
    tables += [made.evaluated(run(tmp_path), tmp_path) for run in (made.sought, made.half_given_back)]
    assert {metric for table in tables for metric in table.index.unique("metric")} == set(METRICS)


def test_what_a_reconstruction_loses_shows_in_its_minutiae(tmp_path: Path) -> None:
    """Half of each print is gone: what is left is true, and about half of the minutiae; a low-pass copy loses fine ones."""
    table = made.evaluated(made.half_given_back(tmp_path), tmp_path)["value"].droplevel("part")
    assert table["kept_precision", "model"] > 0.85
    assert 0.3 < table["kept_recall", "model"] < 0.7
    assert 0.05 < table["kept_score", "model"] < 0.95


def test_the_table_has_every_metric_that_a_file_declares() -> None:
    def metrics_in(value: Any) -> list[Metric]:
        return (
            [value] if isinstance(value, Metric) else [m for v in value for m in metrics_in(v)] if type(value) is tuple else []
        )

    files = [import_module(f"{metrics.__name__}.{module.name}") for module in iter_modules(metrics.__path__)]
    declared = {m for file in files for value in vars(file).values() for m in metrics_in(value)}
    assert declared == set(METRICS.values())
    assert len(declared) == len({m.name for m in declared})


def test_importing_the_table_imports_no_torch() -> None:
    said = "import sys, fpml.metrics.results; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_row_of_an_undeclared_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="'mae' is not declared; allowed: psnr_mask, "):
        Row(side="test", part="prints", method="model", metric="mae", value=1.0, prints=1, fingers=1)


def test_a_table_without_rows_has_its_columns() -> None:
    columns = ["side", "part", "method", "metric", "value", "low", "high", "prints", "fingers"]
    assert as_table([]).columns.tolist() == columns
