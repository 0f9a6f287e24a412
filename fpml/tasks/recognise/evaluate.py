"""recognise: closed-set accuracy, verification and identification of fingers never seen, and where the network looks.

Beside every number two baselines that learn nothing of fingers: PCA of the pixels, and energies of a Gabor bank."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fpml.base.progress import progress
from fpml.data.split import TEST, TRAIN, UNSEEN
from fpml.drawing import figures
from fpml.metrics import verification
from fpml.metrics.intervals import wilson
from fpml.metrics.pictures import to_bytes, to_float
from fpml.metrics.results import Row, as_table
from fpml.metrics.ridges import gabor_answers
from fpml.metrics.table import MODEL
from fpml.metrics.verified import FEWEST, threshold_facts, verified
from fpml.tasks.protocol import Album, Findings, Trained, sensor_labels, some
from fpml.tasks.recognise import saliency
from fpml.tasks.recognise.settings import Recognise

PCA, GABOR = "PCA", "Gabor energies"
BATCH, CELLS, TOP, WORST = 64, 8, 20, 8
Embed = Callable[[np.ndarray], np.ndarray]  # rows of the prepared set → vectors (n, numbers) of length 1


def evaluate(trained: Trained[Recognise], album: Album) -> Findings:
    index, side, settings = trained.prints.index, trained.side, trained.recipe.evaluate
    embed = _embeddings(trained)
    rows: list[Row] = []
    scores: list[pd.DataFrame] = []
    facts: dict[str, Any] = {"headline": "accuracy", "classes": len(trained.classes), "pairs": {}}
    if trained.recipe.model.init == "none" and not trained.recipe.train.start_from:
        facts["why"] = (
            "It starts from nothing and sees few prints of each finger; recognise-aligned starts from what generated fingers "
            "taught."
        )

    test = np.flatnonzero(side == TEST)
    notes = []
    if len(test):
        found, table = _closed_set(trained, embed, test)
        rows += table
        scores.append(found)
        notes += _mistakes(trained, album, found)
        _saliency(trained, album, found)
    unseen = np.flatnonzero(side == UNSEEN)
    parts = sensor_labels(index).to_numpy()
    det: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    impostors: list[pd.DataFrame] = []
    for part in sorted(set(parts[unseen])):
        mine = unseen[parts[unseen] == part]
        pairs = verification.fvc_pairs(
            index["finger_id"].to_numpy(str)[mine], index["impression"].fillna(1).to_numpy(int)[mine]
        )
        genuine, impostor = int(pairs.genuine.sum()), int((~pairs.genuine).sum())
        facts["pairs"][part] = [genuine, impostor]
        if genuine == 0 or impostor == 0:
            notes.append(f"{part}: no verification, since its fingers give {genuine} genuine and {impostor} impostor pairs.")
            continue
        fingers, impressions = index["finger_id"].to_numpy(str)[mine], index["impression"].fillna(1).to_numpy(int)[mine]
        for method, function in embed.items():
            vectors = function(mine)
            told = verified(vectors @ vectors.T, fingers, impressions, part, method, settings.bootstrap)
            rows += told.rows
            if method == MODEL:
                det[part] = told.curve
                impostors.append(told.impostors)
    if not det:
        facts["no_threshold"] = _no_threshold(trained, facts["pairs"])
    else:
        facts |= threshold_facts(pd.concat(impostors), settings.fmr)
        title = f"{trained.name}: detection error trade-off on fingers never seen"
        figures.det(det, title, album.add("det.png", title))
        facts["matrix"] = "eer_all"
        if not len(test):
            facts["headline"] = "eer_all"
        pooled = sum(sum(p) for p in facts["pairs"].values())
        notes.append(
            f"Verification by FVC's protocol on fingers never trained on ({pooled:,} pairs over all sensors; no print was "
            f"refused); its rates are given from {FEWEST} impostor pairs up. 'eer_all' takes every pair of prints of two "
            f"fingers as impostors. Threshold {facts['threshold']:.3f}: "
            f"FMR {facts['threshold_fmr']:.2%} counted over {facts['threshold_impostors']:,} impostor pairs of "
            f"{facts['threshold_finger_pairs']:,} pairs of fingers (95 %: up to {facts['threshold_fmr_high']:.1%})."
        )
    summary = as_table(rows)
    if "matrix" in facts:
        title = f"{trained.name}: EER over all pairs of prints by sensor, %"
        matrix = figures.matrix(summary, "eer_all", ", ".join(trained.recipe.data.train))
        figures.heat_map(matrix, title, "EER, %", album.add("cross-sensor.png", title))
    facts["notes"] = notes
    found_all = pd.concat(scores, ignore_index=True) if scores else pd.DataFrame({"image_id": pd.Series(dtype=str)})
    return Findings(found_all, summary, facts)


def _embeddings(trained: Trained[Recognise]) -> dict[str, Embed]:
    """The network's embedding and the two baselines', each a function of rows."""
    from sklearn.decomposition import PCA as Axes

    prints, device = trained.prints, trained.device
    training = np.flatnonzero(trained.side == TRAIN)
    training = training[some(len(training), 2000)]
    flat = prints.take(training).reshape(len(training), -1).astype(np.float32) / 255
    axes = Axes(min(128, len(training) - 1), svd_solver="randomized", random_state=0).fit(flat)

    def in_batches(function: Callable[[Tensor], Tensor], rows: np.ndarray) -> np.ndarray:
        starts = range(0, len(rows), BATCH)
        with torch.inference_mode():
            parts = [function(to_float(prints.take(rows[s : s + BATCH]), device)).float().cpu().numpy() for s in starts]
        return unit(np.concatenate(parts))

    def energies(batch: Tensor) -> Tensor:
        strength = gabor_answers(batch, trained.recipe.data.dpi).abs()
        return torch.nn.functional.adaptive_avg_pool2d(strength, CELLS).flatten(1)

    centre = in_batches(energies, training).mean(0)
    return {
        MODEL: lambda rows: in_batches(lambda batch: trained.network(batch)[1], rows),
        PCA: lambda rows: unit(axes.transform(prints.take(rows).reshape(len(rows), -1).astype(np.float32) / 255)),
        GABOR: lambda rows: unit(in_batches(energies, rows) - centre),
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows brought to length 1."""
    lengths: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    out: np.ndarray = vectors / lengths.clip(min=1e-12)
    return out


def _closed_set(trained: Trained[Recognise], embed: dict[str, Embed], test: np.ndarray) -> tuple[pd.DataFrame, list[Row]]:
    """Which of the fingers of training is it? The network's own classes; the baselines by the nearest training print."""
    index = trained.prints.index
    fingers = index["finger_id"].to_numpy(str)
    with torch.inference_mode():
        starts = range(0, len(test), BATCH)
        batches = (to_float(trained.prints.take(test[s : s + BATCH]), trained.device) for s in starts)
        logits = np.concatenate([trained.network(b)[0].float().cpu().numpy() for b in batches])
    classes = np.array(trained.classes)
    training = np.flatnonzero(trained.side == TRAIN)
    ranks = {MODEL: verification.rank_of_own(logits, fingers[test], classes)}
    for method in (PCA, GABOR):
        similarity = embed[method](test) @ embed[method](training).T
        ranks[method] = verification.rank_of_own(similarity, fingers[test], fingers[training])
    part = f"{index['dataset'].iloc[test[0]]}/closed set of {len(classes)}"
    rows = []
    for method, of_own in ranks.items():
        for metric, top in (("accuracy", 1), ("top5", 5)):
            right = int((of_own <= top).sum())
            low, high = wilson(right, len(test))
            rows.append(
                Row(
                    side=TEST, part=part, method=method, metric=metric, value=right / len(test), low=low, high=high,
                    prints=len(test), fingers=len(classes),
                )
            )  # fmt: skip
    found = pd.DataFrame({
        "image_id": index["image_id"].to_numpy(str)[test], "finger_id": fingers[test], "row": test, "method": MODEL,
        "said": classes[logits.argmax(1)], "rank": ranks[MODEL], "accuracy": (ranks[MODEL] == 1).astype(float),
        "side": TEST, "part": part,
    })  # fmt: skip
    return found, rows


def _mistakes(trained: Trained[Recognise], album: Album, found: pd.DataFrame) -> list[str]:
    """The curve of cumulative matches, and the fingers that are most often taken for others."""
    count = min(TOP, len(trained.classes))
    curve = pd.DataFrame({MODEL: verification.cmc(found["rank"].to_numpy(), count)}, index=range(1, count + 1))
    title = f"{trained.name}: share of test prints whose finger is among the first"
    figures.curves(curve, title, ("rank", "share"), album.add("cmc.png", title))
    wrong = found[found["said"] != found["finger_id"]]
    if wrong.empty:
        return ["No test print was taken for another finger."]
    worst = wrong["finger_id"].value_counts().index[:WORST]
    mine = found[found["finger_id"].isin(worst)]
    table = pd.crosstab(mine["finger_id"], mine["said"])
    title = f"{trained.name}: the {len(worst)} fingers that are most often taken for others"
    path = album.add("confusion.png", title)
    figures.heat_map(table, title, "test prints", path, ("said to be", "finger"), digits=0)
    pairs = (wrong["finger_id"] + " for " + wrong["said"]).value_counts()
    shown = ", ".join(f"{pair} ({count})" for pair, count in pairs.iloc[:3].items())
    return [f"{len(wrong)} of {len(found)} test prints were taken for another finger; most often {shown}."]


def _no_threshold(trained: Trained[Recognise], pairs: dict[str, list[int]]) -> str:
    """Why none could be counted, and what to do. pairs: genuine and impostor ones of each sensor's unseen fingers."""
    split, data = trained.recipe.split, trained.recipe.data
    set_to = f"split.unseen is {split.unseen:g} and data.test is {data.test or 'empty'}"
    if not pairs:
        return f"no finger was kept unseen ({set_to}); raise split.unseen, take more fingers, or name a data.test set"
    found = ", ".join(f"{part} {genuine} genuine and {impostor} impostor" for part, (genuine, impostor) in pairs.items())
    return (
        f"no sensor's unseen fingers give both genuine and impostor pairs ({found}; {set_to}): two fingers or more of a sensor "
        "must be unseen, of two prints or more; raise split.unseen, take more fingers, or name a data.test set"
    )


def _saliency(trained: Trained[Recognise], album: Album, found: pd.DataFrame) -> None:
    """Maps of some test prints that are recognised when nothing is hidden."""
    test = found["row"].to_numpy()[found["rank"].to_numpy() == 1]
    if len(test) == 0:
        return
    settings, prints = trained.recipe.evaluate, trained.prints
    numbers = {name: number for number, name in enumerate(trained.classes)}
    chosen = test[some(len(test), settings.pictures)]
    maps = []
    for row in progress(chosen, "saliency", len(chosen), "prints"):
        print_ = to_float(prints.take(np.array([row])), trained.device)[0]
        grey = float(prints.index["plate"].to_numpy(float)[row]) / 255
        finger = numbers[str(prints.index["finger_id"].iat[row])]
        maps.append(
            saliency.occlusion(lambda b: trained.network(b)[0], print_, finger, settings.occlusion, settings.stride, grey)
        )
    title = f"{trained.name}: where hiding {settings.occlusion}×{settings.occlusion} pixels does harm"
    path = album.add("saliency.png", title, chosen)
    originals = to_bytes(to_float(prints.take(chosen), torch.device("cpu")))
    wrong, fall = (np.stack([m[which] for m in maps]) for which in (0, 1))
    figures.overlays(originals, {"taken for another": wrong, "probability lost": fall}, title, path)
