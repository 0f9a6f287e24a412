"""repair: altered prints beside the real ones, by alteration and level; the untouched input beside every number.

Measured at the pictures' own size, without the canvas round them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fpml.base.progress import progress
from fpml.data.pairs import pairs
from fpml.data.split import UNSEEN, VALIDATION
from fpml.data.store import BOX
from fpml.drawing import figures
from fpml.inference.kept import kept, template
from fpml.matching.template import Template
from fpml.metrics.pictures import DAMAGE, WHOLE, Repaired, measure, to_bytes, to_float
from fpml.metrics.results import as_table, by_alteration
from fpml.metrics.ridges import gabor_enhanced
from fpml.metrics.table import MODEL
from fpml.models.layers import DIFFERENT
from fpml.tasks.protocol import Album, Findings, Trained, of_each, some
from fpml.tasks.repair.settings import Repair
from fpml.tasks.repair.train import repaired

UNTOUCHED = "untouched input"
BATCH = 64
SURE = 0.5  # from this value on the damage map says damaged
Filter = Callable[[Tensor], Tensor]  # (B, 1, H, W) float 0..1 → the same


def clahe(prints: Tensor) -> Tensor:
    """Contrast-limited adaptive histogram equalisation, scikit-image's, of each print (B, 1, H, W)."""
    from skimage.exposure import equalize_adapthist

    out = np.stack([equalize_adapthist(p, clip_limit=0.02) for p in prints[:, 0].cpu().numpy()]).astype(np.float32)
    return torch.from_numpy(out)[:, None].to(prints.device)


@torch.inference_mode()
def evaluate(trained: Trained[Repair], album: Album) -> Findings:
    index, prints, settings = trained.prints.index, trained.prints, trained.recipe.evaluate
    table = pairs(index)
    held = np.isin(trained.side[table["altered"]], (VALIDATION, UNSEEN))
    held &= np.isin(trained.side[table["real"]], (VALIDATION, UNSEEN))
    table = table[held].reset_index(drop=True)
    looked = of_each(index.loc[table["altered"], ["level", "alteration"]], settings.looked)
    filters: dict[str, Filter] = {"clahe": clahe, "gabor": lambda p: gabor_enhanced(p, trained.recipe.data.dpi)}
    parts: list[pd.DataFrame] = []
    true: dict[int, Template] = {}  # of each real print
    boxes = index.loc[table["altered"], list(BOX)].set_axis(table.index)
    batches = [
        (box, rows[start : start + BATCH])
        for box, rows in boxes.groupby(list(BOX)).groups.items()
        for start in range(0, len(rows), BATCH)
    ]
    for box, where in progress(batches, "evaluate", len(batches), "batches"):
        altered, real = (table.loc[where, side].to_numpy() for side in ("altered", "real"))
        before, target = (to_float(prints.take(rows), trained.device) for rows in (altered, real))

        def inside(maps: Tensor, box: Any = box) -> Tensor:
            return maps[..., box[0] : box[1], box[2] : box[3]]

        after, damage = (inside(m) for m in repaired(trained.network, before))
        outputs = {MODEL: after, UNTOUCHED: inside(before)}
        for filter_ in settings.filters:
            filtered = filters[filter_](before)
            outputs[f"{filter_}, then model"] = inside(repaired(trained.network, filtered)[0])
            outputs[f"{filter_} alone"] = inside(filtered)
        target = inside(target)
        differs = (inside(before) - target).abs() > DIFFERENT
        places = np.flatnonzero(np.isin(where, looked))
        for row, print_ in zip(real[places], to_bytes(target[places]), strict=True):
            if row not in true:
                true[row] = template(print_, trained.recipe.data.dpi)
        for name, output in outputs.items():
            outcome = Repaired(output.float(), target, inside(before), damage > SURE, differs)
            kinds = (WHOLE, DAMAGE) if name == MODEL else (WHOLE,)  # nothing else says what is damaged
            found = pd.DataFrame({"altered": altered, "method": name, **measure(outcome, *kinds)})
            if name in (MODEL, UNTOUCHED):
                seen = [template(picture, trained.recipe.data.dpi) for picture in to_bytes(output[places])]
                minutiae = [kept(mine, true[row]) for mine, row in zip(seen, real[places], strict=True)]
                found = found.join(pd.DataFrame(minutiae, places))
            parts.append(found)
    scores, by_set, by_cell = by_alteration(pd.concat(parts, ignore_index=True), index, trained.side, settings.bootstrap)
    summary = as_table([*by_set, *by_cell])
    _draw(trained, album, table, summary)
    ssim = as_table(row for row in by_cell if row.metric == "ssim")
    cells = ssim.pivot_table(index=["side", "part"], columns="method", values="value")
    ahead = int((cells[MODEL] > cells[UNTOUCHED]).sum())
    notes = [
        f"{len(table):,} altered prints of fingers that were not trained on, at their own size; SSIM with the Gaussian "
        f"11×11 window. Better SSIM than the untouched input in {ahead} of {len(cells)} cells of level and alteration.",
        "'… alone' is the filtered input, '… , then model' the network on it (trained without the filter).",
        f"Damaged is what differs by more than {DIFFERENT * 255:.0f} grey levels between altered and real print. Minutiae are "
        f"those of {len(looked)} altered prints, evenly of each level and alteration.",
    ]
    facts: dict[str, Any] = {"headline": "ssim", "notes": notes, "cells": len(cells), "cells_ahead": ahead, "pairs": len(table)}
    if trained.family.KIND == "autoencoder":
        facts["why"] = (
            "The network draws the whole print anew, also what nobody altered, and the untouched input has that "
            "exactly; repair-gated draws the damage alone."
        )
    return Findings(scores, summary, facts)


def _draw(trained: Trained[Repair], album: Album, table: pd.DataFrame, summary: pd.DataFrame) -> None:
    """Each alteration's prints: altered, damage map, repaired, real; and the gain by level and alteration."""
    index = trained.prints.index.iloc[table["altered"]].reset_index(drop=True)
    for alteration, members in index.groupby("alteration").groups.items():
        shown = table.loc[members].iloc[some(len(members), trained.recipe.evaluate.pictures)]
        rows = shown["altered"].to_numpy()
        before, real = trained.prints.take(rows), trained.prints.take(shown["real"].to_numpy())
        after, damage = repaired(trained.network, to_float(before, trained.device))
        title = f"{alteration}: {trained.name} on fingers it never saw"
        path = album.add(f"repaired-{alteration}.png", title, np.concatenate([rows, shown["real"]]))
        figures.rows_of_prints(
            {"altered": before, "damage map": to_bytes(damage), "repaired": to_bytes(after), "real": real}, title, path
        )
    ssim = summary[(summary["metric"] == "ssim") & summary["part"].str.contains("/")]
    wide = ssim.pivot_table(index="part", columns="method", values="value")
    gain = wide[MODEL] - wide[UNTOUCHED]
    names = pd.Series(gain.index, gain.index).str.rpartition("/")[2].str.split(" ", expand=True)
    grid = (
        pd.DataFrame({"level": names[0], "alteration": names[1], "gain": gain}).groupby(["level", "alteration"])["gain"].mean()
    )
    title = f"{trained.name}: SSIM gained over the untouched input"
    path = album.add("gain.png", title)
    figures.heat_map(grid.unstack(), title, "SSIM gained", path, ("alteration", "level"), digits=3)
