"""report: one page that opens anywhere, with no script and nothing to load. It shows only what may be seen."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from fpml import tracking
from fpml.config import Params
from fpml.data import manifest
from fpml.data.pictures import read_grey
from fpml.data.sources import READERS
from fpml.errors import FpmlError
from fpml.evaluate import figures
from fpml.evaluate.publish import may_show
from fpml.files import new_folder, root
from fpml.identity import Identity, run_name

EXAMPLES = 5  # prints shown for each sensor
TABLE_METRICS = ("psnr_mask", "ssim_mask", "mse_mask", "psnr", "ssim", "mse")
UI = "http://127.0.0.1:5000"  # where `make ui` serves the MLflow pages


def report(params: Params) -> Path:
    """Write report/index.html from the manifests and the results of every run in params.yaml."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    manifests = {n: manifest.read(root() / "data" / "manifest" / f"{n}.parquet") for n in params.datasets}
    mlflow = tracking.connect(params.tracking)
    experiment = mlflow.MlflowClient().get_experiment_by_name(params.tracking.experiment).experiment_id if mlflow else ""
    runs = [_run(name, params, experiment) for name in params.run]
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.j2")
    page = template.render(
        runs=runs,
        sensors=_sensors(manifests, params),
        quarantined=_listed(manifests, manifest.QUARANTINED),
        ignored=_listed(manifests, manifest.IGNORED),
        matrix=_matrix(runs),
        log_images=params.tracking.log_images,
    )
    with new_folder(root() / "report") as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
    return root() / "report" / "index.html"


def _picture(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _run(name: str, params: Params, experiment_id: str) -> dict[str, Any]:
    models, results = root() / "models" / name, root() / "results" / name
    if not (results / "table.parquet").exists():
        raise FpmlError(f"{results} has no results; run: dvc repro evaluate@{name}")
    table = pd.read_parquet(results / "table.parquet")
    identity = Identity.read(models / "run.json")
    drawn = json.loads((results / "figures.json").read_text())
    shown = [f for f in drawn if may_show(f, params.tracking.log_images)]
    for figure in shown:
        figure["data"] = _picture((results / "figures" / figure["file"]).read_bytes())
    return {
        "name": name,
        "facts": json.loads((results / "facts.json").read_text()),
        "config": json.loads((models / "config.json").read_text()),
        "metrics": json.loads((models / "metrics.json").read_text()),
        "link": _link(identity, params, experiment_id or identity.experiment_id),
        "rows": _rows(table),
        "table": table,
        "figures": shown,
        "hidden": len(drawn) - len(shown),
    }


def _link(identity: Identity, params: Params, experiment_id: str) -> dict[str, str]:
    """Where the MLflow pages show the run: by its tag, which a run rebuilt from files keeps."""
    name = run_name(identity, root() / "models" / identity.name)
    uri = tracking.public(params.tracking.uri).rstrip("/") if params.tracking.uri.startswith("http") else UI
    search = quote(f"tags.`{tracking.RUN_TAG}` = '{name}'")
    return {"run": name, "url": f"{uri}/#/experiments/{experiment_id}/runs?searchFilter={search}"}


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each sensor, side and metric: the model and its two baselines, each with its interval."""
    rows = []
    order = {m: i for i, m in enumerate(TABLE_METRICS)}
    for (side, sensor, metric), part in table.groupby(["side", "sensor", "metric"], sort=True):
        cells = {r["method"]: _cell(str(metric), r) for r in part.to_dict("records")}
        best = max if "mse" not in str(metric) else min
        values = dict(zip(part["method"], part["value"], strict=True))
        rows.append({
            "sensor": sensor, "side": side, "metric": metric, "cells": cells, "best": best(values, key=lambda k: values[k]),
            "prints": part["prints"].iat[0], "fingers": part["fingers"].iat[0], "order": order[str(metric)],
        })  # fmt: skip
    return sorted(rows, key=lambda r: (r["order"], r["side"], r["sensor"]))


def _cell(metric: str, row: Mapping[Any, Any]) -> str:
    digits = {"psnr": 2, "ssim": 3, "mse": 4}[metric.removesuffix("_mask")]
    value = f"{row['value']:.{digits}f}"
    return value if np.isnan(row["low"]) else f"{value} ({row['low']:.{digits}f}–{row['high']:.{digits}f})"


def _matrix(runs: list[dict[str, Any]]) -> str:
    """The train-sensor x test-sensor heat map, all runs' rows joined."""
    frames = [figures.matrix(r["table"], f"{r['facts']['trained_on']} ({r['name']})") for r in runs]
    buffer = io.BytesIO()
    figures.heat_map(pd.concat(frames), "PSNR inside the print", "PSNR, dB", buffer)
    return _picture(buffer.getvalue())


def _sensors(manifests: dict[str, pd.DataFrame], params: Params) -> list[dict[str, Any]]:
    """Counts and example prints for each sensor."""
    out = []
    for name, frame in manifests.items():
        for sensor, part in frame[frame["status"] != manifest.IGNORED].groupby("sensor"):
            ok = part[part["status"] == manifest.OK]
            shows = {"shows_prints": True, "synthetic": bool(len(ok) and manifest.is_synthetic(ok).all())}
            picture = None
            if len(ok) and may_show(shows, params.tracking.log_images):
                picture = _examples(ok, name, str(sensor), params)
            out.append({
                "dataset": name, "sensor": sensor, "prints": len(ok), "fingers": ok["finger_id"].nunique(),
                "subjects": ok["subject"].nunique(), "dpi": f"{ok['dpi'].iat[0]:.0f}" if len(ok) else "–",
                "sizes": ", ".join(sorted({f"{w}×{h}" for w, h in zip(ok["width"], ok["height"], strict=True)})[:3]),
                "copies": len(ok) - ok["sha256"].nunique(), "quarantined": int((part["status"] == manifest.QUARANTINED).sum()),
                "synthetic": shows["synthetic"], "picture": picture,
            })  # fmt: skip
    return out


def _examples(ok: pd.DataFrame, name: str, sensor: str, params: Params) -> str:
    rows = ok.iloc[np.linspace(0, len(ok) - 1, min(EXAMPLES, len(ok))).round().astype(int)]
    crop = READERS[params.datasets[name].reader].crop
    prints = [crop(read_grey(root() / f, params.ingest.max_pixels)) for f in rows["file"]]
    buffer = io.BytesIO()
    figures.examples(prints, f"{name}, sensor {sensor}", buffer)
    return _picture(buffer.getvalue())


def _listed(manifests: dict[str, pd.DataFrame], status: str) -> list[dict[str, str]]:
    frames = [f[f["status"] == status][["file", "reason"]] for f in manifests.values()]
    rows: list[dict[str, str]] = pd.concat(frames).to_dict("records")  # type: ignore[assignment]
    return rows
