"""A run's table of results: a row for each side, part, method and metric."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from fpml.metrics.intervals import bootstrap
from fpml.metrics.table import METRICS


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number, with its 95 % interval or its spread, and over how many prints and fingers it is."""

    side: str
    part: str  # begins with its dataset's name
    method: str
    metric: str  # of METRICS, else ValueError
    value: float
    low: float = np.nan
    high: float = np.nan
    prints: int
    fingers: int

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"the metric '{self.metric}' is not declared; allowed: {', '.join(METRICS)}")


def as_table(rows: Iterable[Row]) -> pd.DataFrame:
    """The rows, with a column for each field of Row."""
    return pd.DataFrame(list(rows), columns=[field.name for field in fields(Row)])


def summarise(scores: pd.DataFrame, resamples: int) -> list[Row]:
    """The mean of each metric by part, side and method, with its interval, and over how many prints and fingers it is: those
    that have it, which in an empty mask none has.

    scores: a row for each print and method, with side, part, finger_id and a column for each metric. A metric that a method
    does not have (nan for all its prints) gets no row."""
    rows: list[Row] = []
    metrics = [m for m in METRICS if m in scores]
    for (side, name, method), part in scores.groupby(["side", "part", "method"], sort=True):
        for metric in metrics:
            values, fingers = part[metric].to_numpy(float), part["finger_id"].to_numpy(object)
            known = np.isfinite(values)
            if not known.any():
                continue
            low, high = bootstrap(values, fingers, resamples)
            rows.append(
                Row(
                    side=str(side), part=str(name), method=str(method), metric=metric, value=float(values[known].mean()),
                    low=low, high=high, prints=int(known.sum()), fingers=len(set(fingers[known])),
                )
            )  # fmt: skip
    return rows


def by_alteration(
    scores: pd.DataFrame, index: pd.DataFrame, side: np.ndarray, resamples: int
) -> tuple[pd.DataFrame, list[Row], list[Row]]:
    """scores with the columns that summarise needs, part being DATASET/LEVEL ALTERATION; their summaries by dataset and part.

    scores has a row for each altered print and method, and in `altered` where that print stands in index and side."""
    own = index.iloc[scores["altered"]].reset_index(drop=True)
    dataset = own["dataset"].astype(str)
    cell = dataset + "/" + own["level"].astype(str) + " " + own["alteration"].astype(str)
    named = {column: own[column].to_numpy(object) for column in ("image_id", "finger_id")}
    known = scores.drop(columns="altered").assign(side=side[scores["altered"]], **named, part=cell.to_numpy())
    return known, summarise(known.assign(part=dataset.to_numpy()), resamples), summarise(known, resamples)
