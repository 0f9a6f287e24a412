"""Sensors × runs as one heat map: a table of numbers, so that it can be read aloud, printed and seen in the dark."""

from dataclasses import dataclass

import numpy as np

from fpml.metrics.metric import Metric
from fpml.metrics.standing import Standing


@dataclass(frozen=True)
class Cell:
    standing: Standing
    strength: float  # 0..1: how far from its baseline, beside the farthest of the column


@dataclass(frozen=True)
class Heat:
    parts: list[str]  # the rows: sensors, or what else was measured
    columns: dict[str, Metric]  # a run's name: what its numbers are
    cells: dict[tuple[str, str], Cell]  # by part and run


def heat_map(columns: dict[str, dict[str, Standing]]) -> Heat:
    """Of each run, how it stands on each part. Metrics differ from run to run, so a cell's colour is its distance from the
    best baseline beside the column's farthest, never its value."""
    parts = sorted({part for column in columns.values() for part in column})
    cells = {}
    for run, column in columns.items():
        far = {part: abs(s.value - s.baseline_value) for part, s in column.items() if s.baseline}
        most = max(far.values(), default=0.0)
        for part, standing in column.items():
            strength = far.get(part, 0.0) / most if most > 0 else 0.0
            cells[part, run] = Cell(standing, float(np.clip(strength, 0, 1)))
    return Heat(parts, {run: next(iter(column.values())).metric for run, column in columns.items() if column}, cells)
