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
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.base.files import new_folder, root
from fpml.data import manifest
from fpml.data.readers import read_print, reader_named
from fpml.drawing import figures
from fpml.drawing.privacy import may_show
from fpml.metrics.metric import Metric
from fpml.metrics.table import FLOOR, METRICS, MODEL
from fpml.project.identity import Identity, run_name
from fpml.project.params import Params
from fpml.tracking import runs as tracking

EXAMPLES = 5  # prints shown for each sensor


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
        matrices=_matrices(runs),
        labels={name: metric.label for name, metric in METRICS.items()},
        log_images=params.tracking.log_images,
    )
    with new_folder(root() / "report") as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
    return root() / "report" / "index.html"


def _picture(content: bytes, kind: str = "png") -> str:
    """A picture inside the page; a PNG as WebP, at a sixth of its size. The PNGs lie in results/."""
    if kind == "png":
        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").save(buffer, "webp", quality=85, method=2)
        content, kind = buffer.getvalue(), "webp"
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def _run(name: str, params: Params, experiment_id: str) -> dict[str, Any]:
    models, results = root() / "models" / name, root() / "results" / name
    if not (results / "table.parquet").exists():
        raise FpmlError(f"{results} has no results; run: dvc repro evaluate@{name}")
    table = pd.read_parquet(results / "table.parquet")
    identity = Identity.read(models / "run.json")
    drawn = json.loads((results / "figures.json").read_text(encoding="utf-8"))
    shown = [f for f in drawn if may_show(f, params.tracking.log_images)]
    for figure in shown:
        figure["data"] = _picture((results / "figures" / figure["file"]).read_bytes(), Path(figure["file"]).suffix[1:])
    return {
        "name": name,
        "facts": json.loads((results / "facts.json").read_text(encoding="utf-8")),
        "config": json.loads((models / "config.json").read_text(encoding="utf-8")),
        "metrics": json.loads((models / "metrics.json").read_text(encoding="utf-8")),
        "link": _link(identity, params, experiment_id or identity.experiment_id),
        "rows": _rows(table),
        "methods": _methods(table),
        "table": table,
        "figures": shown,
        "hidden": len(drawn) - len(shown),
    }


def _link(identity: Identity, params: Params, experiment_id: str) -> dict[str, str]:
    """Where the MLflow pages show the run: by its tag, which a run rebuilt from files keeps."""
    name = run_name(identity, root() / "models" / identity.name)
    search = quote(f"tags.`{tracking.RUN_TAG}` = '{name}'")
    return {"run": name, "url": f"{tracking.pages(params.tracking)}/#/experiments/{experiment_id}/runs?searchFilter={search}"}


def _methods(table: pd.DataFrame) -> list[str]:
    """What stands side by side: the model first, then what stands alone beside it, then variants of both."""
    return sorted(table["method"].unique(), key=lambda m: (m != MODEL, MODEL in m, "alone" in m))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each part, side and metric: every method with its interval."""
    rows = []
    order = list(METRICS)
    for (side, name, metric), part in table.groupby(["side", "part", "metric"], sort=True):
        shown = METRICS[str(metric)]
        values = {m: v for m, v in zip(part["method"], part["value"], strict=True) if m != FLOOR}
        rows.append({
            "part": name, "side": side, "metric": metric,
            "cells": {r["method"]: _cell(shown, r) for r in part.to_dict("records")},
            "best": shown.better(values, key=lambda k: values[k]) if len(values) > 1 else "",
            "prints": part["prints"].iat[0], "fingers": part["fingers"].iat[0], "order": order.index(str(metric)),
        })  # fmt: skip
    return sorted(rows, key=lambda r: (r["order"], r["side"], _by_level(r["part"])))


def _by_level(part: str) -> str:
    """A part's name so that levels of alteration sort from easy to hard."""
    for number, level in enumerate(("Easy", "Medium", "Hard")):
        part = part.replace(f"/{level} ", f"/{number} ")
    return part


def _cell(metric: Metric, row: Mapping[Any, Any]) -> str:
    value = f"{row['value']:.{metric.digits}f}"
    return value if np.isnan(row["low"]) else f"{value} ({row['low']:.{metric.digits}f}–{row['high']:.{metric.digits}f})"


def _matrices(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A train-sensor x test-sensor heat map for each metric that has one, the rows of all its runs joined."""
    out = []
    for metric in dict.fromkeys(r["facts"]["matrix"] for r in runs if "matrix" in r["facts"]):
        mine = [r for r in runs if r["facts"].get("matrix") == metric]
        frames = [figures.matrix(r["table"], metric, f"{r['facts']['trained_on']} ({r['name']})") for r in mine]
        buffer = io.BytesIO()
        label = METRICS[metric].label
        figures.heat_map(pd.concat(frames), label, label, buffer)
        out.append({"label": label, "data": _picture(buffer.getvalue()), "runs": mine})
    return out


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
    reader = params.datasets[name].reader
    found = [read_print(row, reader, root(), params.ingest.max_pixels) for _, row in rows.iterrows()]
    prints = [reader_named(reader).crop(grey) for grey in found]
    buffer = io.BytesIO()
    figures.examples(prints, f"{name}, sensor {sensor}", buffer)
    return _picture(buffer.getvalue())


def _listed(manifests: dict[str, pd.DataFrame], status: str) -> list[dict[str, str]]:
    frames = [f[f["status"] == status][["file", "reason"]] for f in manifests.values()]
    rows: list[dict[str, str]] = pd.concat(frames).to_dict("records")  # type: ignore[assignment]
    return rows
