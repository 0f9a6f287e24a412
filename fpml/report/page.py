"""report: one page that opens anywhere, with nothing to load. It shows only what may be seen.

It leads with the answer of every run; what was measured, the pictures and the settings are folded below."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.files import new_folder, root
from fpml.data import manifest
from fpml.metrics.metric import Metric
from fpml.metrics.standing import ALONE, BETTER, LEVEL, WORSE, Standing, answer, standings
from fpml.metrics.table import METRICS, MODEL
from fpml.project.identity import Identity, run_name
from fpml.project.params import Params
from fpml.report.heat import Heat, heat_map
from fpml.report.pictures import Picture, figures_of, sensors, thumbnail
from fpml.tracking import links, views
from fpml.tracking import runs as tracking

MARKS = {BETTER: "▲", LEVEL: "●", WORSE: "▼", ALONE: "–"}  # beside the word: colour alone says nothing to some


@dataclass(frozen=True)
class Run:
    """What the page shows of one run."""

    name: str
    about: str
    model: str  # the family of its network
    answer: Standing
    small: Picture | None  # a small picture for its line
    standings: dict[tuple[str, str, str], Standing]
    methods: list[str]  # the model first, then what stands beside it
    rows: list[dict[str, Any]]
    link: str
    run_id: str
    facts: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]  # what training ended with
    figures: list[Picture]
    folded: int  # figures that are in results/ and MLflow only
    hidden: int  # figures that show real prints

    @property
    def why(self) -> str:
        """Why it does not reach its baseline, where that is known; '' where it does."""
        return str(self.facts.get("why", "")) if self.answer.verdict == WORSE else ""

    @property
    def counts(self) -> dict[str, int]:
        """How many of its numbers are better, level and worse than the best baseline's."""
        said = [s.verdict for s in self.standings.values()]
        return {verdict: said.count(verdict) for verdict in (BETTER, LEVEL, WORSE)}


def report(params: Params) -> Path:
    """Write report/index.html from the manifests and the results of every run in params.yaml."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    manifests = {n: manifest.read(root() / "data" / "manifest" / f"{n}.parquet") for n in params.datasets}
    mlflow = tracking.connect(params.tracking)
    experiment = mlflow.MlflowClient().get_experiment_by_name(params.tracking.experiment).experiment_id if mlflow else ""
    experiment = experiment or Identity.read(root() / "models" / next(iter(params.run)) / "run.json").experiment_id
    with ThreadPoolExecutor() as pool:  # pictures are encoded beside each other, and while the sensors' are drawn
        coming = pool.map(partial(_run, params=params, experiment=experiment), params.run)
        shown = sensors(manifests, params)
        runs = list(coming)
    measured = {metric for run in runs for (_, _, metric) in run.standings}
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    ).get_template("report.html.j2")  # fmt: skip
    page = template.render(
        runs=runs,
        by_verdict={v: [run.name for run in runs if run.answer.verdict == v] for v in (BETTER, LEVEL, WORSE, ALONE)},
        marks=MARKS,
        heat=_heat(runs, manifests),
        sensors=shown,
        quarantined=_listed(manifests, manifest.QUARANTINED),
        ignored=_listed(manifests, manifest.IGNORED),
        metrics=[metric for metric in METRICS.values() if metric.name in measured],
        number=number,
        log_images=params.tracking.log_images,
        pages=views.start_page(params.tracking, experiment),
    )
    with new_folder(root() / "report") as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
    return root() / "report" / "index.html"


def number(metric: Metric, value: float, low: float = float("nan"), high: float = float("nan")) -> str:
    """A value with its metric's digits, and with its interval where it has one."""
    if isnan(value):
        return "none"
    said = f"{value:.{metric.digits}f}"
    return said if pd.isna(low) else f"{said} ({low:.{metric.digits}f}–{high:.{metric.digits}f})"


def _run(name: str, params: Params, experiment: str) -> Run:
    models, results = root() / "models" / name, root() / "results" / name
    if not (results / "table.parquet").exists():
        raise FpmlError(f"{results} has no results; run: dvc repro evaluate@{name}")
    table, scores = pd.read_parquet(results / "table.parquet"), pd.read_parquet(results / "scores.parquet")
    facts = _json(results / "facts.json")
    identity = Identity.read(models / "run.json")
    run_id = run_name(identity, models)
    figures, folded, hidden = figures_of(results, params.tracking.log_images)
    found = standings(table, scores)
    return Run(
        name, params.recipe(name).about, params.run[name].model, answer(found, scores, facts["headline"]),
        thumbnail(results, params.tracking.log_images), found, _methods(table), _rows(table, found),
        links.search_page(params.tracking, experiment, run_id), run_id, facts,
        _json(models / "config.json"), _json(models / "metrics.json"), figures, folded, hidden,
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _methods(table: pd.DataFrame) -> list[str]:
    """What stands side by side: the model first, then what stands alone beside it, then variants of both."""
    return sorted(table["method"].unique(), key=lambda m: (m != MODEL, MODEL in m, "alone" in m))


def _rows(table: pd.DataFrame, found: dict[tuple[str, str, str], Standing]) -> list[dict[str, Any]]:
    """A row for each part, side and metric: every method with its interval, and how the model stands."""
    rows = []
    order = list(METRICS)
    for key, part in table.groupby(["side", "part", "metric"], sort=True):
        side, name, metric = (str(k) for k in key)
        cells = {r["method"]: number(METRICS[metric], r["value"], r["low"], r["high"]) for r in part.to_dict("records")}
        rows.append({
            "part": name, "side": side, "metric": METRICS[metric], "cells": cells, "standing": found.get((side, name, metric)),
            "prints": part["prints"].iat[0], "fingers": part["fingers"].iat[0],
        })  # fmt: skip
    return sorted(rows, key=lambda r: (order.index(r["metric"].name), r["side"], _by_level(r["part"])))


def _by_level(part: str) -> str:
    """A part's name so that levels of alteration sort from easy to hard."""
    for number, level in enumerate(("Easy", "Medium", "Hard")):
        part = part.replace(f"/{level} ", f"/{number} ")
    return part


def _heat(runs: list[Run], manifests: dict[str, pd.DataFrame]) -> Heat:
    """Every run on every sensor it was measured on, by the metric of its matrix, else its headline; one that was measured on no
    single sensor, by its answer on its dataset."""
    known = {*manifests, *(f"{name}/{sensor}" for name, frame in manifests.items() for sensor in frame["sensor"].unique())}
    columns = {}
    for run in runs:
        metric = run.facts.get("matrix", run.facts["headline"])
        on_sensors = {part: s for (_, part, name), s in run.standings.items() if name == metric and part in known}
        columns[run.name] = on_sensors or ({run.answer.part.split("/")[0]: run.answer} if run.answer.part else {})
    return heat_map(columns)


def _listed(manifests: dict[str, pd.DataFrame], status: str) -> list[dict[str, str]]:
    frames = [f[f["status"] == status][["file", "reason"]] for f in manifests.values()]
    rows: list[dict[str, str]] = pd.concat(frames).to_dict("records")  # type: ignore[assignment]
    return rows
