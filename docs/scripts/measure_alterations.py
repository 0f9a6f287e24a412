"""How like SOCOFing's own alterations those of fpml/alteration are; writes docs/repair/alterations.json.

    python docs/scripts/measure_alterations.py SOCOFing

Beside each altered print stands one that fpml/alteration made of the same real print, of the same kind and level. Told are
the Kolmogorov-Smirnov distances of what was done to them, and how often a classifier tells which is which. No picture of a
real print is written, only numbers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from measure_repair import HERE, grey, prints
from scipy import ndimage, stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from fpml.alteration.apply import apply, bilinear
from fpml.alteration.draw import draw
from fpml.alteration.kinds import Rotation
from fpml.metrics.intervals import wilson

CHANGED = 8  # grey levels
LEAST = 20  # numbers of a kind that a distance is told of


def numbers(altered: np.ndarray, real: np.ndarray) -> dict[str, float] | None:
    """What was done to a print, by the pixels that differ; None where nearly none do."""
    gap = np.abs(altered.astype(float) - real)
    parts, count = ndimage.label(ndimage.binary_closing(np.pad(gap > CHANGED, 4), iterations=3)[4:-4, 4:-4])
    if not count:
        return None
    inside = parts == 1 + np.argmax(ndimage.sum_labels(gap > CHANGED, parts, range(1, count + 1)))
    if inside.sum() < 40:
        return None
    rows, columns = np.nonzero(inside)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(rows, columns)))
    rim = inside & ~ndimage.binary_erosion(inside, iterations=3)
    core = inside & ~rim
    sharp = [np.abs(ndimage.laplace(p.astype(float)))[core].mean() for p in (altered, real)] if core.any() else [0.0, 1.0]
    return {
        "size": float(inside.sum()), "grey": float(altered[inside].mean()), "grey before": float(real[inside].mean()),
        "deviation": float(altered[inside].std()), "change": float(gap[inside].mean()),
        "kept": float((gap[inside] == 0).mean()), "white": float((altered[inside] > 245).mean() - (real[inside] > 245).mean()),
        "long": float(spread[1] / max(spread[0], 1)), "down": float(rows.mean()), "right": float(columns.mean()),
        "sharper": float(sharp[0] / max(sharp[1], 1)),
        "rim": float(altered[rim].mean() - altered[core].mean()) if core.any() else 0.0,
    }  # fmt: skip


def degrees(altered: np.ndarray, real: np.ndarray, down: float, right: float, size: float) -> float:
    """By how many degrees a disc of `size` pixels about (down, right) was turned, 0..180, by registering it; NaN if it fits
    nowhere."""
    y, x = np.mgrid[: real.shape[0], : real.shape[1]]
    inside = np.hypot(y - down, x - right) < max(0.75 * np.sqrt(size / np.pi), 6)
    seen, grey = altered[inside].astype(float), real.astype(float)

    def fits(dy: float, dx: float, turn: float) -> float:
        made = Rotation(down + dy, right + dx, 1e3, int(turn), None).map((real.shape[0], real.shape[1]))
        return float(np.corrcoef(bilinear(grey, made.from_y[inside], made.from_x[inside]), seen)[0, 1])

    whole = range(-2, 3)
    best = max((fits(i, j, turn), i, j, turn) for turn in range(-180, 180, 3) for i in whole for j in whole)
    for step in (0.5, 0.25):
        _, dy, dx, turn = best
        near = [(dy + step * i, dx + step * j, turn + k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
        best = max(best, *((fits(*t), *t) for t in near))
    return abs((best[3] + 180) % 360 - 180) if best[0] > 0.85 else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("socofing", type=Path)
    parser.add_argument("--subjects", type=int, nargs=2, default=(26, 50), help="first and last of those measured")
    parser.add_argument("--most", type=int, default=100, help="prints of a cell")
    a = parser.parse_args()
    real, altered = prints(a.socofing, range(a.subjects[0], a.subjects[1] + 1))
    rng, found = np.random.default_rng(4), {}
    for cell in dict.fromkeys(c for c, _, _ in altered):
        level, kind = cell.split()
        of_cell = [(stem, path) for c, stem, path in altered if c == cell]
        rows: list[dict[str, Any]] = []
        for k in rng.permutation(len(of_cell))[: a.most]:
            stem, path = of_cell[k]
            pair = grey(path), apply(real[stem], draw(real[stem], kind, level, rng))[0]
            told = [numbers(p, real[stem]) for p in pair]
            for ours, (picture, row) in enumerate(zip(pair, told, strict=True)):
                if row and all(told):
                    if kind == "CR":
                        row["degrees"] = degrees(picture, real[stem], row["down"], row["right"], row["size"])
                    rows.append({**row, "ours": ours, "subject": int(stem.partition("_")[0])})
        found[cell] = compared(rows)
        print(cell, json.dumps(found[cell]), flush=True)
    HERE.mkdir(exist_ok=True)
    out = {"subjects": list(a.subjects), "cells": found}
    (HERE / "alterations.json").write_text(json.dumps(out, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def compared(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in rows[0] if name not in ("ours", "subject", "degrees")]
    ours, subject = (np.array([row[name] for row in rows]) for name in ("ours", "subject"))
    out: dict[str, Any] = {"pairs": len(rows) // 2}
    for name in [*names, *(n for n in ("degrees",) if n in rows[0])]:  # angles are not known of all, and not for the classifier
        values = np.array([row[name] for row in rows])
        one, other = (values[(ours == which) & ~np.isnan(values)] for which in (0, 1))
        if min(len(one), len(other)) >= LEAST:
            out[f"KS {name}"] = round(float(stats.ks_2samp(one, other).statistic), 3)
    table = np.array([[row[name] for name in names] for row in rows])
    guess = cross_val_predict(HistGradientBoostingClassifier(), table, ours, groups=subject, cv=GroupKFold(5))
    right = int((guess == ours).sum())
    out["told apart"] = [round(v, 3) for v in (right / len(rows), *wilson(right, len(rows)))]
    return out


if __name__ == "__main__":
    main()
