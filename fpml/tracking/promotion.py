"""Which version of a model is the champion: the gate that a challenger must pass, and the way back.

A challenger is better only if the 95 % interval of its gain lies above the margin of params.yaml. The gain is taken on the
prints that both were measured on, which are new to both. Every decision is written on the version as tags.
"""

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError
from fpml.metrics.intervals import bootstrap
from fpml.metrics.table import METRICS, MODEL
from fpml.project.params import Params
from fpml.settings.recipe import Promotion
from fpml.tracking import links, registry
from fpml.tracking import runs as tracking
from fpml.tracking.promotion_lock import lock
from fpml.tracking.publish import EVALUATION_TAG, PIXELS, SCORES

CHAMPION = "champion"
DECISION, REASON, WHEN, BEFORE, GAIN = (f"promotion.{n}" for n in ("decision", "reason", "when", "champion_before", "gain"))
OUT = "promotion.rolled_back"  # stays on a version that was champion and had to go
PROMOTED, REFUSED, UNCHANGED, ROLLED_BACK = "promoted", "refused", "unchanged", "rolled back"
SETTINGS = ("data.height", "data.width", "data.dpi", "data.crop")  # with split.*: what makes two measurements comparable
RESAMPLES = 2000
COMMON = 0.5  # share of the champion's prints that a challenger must have been measured on too

Gain = tuple[float, float, float]  # low, mean, high


@dataclass(frozen=True)
class Measured:
    """What the store knows of how a version was measured."""

    version: str
    run: Any  # MLflow's, of its training
    tags: dict[str, str]
    data: dict[str, str]  # part that was measured: digest of its dataset
    settings: dict[str, str]  # SETTINGS of its run
    scores: pd.DataFrame | None  # a row for each print: image_id, finger_id, the MD5 of its pixels, and metrics
    table: pd.DataFrame  # the model's rows of the results' table


@dataclass(frozen=True)
class Decision:
    """What became of a challenger. gain: how much better it is, with its interval; None where it was not compared."""

    run: str
    version: str
    decision: str
    reason: str
    champion: str | None  # the version that was champion before
    gain: Gain | None
    metrics: list[dict[str, Any]]  # metric, part, challenger, champion, better: what a table shows
    page: str  # where the tracking pages show the challenger's run


def promote(name: str, params: Params, anyway: str = "", dry_run: bool = False) -> Decision:
    """Make the challenger of a run its champion, if it is better. anyway: a reason for which the gate is passed by;
    dry_run: only say what would be decided.

    FpmlError where the store can't be reached, nothing is registered, or another promotion of this run is under way."""
    rule = params.recipe(name).promotion
    mlflow = _connect(params)
    client = mlflow.MlflowClient()
    with nullcontext() if dry_run else lock(client, name):
        challenger = _alias(client, name, registry.ALIAS)
        champion = _alias(client, name, CHAMPION)
        if challenger is None:
            raise FpmlError(f"no version of '{name}' is {registry.ALIAS}; run: fpml register {name}")
        new = measured(mlflow, name, challenger)
        old = measured(mlflow, name, champion) if champion else None
        metrics, page = side_by_side(new, old, rule.metric), links.page(params.tracking, new.run)
        if challenger == champion:
            if not dry_run:
                _take_along(client, name)
            return Decision(name, challenger, UNCHANGED, "it is the champion already", champion, None, metrics, page)
        good, reason, gain = (True, f"by hand: {anyway}", None) if anyway else judge(new, old, rule)
        decision = Decision(name, challenger, PROMOTED if good else REFUSED, reason, champion, gain, metrics, page)
        if dry_run:
            return replace(decision, decision=f"would be {decision.decision}")
        _write(client, decision)  # first: a champion whose way back is not known would be one for good
        if good:
            _take_along(client, name)
            client.set_registered_model_alias(name, CHAMPION, challenger)
    return decision


def roll_back(name: str, params: Params) -> Decision:
    """Give the champion's place back to the version that had it before; the gate refuses the other from then on."""
    client = _connect(params).MlflowClient()
    with lock(client, name):
        champion = _alias(client, name, CHAMPION)
        if champion is None:
            raise FpmlError(f"no version of '{name}' is {CHAMPION}; run: fpml promote {name}")
        before = client.get_model_version(name, champion).tags.get(BEFORE)
        if not before:
            raise FpmlError(f"version {champion} of '{name}' was the first champion; there is none to go back to")
        client.set_registered_model_alias(name, CHAMPION, before)
        for part in _parts(client, name):
            if now := _alias(client, part, CHAMPION):
                earlier = client.get_model_version(part, now).tags.get(BEFORE)
                if earlier:
                    client.set_registered_model_alias(part, CHAMPION, earlier)
        decision = Decision(name, champion, ROLLED_BACK, f"version {before} is {CHAMPION} again", champion, None, [], "")
        for key, value in ((DECISION, ROLLED_BACK), (REASON, decision.reason), (WHEN, _now()), (OUT, _now())):
            client.set_model_version_tag(name, champion, key, value)
    return decision


def judge(new: Measured, old: Measured | None, rule: Promotion) -> tuple[bool, str, Gain | None]:
    """Whether the challenger is better than the champion, why, and its gain (low, mean, high) where both were compared."""
    if rule.metric not in METRICS or rule.metric not in set(new.table["metric"]):
        measures = ", ".join(m for m in METRICS if m in set(new.table["metric"]))
        raise FpmlError(f"promotion.metric is '{rule.metric}', which was not measured; measured were: {measures}")
    if OUT in new.tags:
        return False, "it was champion and rolled back", None
    if old is None:
        return True, "it is the first", None
    sign = 1 if METRICS[rule.metric].better is max else -1
    gain, said = None, settings_differ(new, old)
    if (
        not said
        and new.scores is not None
        and old.scores is not None
        and rule.metric in new.scores
        and rule.metric in old.scores
    ):
        gain, said = _paired(new.scores, old.scores, rule.metric, sign)
    elif not said and not (said := data_differ(new, old)):
        gain, said = _apart(new.table, old.table, rule.metric, sign)
    if gain is None:
        return False, f"not comparable with version {old.version}: {said}", None
    low, mean, high = gain
    said = f"{rule.metric} gains {mean:.4g} ({low:.4g} to {high:.4g}) over version {old.version}{said}"
    if np.isnan(low):
        return False, f"{rule.metric} has no interval (one finger): {said}", gain
    if low > rule.margin:
        return True, said, gain
    return False, f"{said}: not surely above the margin of {rule.margin:g}", gain


def data_differ(new: Measured, old: Measured) -> str:
    """Which of the data that were measured have changed; '' where none has."""
    changed = sorted(k for k in new.data.keys() | old.data.keys() if new.data.get(k) != old.data.get(k))
    return f"the data differ ({', '.join(changed[:4])})" if changed else ""


def settings_differ(new: Measured, old: Measured) -> str:
    """Which sizes or rules of the split have changed; '' where none has."""
    said = [
        f"{k} {new.settings.get(k)}, was {old.settings.get(k)}"
        for k in sorted(new.settings.keys() | old.settings.keys())
        if new.settings.get(k) != old.settings.get(k)
    ]
    return f"the settings differ ({'; '.join(said[:4])})" if said else ""


def _paired(new: pd.DataFrame, old: pd.DataFrame, metric: str, sign: int) -> tuple[Gain | None, str]:
    """The mean gain over the prints that both held out, with the interval by drawing fingers again, and which prints these
    are where they are not all; None and the reason where too few are left of the champion's."""
    both = new.merge(old, on=["image_id", PIXELS], suffixes=("", "_old"))
    if len(both) < COMMON * len(old):
        return None, f"the data differ: of its {len(old)} prints held out, {len(both)} are the same and held out now"
    gains = sign * (both[metric] - both[f"{metric}_old"]).to_numpy(float)
    low, high = bootstrap(gains, both["finger_id"].to_numpy(object), RESAMPLES)
    some = f", on {len(both)} prints that both held out ({len(new)} now, {len(old)} then)"
    gain = (low, float(gains[np.isfinite(gains)].mean()), high)
    return gain, "" if len(both) == len(new) == len(old) else some


def _apart(new: pd.DataFrame, old: pd.DataFrame, metric: str, sign: int) -> tuple[Gain | None, str]:
    """Where a metric is not one of single prints (an EER, a KID): the gain of the part that gains least, between the near
    ends and the far ends of both intervals. Wider than a paired interval, so it refuses rather than errs."""
    keys = ["side", "part", "prints", "fingers"]
    both = new[new["metric"] == metric].merge(old[old["metric"] == metric], on=keys, suffixes=("", "_old"))
    if both.empty or len(both) != (new["metric"] == metric).sum() or len(both) != (old["metric"] == metric).sum():
        return None, "the prints that were measured differ"
    ends = sign * both[["low", "high"]].to_numpy(float), sign * both[["low_old", "high_old"]].to_numpy(float)
    low = (ends[0].min(1) - ends[1].max(1)).min()
    high = (ends[0].max(1) - ends[1].min(1)).min()
    return (float(low), float((sign * (both["value"] - both["value_old"])).min()), float(high)), ""


def measured(mlflow: Any, name: str, version: str) -> Measured:
    """What the store knows of a version. FpmlError where it was never measured."""
    client = mlflow.MlflowClient()
    found = client.get_model_version(name, version)
    # By its file: the same file may have been measured again, on other data, under a later run.
    wanted = f"tags.`{registry.DIGEST_TAG}` = '{found.tags.get(registry.DIGEST_TAG)}' and tags.`{EVALUATION_TAG}` LIKE '%'"
    experiment = client.get_run(found.run_id).info.experiment_id
    newest = client.search_runs([experiment], wanted, order_by=["start_time DESC"], max_results=1)
    if not newest:
        raise FpmlError(f"version {version} of '{name}' was not measured; run: fpml register {name}")
    evaluation = newest[0]
    run = client.get_run(evaluation.data.tags["mlflow.parentRunId"])
    with tempfile.TemporaryDirectory() as folder:
        files = {f.path for f in client.list_artifacts(evaluation.info.run_id)}
        table = pd.read_json(client.download_artifacts(evaluation.info.run_id, "table.json", folder), orient="split")
        scores = None
        if SCORES in files:
            scores = pd.read_parquet(client.download_artifacts(evaluation.info.run_id, SCORES, folder))
    return Measured(
        version,
        run,
        dict(found.tags),
        {d.dataset.name: d.dataset.digest for d in evaluation.inputs.dataset_inputs},
        {k: v for k, v in run.data.params.items() if k in SETTINGS or k.startswith("split.")},
        scores,
        table[table["method"] == MODEL],
    )


def side_by_side(new: Measured, old: Measured | None, deciding: str) -> list[dict[str, Any]]:
    """Each metric of each part, the deciding one first, of the challenger and of the champion (None where there is none, or not
    this part), and which of both is better."""
    rows = new.table[["metric", "part", "value"]].rename(columns={"value": "challenger"})
    if old is not None:
        other = old.table[["metric", "part", "value"]].rename(columns={"value": "champion"})
        rows = rows.merge(other, on=["metric", "part"], how="left")
    else:
        rows = rows.assign(champion=None)
    rows = rows.astype(object).where(rows.notna(), None)
    out: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    for row in out:
        values = {name: row[name] for name in ("challenger", "champion") if row[name] is not None}
        best = METRICS[row["metric"]].better(values.values()) if len(set(values.values())) == 2 else None
        row["better"] = next((name for name, value in values.items() if value == best), "")
    return sorted(out, key=lambda row: row["metric"] != deciding)


def _connect(params: Params) -> Any:
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError("the tracking store can't be reached (see above); no model was promoted or rolled back")
    return mlflow


def _take_along(client: Any, name: str) -> None:
    """A model's parts become champions with it."""
    for part in _parts(client, name):
        before, now = _alias(client, part, CHAMPION) or "", str(_alias(client, part, registry.ALIAS))
        if before != now:
            client.set_model_version_tag(part, now, BEFORE, before)
            client.set_registered_model_alias(part, CHAMPION, now)


def _parts(client: Any, name: str) -> list[str]:
    """Registered models that are a part of this one, and go with it: an autoencoder's encoder."""
    return [part for part in (f"{name}-{p}" for p in registry.PARTS) if _alias(client, part, registry.ALIAS)]


def _alias(client: Any, name: str, alias: str) -> str | None:
    found = client.search_registered_models(f"name = '{name}'")
    version = found[0].aliases.get(alias) if found else None
    return None if version is None else str(version)


def _write(client: Any, decision: Decision) -> None:
    tags = {DECISION: decision.decision, REASON: decision.reason[:5000], WHEN: _now()}
    if decision.decision == PROMOTED:
        tags[BEFORE] = decision.champion or ""
    if decision.gain is not None:
        tags[GAIN] = " ".join(f"{v:.6g}" for v in decision.gain)
    for key, value in tags.items():
        client.set_model_version_tag(decision.run, decision.version, key, value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def sentence(decision: Decision) -> str:
    """A decision as a person reads it."""
    return f"{decision.run} version {decision.version}: {decision.decision}; {decision.reason}"
