"""How a model stands beside its baselines: better, level or worse, by 95 % intervals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fpml.data.split import TEST, UNSEEN, VALIDATION
from fpml.metrics.intervals import bootstrap
from fpml.metrics.metric import Metric
from fpml.metrics.table import FLOOR, METRICS, MODEL, REAL

BETTER, LEVEL, WORSE, ALONE = "better", "level", "worse", "no baseline"
SIDES = (UNSEEN, TEST, VALIDATION)  # an answer is of the first of these that was measured
NO_INTERVAL, NO_NUMBER = "no interval", "the model gave no print a number"
RESAMPLES = 2000
LIMITS = (FLOOR, REAL)


@dataclass(frozen=True)
class Standing:
    """A number of the model beside the best baseline's; low and high are 95 % intervals, nan where there is none."""

    side: str
    part: str
    metric: Metric
    value: float
    low: float
    high: float
    baseline: str  # the method's name; '' where nothing stands beside it
    baseline_value: float
    verdict: str
    by: str  # what the verdict rests on, in words
    prints: int
    fingers: int
    limit: str = ""  # what the number could reach at best, where that was measured: a method's name,
    limit_value: float = float("nan")  # and its number

    @property
    def sentence(self) -> str:
        """The whole answer in one line, for where there is no room for a table."""
        digits = self.metric.digits
        if np.isnan(self.value):
            return f"{self.metric.label}: {self.by}"
        said = f"{self.metric.label}: {self.value:.{digits}f}"
        at_best = f"; {self.limit}: {self.limit_value:.{digits}f}" if self.limit else ""
        if not self.baseline:
            return f"{said}; {ALONE}{at_best}"
        return f"{said} beside {self.baseline_value:.{digits}f} ({self.baseline}); {self.verdict}, {self.by}{at_best}"


def standings(table: pd.DataFrame, scores: pd.DataFrame) -> dict[tuple[str, str, str], Standing]:
    """By side, part and metric, every number of the model in a run's table of results.

    Where `scores` (a row for each print and method) has the metric, the verdict is by the interval of the gain, print by print
    against the best baseline, over fingers drawn again; else by whether the table's two intervals lie apart."""
    out = {}
    prints = {str(side): _prints(scores, str(side)) for side in table["side"].unique()}
    for key, rows in table.groupby(["side", "part", "metric"], sort=False):
        side, part, metric = (str(k) for k in key)
        if MODEL in set(rows.dropna(subset="value")["method"]):
            out[side, part, metric] = _standing(side, part, rows, _side_by_side(prints[side], metric, part))
    return out


def answer(every: dict[tuple[str, str, str], Standing], scores: pd.DataFrame, headline: str) -> Standing:
    """A run's one number, out of all its standings: its headline metric over all prints of the side that was least trained
    on. Where single prints do not have it (an EER, a KID): of the part that gains least over its baseline. A model that gave no
    print a number, as one that was hardly trained, is worse than whatever did."""
    found = [s for s in every.values() if s.metric.name == headline]
    if not found:
        nan = float("nan")
        return Standing("", "", METRICS[headline], nan, nan, nan, "", nan, WORSE, NO_NUMBER, 0, 0)
    side = next(side for side in SIDES if side in {s.side for s in found})
    found = [s for s in found if s.side == side]
    prints = _side_by_side(_prints(scores, side), headline)
    if prints.empty or len(found) == 1:
        sign = _sign(METRICS[headline])
        return min(found, key=lambda s: sign * (s.value - s.baseline_value) if s.baseline else np.inf)
    return _standing(side, _whole(scores, headline, side), _summed(prints, headline), prints)


def _sign(metric: Metric) -> int:
    return 1 if metric.better is max else -1


def _prints(scores: pd.DataFrame, side: str) -> pd.DataFrame:
    """A row for each print of a side, by image_id, finger_id and part; columns by metric and method. Empty where `scores` has
    no numbers of single prints."""
    metrics = [column for column in scores if column in METRICS]
    if not metrics or not {"finger_id", "side", "part", "method"} <= set(scores):
        return pd.DataFrame()
    rows = scores[scores["side"] == side].astype({"part": str})
    return rows.pivot_table(index=["image_id", "finger_id", "part"], columns="method", values=metrics, observed=True)


def _side_by_side(prints: pd.DataFrame, metric: str, part: str = "") -> pd.DataFrame:
    """Of those prints a row for each of a part (of the whole side, for ''): finger_id, and the metric of each method; empty
    where single prints do not have it beside a baseline's."""
    if prints.empty or metric not in prints:
        return pd.DataFrame()
    wide = prints[[metric]].droplevel(0, axis=1)
    if part:
        parts = wide.index.get_level_values("part")
        wide = wide[(parts == part) | parts.str.startswith(f"{part}/")]
    wide = wide.dropna(axis=1, how="all")
    beside = [m for m in wide.columns if _is_baseline(str(m))]
    return wide.dropna().reset_index(["finger_id", "part"]).drop(columns="part") if MODEL in wide and beside else pd.DataFrame()


def _is_baseline(method: str) -> bool:
    return method not in LIMITS and MODEL not in method  # 'clahe, then model' is no baseline


def _summed(prints: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows as a run's table has them: of each method the mean over prints, with its interval."""

    def rows() -> Iterator[dict[str, object]]:
        for method in prints.columns.drop("finger_id"):
            values = prints[method].to_numpy(float)
            low, high = bootstrap(values, prints["finger_id"].to_numpy(object), RESAMPLES)
            yield {
                "method": str(method), "metric": metric, "value": values.mean(), "low": low, "high": high,
                "prints": len(prints), "fingers": prints["finger_id"].nunique(),
            }  # fmt: skip

    return pd.DataFrame(list(rows()))


def _whole(scores: pd.DataFrame, metric: str, side: str) -> str:
    """What the parts of a side are together: their dataset, where they are of one, else their names."""
    parts = scores.loc[(scores["side"] == side) & scores[metric].notna(), "part"].astype(str).unique()
    if len(parts) == 1:
        return str(parts[0])
    return parts[0].split("/")[0] if len({p.split("/")[0] for p in parts}) == 1 else ", ".join(parts)


def _standing(side: str, part: str, rows: pd.DataFrame, prints: pd.DataFrame) -> Standing:
    """rows: one for each method, of one metric. prints: as _side_by_side gives them, may be empty."""
    methods: dict[str, dict[Any, Any]] = {str(row["method"]): row for row in rows.dropna(subset="value").to_dict("records")}
    own, metric = methods[MODEL], METRICS[str(rows["metric"].iat[0])]
    beside = {method: row["value"] for method, row in methods.items() if metric.judged and _is_baseline(method)}
    best = str(metric.better(beside, key=lambda method: beside[method])) if beside else ""
    verdict, by = ALONE, ""
    if best in prints:
        verdict, by = _by_gain(prints, best, metric)
    if best and not by:
        verdict, by = _by_ends(own, methods[best], metric)
    limit = next((name for name in LIMITS if name in methods), "")
    return Standing(
        side, part, metric, own["value"], own["low"], own["high"], best, beside.get(best, np.nan), verdict, by,
        own["prints"], own["fingers"], limit, methods[limit]["value"] if limit else np.nan,
    )  # fmt: skip


def _by_gain(prints: pd.DataFrame, baseline: str, metric: Metric) -> tuple[str, str]:
    gain = (prints[MODEL] - prints[baseline]).to_numpy(float)
    low, high = bootstrap(gain, prints["finger_id"].to_numpy(object), RESAMPLES)
    if np.isnan(low):  # of one finger
        return ALONE, ""
    digits = metric.digits
    return _verdict(low, high, metric), f"difference {low:+.{digits}f} to {high:+.{digits}f}".replace("-", "−")


def _by_ends(own: dict[Any, Any], other: dict[Any, Any], metric: Metric) -> tuple[str, str]:
    """By the ends of two intervals; a number without one is taken as exact, and where both have none that is said."""
    low, high = (own[end] if np.isfinite(own[end]) else own["value"] for end in ("low", "high"))
    below, above = (other[end] if np.isfinite(other[end]) else other["value"] for end in ("low", "high"))
    known = np.isfinite(own["low"]), np.isfinite(other["low"])
    return _verdict(low - above, high - below, metric), {2: "both intervals", 1: "one interval", 0: NO_INTERVAL}[sum(known)]


def _verdict(low: float, high: float, metric: Metric) -> str:
    """What the interval of a difference, model less baseline, says."""
    if low <= 0 <= high:
        return LEVEL
    return BETTER if (low > 0) == (_sign(metric) > 0) else WORSE
