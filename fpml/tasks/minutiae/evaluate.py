"""minutiae: found against true ones, and fingers told apart by them, on generated prints that were not trained on.

Beside every number stands the textbook's way to find minutiae, with the same matcher."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
import torch

from fpml.base.progress import progress
from fpml.data.split import UNSEEN, VALIDATION
from fpml.data.store import BOX
from fpml.drawing import figures
from fpml.inference.kept import SURE
from fpml.inference.minutiae import look
from fpml.matching.cylinders import Cylinders, cylinders
from fpml.matching.match import match
from fpml.matching.template import Template, from_table
from fpml.metrics import verification
from fpml.metrics.angles import wrapped
from fpml.metrics.minutiae import DEEP, MIDDLE, NARROW, WIDE, counted, depths, paired
from fpml.metrics.results import Row, as_table, summarise
from fpml.metrics.skeleton import skeleton_minutiae
from fpml.metrics.table import MODEL
from fpml.metrics.verified import threshold_facts, verified
from fpml.models.minutiae import Exported, MinutiaeNet
from fpml.tasks.minutiae.settings import Minutiae
from fpml.tasks.protocol import Album, Findings, Trained, sensor_labels, some
from fpml.training.truth import prepared

SKELETON = "thinned ridges"
PLAIN = "minutiae alone"  # without the skin round them
Find = Callable[[np.ndarray], Template]


@dataclass(frozen=True)
class _OnDevice:
    """A trained network in the place of its exported form."""

    network: Exported
    device: torch.device
    name: str = "the network"

    sha256: str = ""

    def run(self, outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = self.network(*(torch.from_numpy(inputs[name]).to(self.device) for name in ("prints", "patches")))
        said = dict(zip(Exported.OUTPUTS, found, strict=True))
        return [said[name].float().cpu().numpy() for name in outputs]


def evaluate(trained: Trained[Minutiae], album: Album) -> Findings:
    index, settings = trained.prints.index, trained.recipe.evaluate
    boxes = index[list(BOX)].to_numpy(int)
    held = np.flatnonzero(np.isin(trained.side, (VALIDATION, UNSEEN)))
    parts = sensor_labels(index).to_numpy(str)
    assert isinstance(trained.network, MinutiaeNet)
    model: Any = _OnDevice(Exported(trained.network).eval(), trained.device)
    finders: dict[str, Find] = {MODEL: lambda grey: look(model, grey, 500).template, SKELETON: _thinned}
    found: dict[str, dict[int, Template]] = {method: {} for method in finders}
    scores: list[pd.DataFrame] = []
    for row in progress(held, "minutiae", len(held), "prints"):
        top, bottom, left, right = boxes[row]
        grey = trained.prints.take(np.array([row]))[0][top:bottom, left:right]
        example = prepared(trained.prints, int(row))
        true = example.minutiae - np.array([left, top, 0, 0, 0, 0, 0], np.float32)
        mask = example.mask[top:bottom, left:right]
        for method, find in finders.items():
            template = found[method][int(row)] = find(grey)
            scores.append(pd.DataFrame([{"row": row, "method": method, **_measured(template, true, mask)}]))
    whole = pd.concat(scores, ignore_index=True)
    for column in ("image_id", "finger_id"):
        whole[column] = index[column].to_numpy(str)[whole["row"]]
    whole["side"], whole["part"] = trained.side[whole["row"]], parts[whole["row"]]
    rows = summarise(whole, settings.bootstrap)
    facts: dict[str, Any] = {"headline": "f1_16"}
    notes = [
        f"A minutia is asked for from {DEEP:g} pixels inside the print's edge on; found ones count from a quality of {SURE:g} "
        f"on. Verification takes all of them, by cylinder codes and the skin round them; {PLAIN} and {SKELETON}: by the codes."
    ]
    found[PLAIN] = {row: replace(template, texture=None) for row, template in found[MODEL].items()}
    verified_rows, more, verification_notes = _told_apart(trained, album, held, parts, found)
    table = as_table([*rows, *verified_rows])
    _draw(trained, album, held, found[MODEL])
    return Findings(whole, table, {**facts, **more, "notes": notes + verification_notes})


def _thinned(grey: np.ndarray) -> Template:
    table = skeleton_minutiae(grey)
    return from_table(np.column_stack([table, np.ones(len(table))]), grey.shape[1], grey.shape[0])


def _measured(template: Template, true: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The metrics of one print."""
    mine = template.table()[template.quality >= SURE]
    deep, asked = depths(mine, mask) >= DEEP, true[:, 5] >= DEEP
    wide, typed = (counted(mine, true, deep, asked, WIDE, typed=t) for t in (False, True))
    pairs = paired(mine, true, WIDE)
    near, truly = mine[pairs[:, 0]], true[pairs[:, 1]]
    away = np.hypot(*(near[:, :2] - truly[:, :2]).T)
    off = np.rad2deg(np.abs(wrapped(near[:, 2] - truly[:, 2])))
    return {
        "f1_16": wide.f1, "precision_16": wide.precision, "recall_16": wide.recall, "f1_16_typed": typed.f1,
        "f1_12": counted(mine, true, deep, asked, MIDDLE).f1, "f1_8": counted(mine, true, deep, asked, NARROW).f1,
        "place_error": float(np.median(away)) if len(pairs) else np.nan,
        "angle_error": float(np.median(off)) if len(pairs) else np.nan,
    }  # fmt: skip


def _told_apart(
    trained: Trained[Minutiae], album: Album, held: np.ndarray, parts: np.ndarray, found: dict[str, dict[int, Template]]
) -> tuple[list[Row], dict[str, Any], list[str]]:
    """Verification by sensor and across sensors; the rows, what is kept with the model, and notes."""
    index, settings = trained.prints.index, trained.recipe.evaluate
    fingers = index["finger_id"].to_numpy(str)
    impressions = index["impression"].fillna(1).to_numpy(int)
    codes = {method: {row: cylinders(t) for row, t in templates.items()} for method, templates in found.items()}
    sensors = sorted(set(parts[held]))
    rows: list[Row] = []
    det: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    impostors: list[pd.DataFrame] = []
    plain_impostors: list[pd.DataFrame] = []
    crossed = pd.DataFrame(np.nan, sensors, sensors)
    for first, second in combinations_with_replacement(sensors, 2):
        a, b = (held[parts[held] == name] for name in (first, second))
        same = fingers[a][:, None] == fingers[b]
        if first == second:
            every = verification.all_pairs(fingers[a])
            if not every.genuine.any() or every.genuine.all():
                continue
            for method in codes:
                alike = _alike([codes[method][r] for r in a], None)
                told = verified(alike, fingers[a], impressions[a], first, method, settings.bootstrap)
                rows += told.rows
                if method == MODEL:
                    det[first] = told.curve
                    impostors.append(told.impostors)
                    crossed.loc[first, first] = 100 * verification.eer(alike[every.a, every.b], every.genuine)
                elif method == PLAIN:
                    plain_impostors.append(told.impostors)
        elif same.any() and not same.all():
            alike = _alike([codes[MODEL][r] for r in a], [codes[MODEL][r] for r in b])
            crossed.loc[first, second] = crossed.loc[second, first] = 100 * verification.eer(alike.ravel(), same.ravel())
            i, j = np.nonzero(~same)
            impostors.append(pd.DataFrame({"score": alike[i, j], "a": fingers[a][i], "b": fingers[b][j]}))
    if not impostors:
        why = "the held-out fingers give no pair of one finger's prints, or none of two fingers'; take more fingers"
        return rows, {"no_threshold": why}, [f"No verification: {why}."]
    title = f"{trained.name}: detection error trade-off on fingers never seen"
    figures.det(det, title, album.add("det.png", title))
    title = f"{trained.name}: EER over all pairs of prints, by the two prints' sensors, %"
    path = album.add("cross-sensor.png", title)
    figures.heat_map(crossed, title, "EER, %", path, ("second print's sensor", "first print's sensor"))
    facts = threshold_facts(pd.concat(impostors), settings.fmr)
    plain = threshold_facts(pd.concat(plain_impostors), settings.fmr)["threshold"]
    facts["plain_scale"] = facts["threshold"] / plain if plain > 0 else 1.0
    notes = [
        f"Threshold {facts['threshold']:.3f}: FMR {facts['threshold_fmr']:.2%} counted over {facts['threshold_impostors']:,} "
        f"impostor pairs of {facts['threshold_finger_pairs']:,} pairs of fingers, on one sensor and on two."
    ]
    return rows, facts, notes


def _alike(a: list[Cylinders], b: list[Cylinders] | None) -> np.ndarray:
    """The scores of each of a against each of b; b None: against each other, once a pair."""
    if b is not None:
        return np.array([[match(one, other).score for other in b] for one in a])
    alike = np.ones((len(a), len(a)))
    for i, j in zip(*np.triu_indices(len(a), 1), strict=True):
        alike[i, j] = alike[j, i] = match(a[i], a[j]).score
    return alike


def _draw(trained: Trained[Minutiae], album: Album, held: np.ndarray, found: dict[int, Template]) -> None:
    """Some held-out prints with the true minutiae and those that were found."""
    chosen = held[some(len(held), trained.recipe.evaluate.pictures)]
    prints, true, mine = [], [], []
    for row in chosen:
        top, bottom, left, right = trained.prints.index[list(BOX)].to_numpy(int)[row]
        prints.append(trained.prints.take(np.array([row]))[0][top:bottom, left:right])
        true.append(prepared(trained.prints, int(row)).minutiae[:, :3] - np.array([left, top, 0], np.float32))
        template = found[int(row)]
        mine.append(template.table()[template.quality >= SURE, :3])
    title = f"{trained.name}: minutiae that are true (blue) and that were found (red)"
    figures.minutiae(prints, true, mine, title, album.add("minutiae.png", title, chosen))
