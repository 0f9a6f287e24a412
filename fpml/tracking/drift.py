"""Whether new prints are like those that a run was trained on: what a model never saw, it can't be trusted with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fpml.base.errors import FpmlError
from fpml.base.files import new_folder, root, state_folder
from fpml.base.progress import progress
from fpml.data import manifest
from fpml.data.ingest import not_ingested
from fpml.data.prepare import prepare, select
from fpml.data.store import Prepared, open_prepared
from fpml.drawing import figures
from fpml.metrics.generation import nearest
from fpml.metrics.judge import load_judge
from fpml.metrics.pictures import to_float
from fpml.metrics.ridges import coarseness, orientation
from fpml.project.params import Params
from fpml.settings.recipe import Data
from fpml.tasks.command import usable
from fpml.tracking import runs as tracking

STATISTICS = {
    "grey": "mean grey inside the print",
    "contrast": "standard deviation of grey inside the print",
    "area": "share of the canvas that the print covers",
    "coherence": "mean coherence of the ridges' orientation, 0 to 1: the print's quality",
    "period": "mean wavelength of the ridges, pixels at 500 dpi",
    "embedding": "distance to the nearest other finger's training print, by the judge",
}
DRIFT_TAG = "fpml.drift"
CHANCE = 0.01  # a distance that so small a share of draws from one set would reach is no drift
BATCH = 64


def drift(name: str, inputs: list[Path], dpi: float, reader: str, params: Params) -> dict[str, Any]:
    """Compare new prints with a run's training prints: {run, prints, drifted, table, folder}.

    New are the given pictures; where none are given, the usable prints of the run's training datasets, as their manifests
    have them now, that it was not trained on. Per statistic the table has the Kolmogorov-Smirnov distance of both
    distributions, 0..1, and whether it is over params.yaml's limit and no chance. Left in the state folder and, as one
    more step of the run's curve, in MLflow."""
    rule = params.drift
    known = open_prepared(root() / "data" / "prepared" / name)
    trained_on = np.flatnonzero((known.index["role"] == "train").to_numpy())
    data = params.recipe(name).data
    sample = trained_on[np.random.default_rng(0).permutation(len(trained_on))[: rule.prints]]
    old = measure(known.take(sample), known.take(sample, "masks"), data.dpi)
    with new_folder(state_folder() / "drift" / name) as folder:
        if inputs:
            parts = list(usable(inputs, dpi, reader, data, "drift"))
            prints, masks = np.concatenate([p.prints[:, 0] for p in parts]), np.concatenate([p.masks for p in parts])
        else:
            prints, masks = _unseen(name, known, data, params, folder)
        if len(prints) < 2:
            return {"run": name, "prints": len(prints), "drifted": [], "table": [], "folder": ""}
        keep = np.random.default_rng(0).permutation(len(prints))[: rule.prints]
        new = measure(prints[keep], masks[keep], data.dpi)
        fingers = known.index["finger_id"].to_numpy(str)[sample]
        old["embedding"], new["embedding"] = _distances(known.take(sample), fingers, prints[keep])
        table = compare(old, new, rule.limit)
        drifted = table.loc[table["drifted"], "statistic"].tolist()
        title = (
            f"{name}: {len(new)} new prints {'differ in ' + ', '.join(drifted) if drifted else 'are like the training prints'}"
        )
        figures.distributions(old, new, STATISTICS, title, folder / "drift.png")
        table.to_parquet(folder / "table.parquet", index=False)
    folder = state_folder() / "drift" / name
    _log(name, params, table, folder)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return {"run": name, "prints": len(new), "drifted": drifted, "table": rows, "folder": str(folder)}


@torch.inference_mode()
def measure(prints: np.ndarray, masks: np.ndarray, dpi: float) -> pd.DataFrame:
    """The statistics of each print but the embedding's; prints and masks uint8 (N, H, W)."""
    rows = []
    for start in progress(range(0, len(prints), BATCH), "measure", -(-len(prints) // BATCH), "batches"):
        here = to_float(prints[start : start + BATCH], torch.device("cpu"))
        inside = torch.from_numpy(masks[start : start + BATCH]).float()
        size = inside.sum((1, 2)).clamp(min=1)
        mean = (here[:, 0] * inside).sum((1, 2)) / size
        spread = ((here[:, 0] - mean[:, None, None]).square() * inside).sum((1, 2)).div(size).sqrt()
        coherence = (orientation(here, dpi)[1] * inside).sum((1, 2)) / size
        rows.append(
            pd.DataFrame({
                "grey": 255 * mean, "contrast": 255 * spread, "area": inside.mean((1, 2)), "coherence": coherence,
                "period": coarseness(here) * 500 / dpi,
            }, dtype=float)
        )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def compare(old: pd.DataFrame, new: pd.DataFrame, limit: float) -> pd.DataFrame:
    """statistic, old, new (medians), distance (Kolmogorov-Smirnov), chance (its p value), drifted. The embedding's distance
    counts only where new prints lie farther off: near to the training prints is no drift."""
    from scipy.stats import ks_2samp

    rows = []
    for name in old.columns:
        test = ks_2samp(old[name], new[name], alternative="greater" if name == "embedding" else "two-sided")
        over = bool(test.statistic > limit and test.pvalue < CHANCE)
        rows.append({
            "statistic": name, "old": float(old[name].median()), "new": float(new[name].median()),
            "distance": float(test.statistic), "chance": float(test.pvalue), "drifted": over,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _distances(known: np.ndarray, fingers: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far training prints lie from the nearest of another finger, and new prints from the nearest training print."""
    judge = load_judge()
    old_view, new_view = (judge(to_float(p, torch.device("cpu"))) for p in (known, new))
    order = np.random.default_rng(0).permutation(np.unique(fingers))
    first = np.isin(fingers, order[: len(order) // 2])
    if not first.any() or first.all():
        raise FpmlError("drift needs training prints of two fingers or more")
    # Halves of the fingers against each other, and the new prints against a half: as many to be near to.
    among = np.concatenate([nearest(old_view[first], old_view[~first])[1], nearest(old_view[~first], old_view[first])[1]])
    return among, nearest(new_view, old_view[first])[1]


def _unseen(name: str, known: Prepared, data: Data, params: Params, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The prints of the run's training datasets that it does not know, on its canvas."""
    names = sorted({entry.split("/")[0] for entry in data.train})
    for one in names:
        if new := not_ingested(one, params.datasets[one], root()):
            raise FpmlError(f"{len(new)} files of {one} are in no manifest yet, such as {new[0]}; run: dvc repro ingest@{one}")
    manifests = {n: manifest.read(root() / "data" / "manifest" / f"{n}.parquet") for n in names}
    rows = select(manifests, data.train, "train")
    rows = rows[~rows["sha256"].isin(set(known.index["sha256"]))]
    if rows.empty:
        return np.empty((0, data.height, data.width), np.uint8), np.empty((0, data.height, data.width), np.uint8)
    few = rows.sample(min(len(rows), params.drift.prints), random_state=0)
    readers: dict[str, str] = {n: params.datasets[n].reader for n in names}
    part = {n: few[few["dataset"] == n] for n in names}
    entries = [n for n in names if len(part[n])]
    place = folder / "prints"
    prepare(name, replace(data, train=entries, test=[]), part, readers, root(), place, params.runtime.pool)
    found = open_prepared(place)
    every = np.arange(len(found))
    prints, masks = found.take(every), found.take(every, "masks")
    for file in place.iterdir():  # prints are biometric data: only their statistics stay
        file.unlink()
    place.rmdir()
    return prints, masks


def _log(name: str, params: Params, table: pd.DataFrame, folder: Path) -> None:
    """One more step of the run's curve in MLflow; a store that can't be reached only leaves it out, having said so."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        return
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(params.tracking.experiment).experiment_id
    known = client.search_runs([experiment], f"tags.`{DRIFT_TAG}` = '{name}'", max_results=1)
    run_id = known[0].info.run_id if known else None
    named = (
        {} if known else {"experiment_id": experiment, "run_name": f"{name} drift", "tags": {DRIFT_TAG: name, "recipe": name}}
    )
    try:
        with mlflow.start_run(run_id=run_id, log_system_metrics=False, **named) as run:
            step = len(client.get_metric_history(run.info.run_id, "drift/grey")) if known else 0
            values = dict(zip("drift/" + table["statistic"], table["distance"], strict=True))
            mlflow.log_metrics(values, step=step)
            mlflow.log_artifact(str(folder / "drift.png"), f"step-{step:05d}")
            mlflow.log_artifact(str(folder / "table.parquet"), f"step-{step:05d}")
    except mlflow.exceptions.MlflowException as error:
        tracking.say(f"tracking: the store failed ({' '.join(str(error).split())[:300]}); the drift stays in {folder}")


def sentence(found: dict[str, Any]) -> str:
    """What was found, as a person reads it."""
    if not found["table"]:
        return f"{found['run']}: {found['prints']} new prints; two are needed to compare"
    rows = pd.DataFrame(found["table"]).round(3).to_string(index=False)
    said = f"drift in {', '.join(found['drifted'])}" if found["drifted"] else "no drift"
    return f"{found['run']}: {found['prints']} new prints, {said}; figure and table in {found['folder']}\n{rows}"
