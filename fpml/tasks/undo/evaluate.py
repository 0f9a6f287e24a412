"""undo: altered prints repaired by undoing, beside painting alone and the untouched input, by alteration and level; and how
many real prints it leaves as they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from fpml.base.progress import progress
from fpml.data.pairs import pairs
from fpml.data.split import UNSEEN, VALIDATION
from fpml.drawing import figures
from fpml.inference.alterations import Run
from fpml.inference.kept import kept, template
from fpml.inference.model import to_bytes
from fpml.inference.undo import Undone, painted, repair
from fpml.metrics.pictures import DAMAGE, WHOLE, Repaired, measure, to_float
from fpml.metrics.results import as_table, by_alteration
from fpml.metrics.table import MODEL
from fpml.models.layers import DIFFERENT
from fpml.models.undo import Exported, UndoNet
from fpml.tasks.protocol import Album, Findings, Trained, of_each, some
from fpml.tasks.undo.settings import Undo

UNTOUCHED, PAINTED = "untouched input", "painted, not undone"
SURE = 0.5  # from this value on the damage map says damaged


def asked_of(network: UndoNet) -> Run:
    """The networks of torch, as fpml/inference/alterations.py asks them: only the one whose inputs are given is run."""
    exported = Exported(network)
    ways: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        "prints": (exported.found, ("labels", "votes", "cover", "kinds")),
        "rims": (lambda rims: network.rim(rims), ("rim",)),
        "turns": (lambda turns: network.turn(turns), ("turned",)),
        "cuts": (lambda cuts: network.cut(cuts), ("cut",)),
        "noises": (exported.covered, ("covered",)),
        "undone": (exported.painted, ("repaired", "wrong")),
    }

    @torch.inference_mode()
    def run(outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        way, names = next(ways[name] for name in inputs if name in ways)
        told = way(**{name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in inputs.items()})
        found = dict(zip(names, told if isinstance(told, tuple) else (told,), strict=True))
        return [found[name].numpy() for name in outputs]

    return run


def evaluate(trained: Trained[Undo], album: Album) -> Findings:
    index, prints = trained.prints.index, trained.prints
    table = pairs(index)
    held = np.isin(trained.side[table["altered"]], (VALIDATION, UNSEEN)) & np.isin(
        trained.side[table["real"]], (VALIDATION, UNSEEN)
    )
    table = table[held].reset_index(drop=True)
    kinds = index.loc[table["altered"], ["level", "alteration"]]
    looked = set(table["altered"].iloc[of_each(kinds, trained.recipe.evaluate.looked)])
    network = trained.network.cpu()
    assert isinstance(network, UndoNet)
    run, dpi = asked_of(network), trained.recipe.data.dpi
    parts: list[pd.DataFrame] = []
    true: dict[int, Any] = {}
    made: dict[int, Undone] = {}
    for altered, real in progress(list(table.itertuples(index=False, name=None)), "evaluate", len(table), "prints"):
        before, target = prints.bare(altered), prints.bare(real)
        made[altered] = repair(run, before)
        outputs = {MODEL: to_bytes(made[altered].picture), PAINTED: to_bytes(painted(run, before)), UNTOUCHED: before}
        if altered in looked and real not in true:
            true[real] = template(target, dpi)
        for name, output in outputs.items():
            floats, wanted, was = (to_float(p[None], torch.device("cpu")) for p in (output, target, before))
            said = torch.from_numpy(made[altered].damage[None, None] > SURE)
            outcome = Repaired(floats, wanted, was, said, (was - wanted).abs() > DIFFERENT)
            numbers = measure(outcome, WHOLE, *([DAMAGE] if name == MODEL else []))
            minutiae = kept(template(output, dpi), true[real]) if altered in looked else {}
            parts.append(pd.DataFrame({"altered": altered, "method": name, **numbers, **minutiae}))
    scores = pd.concat(parts, ignore_index=True)
    scores, by_set, by_cell = by_alteration(scores, index, trained.side, trained.recipe.evaluate.bootstrap)
    summary = as_table([*by_set, *by_cell])
    names = index["alteration"].iloc[list(made)].to_numpy(object)
    right = float(np.mean([u.found.kind == name for u, name in zip(made.values(), names, strict=True)]))
    reals = table["real"].unique()
    as_it_was = float(np.mean([repair(run, prints.bare(row)).found.kind == "none" for row in reals]))
    undone = float(np.mean([u.found.undone for u in made.values()]))
    _draw(trained, album, table, made)
    notes = [
        f"{len(table):,} altered prints of fingers that were not trained on, at their own size. Minutiae are those of "
        f"{len(looked)} of them, evenly of each level and alteration.",
        f"The kind of alteration is right in {right:.1%}; {undone:.1%} were undone, the others painted over or left.",
        f"{as_it_was:.1%} of {len(reals):,} unaltered prints are taken for such, and left as they are.",
    ]
    facts = {"headline": "ssim", "notes": notes, "kind": right, "undone": undone, "left": as_it_was, "pairs": len(table)}
    return Findings(scores, summary, facts)


def _draw(trained: Trained[Undo], album: Album, table: pd.DataFrame, made: dict[int, Undone]) -> None:
    """Each alteration's prints: altered, undone, damage map, repaired, real."""
    index = trained.prints.index.iloc[table["altered"]].reset_index(drop=True)
    for alteration, members in index.groupby("alteration").groups.items():
        shown = table.loc[members].iloc[some(len(members), trained.recipe.evaluate.pictures)]
        rows = shown["altered"].to_numpy()
        title = f"{alteration}: {trained.name} on fingers it never saw"
        path = album.add(f"undone-{alteration}.png", title, np.concatenate([rows, shown["real"]]))
        found = [made[row] for row in rows]
        columns = {
            "altered": [trained.prints.bare(row) for row in rows], "undone": [u.back for u in found],
            "damage map": [to_bytes(u.damage) for u in found], "repaired": [to_bytes(u.picture) for u in found],
            "real": [trained.prints.bare(row) for row in shown["real"]],
        }  # fmt: skip
        figures.rows_of_prints({name: np.stack(pictures) for name, pictures in columns.items()}, title, path)
