"""Measure models that repair altered prints on SOCOFing; writes the numbers of recipes/repair.md to docs/repair.

    python docs/scripts/measure_repair.py socofing SOCOFing              # SSIM by cell, placing, minutiae, detection
    python docs/scripts/measure_repair.py identify SOCOFing              # rank-1 against all real prints
    python docs/scripts/measure_repair.py odd SOCOFing FVC2002 CrossMatch   # prints and alterations not as the usual ones

SOCOFing: a folder with Real and Altered; FVC2002: one with DB1_B … DB4_B. --gated FOLDER measures a trained repair-gated on the
same prints, --model FOLDER --out NAME another model that undoes. No picture of a print is written, only numbers and a curve.
"""

import argparse
import json
import os
from pathlib import Path
from time import process_time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve

import fpml
from fpml.alteration.apply import apply, bilinear
from fpml.alteration.draw import DRAWN, LEVELS, draw
from fpml.alteration.kinds import Rotation
from fpml.data.readers.socofing import NAME, crop
from fpml.drawing.figures import CHART_DPI, plt, save
from fpml.inference.alterations import Run, look
from fpml.inference.kept import kept, template
from fpml.inference.model import to_bytes
from fpml.inference.undo import Undone, asked_of, painted, repair
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.metrics.intervals import wilson
from fpml.metrics.pictures import WHOLE, Outcome, measure, to_float

HERE = Path(__file__).parents[1] / "repair"
ROC = HERE.parent / "figures" / "repair-roc.png"
DPI = 180.0  # of SOCOFing
CPU = torch.device("cpu")
WORSE = 0.002  # of SSIM: what counts as worse than untouched
EXACT = 0.3  # pixels: a centre that is so near is exact


def opened(name: str) -> tuple[Run, str]:
    """The networks of a model, in one thread, and its digest."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = fpml.load(name)
    folder = Path(name) if Path(name).is_dir() else Path(fpml.__file__).parent / "shipped" / name
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return asked_of(session), model.sha256


def grey(path: Path) -> np.ndarray:
    return np.ascontiguousarray(crop(np.asarray(Image.open(path).convert("L"))))


def ssim(output: np.ndarray, real: np.ndarray) -> float:
    floats = (to_float(p[None], CPU) for p in (output, real))
    return float(measure(Outcome(*floats), [m for m in WHOLE if m.name == "ssim"])["ssim"][0])


def prints(folder: Path, subjects: range) -> tuple[dict[str, np.ndarray], list[tuple[str, str, Path]]]:
    """Real prints by their stem; and of these subjects' altered ones the cell, the real one's stem and the file."""
    real = {p.stem: grey(p) for p in sorted((folder / "Real").glob("*.BMP"))}
    altered = []
    for level in LEVELS:
        for path in sorted((folder / "Altered" / f"Altered-{level}").glob("*.BMP")):
            found = NAME.fullmatch(path.stem)
            stem = path.stem.rpartition("_")[0]
            if found and int(found["subject"]) in subjects and stem in real and grey(path).shape == real[stem].shape:
                altered.append((f"{level} {found['alteration']}", stem, path))
    return real, altered


def misplaced(made: Undone, altered: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Of a turned disc: by how many pixels and degrees it was placed wrongly, told by registering the altered on the real print
    near the place that was found; (inf, inf) where they don't fit there."""
    place = made.found.place
    if "degrees" not in place:
        return np.inf, np.inf
    y, x = np.mgrid[: real.shape[0], : real.shape[1]]
    inside = np.hypot(y - place["y"], x - place["x"]) < max(6, place["radius"] - 3)
    seen, grey_ = altered[inside].astype(float), real.astype(float)

    def fits(down: float, right: float, degrees: int) -> float:
        turned = Rotation(place["y"] + down, place["x"] + right, 1e3, place["degrees"] + degrees, None).map(real.shape[:2])
        return float(np.corrcoef(bilinear(grey_, turned.from_y[inside], turned.from_x[inside]), seen)[0, 1])

    best = (-1.0, 0.0, 0.0, 0)
    for step in (1.0, 0.5, 0.25, 0.1):
        _, down, right, degrees = best
        tries = [(down + step * i, right + step * j, degrees + k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
        best = max(best, *((fits(*t), *t) for t in tries))
    return (float(np.hypot(best[1], best[2])), float(abs(best[3]))) if best[0] > 0.9 else (np.inf, np.inf)


def socofing(a: argparse.Namespace) -> dict[str, Any]:
    run, digest = opened(a.model)
    subjects = range(a.subjects[0], a.subjects[1] + 1)
    real, altered = prints(a.socofing, subjects)
    gated = fpml.load(a.gated) if a.gated else None
    rng = np.random.default_rng(1)
    by_cell: dict[str, list[dict[str, Any]]] = {}
    for cell in dict.fromkeys(c for c, _, _ in altered):
        of_cell = [(stem, path) for c, stem, path in altered if c == cell]
        for k in rng.permutation(len(of_cell))[: a.most]:
            stem, path = of_cell[k]
            before, start = grey(path), process_time()
            made = repair(run, before)
            took = process_time() - start
            after, only = to_bytes(made.picture), to_bytes(painted(run, before))
            pictures = {"untouched": before, "painted": only, "undone": after}
            if gated:
                pictures["gated"] = gated.repair([before], dpi=DPI)[0].picture
            right = made.found.kind == cell.split()[1]
            row: dict[str, Any] = {"finger": stem, "kind": right, "was undone": made.found.undone, "took": took}
            row |= {f"ssim {name}": ssim(p, real[stem]) for name, p in pictures.items()}
            row["altered"] = 1 - float(look(run, before)[0][0])
            if cell in ("Medium CR", "Hard CR"):
                row["pixels"], row["degrees"] = misplaced(made, before, real[stem])
            if a.minutiae:
                true = template(real[stem], DPI)
                for name, p in pictures.items():
                    row |= {f"{name} {key}": value for key, value in kept(template(p, DPI), true).items()}
            by_cell.setdefault(cell, []).append(row)
        print(cell, len(by_cell[cell]), json.dumps(told(by_cell[cell])), flush=True)
    whole = [row for rows in by_cell.values() for row in rows]
    others = [stem for stem in real if int(stem.partition("_")[0]) in range(a.subjects[0], 201)]
    chances = [1 - float(look(run, real[stem])[0][0]) for stem in rng.permutation(others)[: a.reals]]
    same = sum(repair(run, real[stem]).found.kind == "none" for stem in rng.permutation(others)[: a.reals])
    detection = {
        "real prints": len(chances), "left as they were": same / len(chances), "interval": wilson(same, len(chances)),
        "AUC": float(roc_auc_score([1] * len(whole) + [0] * len(chances), [row["altered"] for row in whole] + chances)),
    }  # fmt: skip
    for fmr in (0.01, 0.001):
        limit = float(np.quantile(chances, 1 - fmr))
        detection[f"found at {fmr:.1%} false alarms"] = float(np.mean([row["altered"] > limit for row in whole]))
    print(json.dumps(detection))
    if not a.out:
        roc(
            {lv: [r["altered"] for cell, rows in by_cell.items() if cell.startswith(lv) for r in rows] for lv in LEVELS},
            chances,
        )
    cells = {cell: told(rows) for cell, rows in by_cell.items()}
    return {"model": digest, "subjects": list(a.subjects), "cells": {**cells, "all": told(whole)}, "detection": detection}


def told(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A cell's numbers: means, what is left of the untouched input's 1 - SSIM (95 % interval over fingers), and shares."""
    of = {key: np.array([row[key] for row in rows], float) for key in rows[0] if key != "finger"}
    fingers = np.unique([row["finger"] for row in rows], return_inverse=True)[1]
    rng, left = np.random.default_rng(0), {}
    for name in [key.removeprefix("ssim ") for key in of if key.startswith("ssim ") and key != "ssim untouched"]:
        draws = []
        for _ in range(1000):
            count = np.bincount(rng.integers(0, fingers.max() + 1, fingers.max() + 1), minlength=fingers.max() + 1)[fingers]
            draws.append((count @ (1 - of[f"ssim {name}"])) / (count @ (1 - of["ssim untouched"])))
        value = (1 - of[f"ssim {name}"]).sum() / (1 - of["ssim untouched"]).sum()
        left[name] = [round(float(v), 3) for v in (value, *np.quantile(draws, (0.025, 0.975)))]
    out: dict[str, Any] = {"prints": len(rows), "left": left}
    means = [key for key in of if key.startswith("ssim ") or " kept_" in key]
    out |= {key: round(float(np.nanmean(of[key])), 4) for key in means}
    out |= {"kind right": round(float(of["kind"].mean()), 3), "undone": round(float(of["was undone"].mean()), 3)}
    out["worse than untouched"] = round(float((of["ssim undone"] < of["ssim untouched"] - WORSE).mean()), 3)
    out["ms"] = round(1000 * float(of["took"].mean()))
    if "pixels" in of:
        out["placed exactly"] = round(float(((of["pixels"] < EXACT) & (of["degrees"] < 1)).mean()), 3)
    return out


def roc(altered: dict[str, list[float]], real: list[float]) -> None:
    """How surely prints were altered, by level, and real ones: those found over false alarms, a line for each level."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for level, some in altered.items():
        alarms, hits, _ = roc_curve([1] * len(some) + [0] * len(real), some + real)
        axis.plot(100 * alarms, 100 * hits, label=level, drawstyle="steps-post")
    axis.set(xlabel="unaltered prints taken for altered, %", ylabel="altered found, %", xscale="symlog", ylim=(80, 100.5))
    axis.set_title("Medium and Hard alterations are found, some Easy ones are not")
    axis.legend()
    save(figure, ROC, CHART_DPI)


def identify(a: argparse.Namespace) -> dict[str, Any]:
    """Rank-1 of altered prints against a gallery of all real ones."""
    run, digest = opened(a.model)
    real, altered = prints(a.socofing, range(a.subjects[0], a.subjects[1] + 1))
    stems = [stem for stem in real if int(stem.partition("_")[0]) <= a.gallery]
    gallery = [cylinders(template(real[stem], DPI)) for stem in stems]
    rng, found = np.random.default_rng(2), {}
    for level in LEVELS:
        of_level = [(stem, path) for cell, stem, path in altered if cell.startswith(level)]
        hits: dict[str, list[bool]] = {"untouched": [], "painted": [], "undone": []}
        for k in rng.permutation(len(of_level))[: a.most]:
            stem, path = of_level[k]
            before = grey(path)
            tried = {"untouched": before, "painted": to_bytes(painted(run, before))}
            tried["undone"] = to_bytes(repair(run, before).picture)
            for name, picture in tried.items():
                probe = cylinders(template(picture, DPI))
                hits[name].append(stems[int(np.argmax([match(probe, g).score for g in gallery]))] == stem)
        found[level] = {name: [float(np.mean(h)), *wilson(sum(h), len(h)), len(h)] for name, h in hits.items()}
        print(level, json.dumps(found[level]), flush=True)
    return {"model": digest, "gallery": len(stems), "rank-1": found}


def odd(a: argparse.Namespace) -> dict[str, Any]:
    """Alterations of fpml/alteration laid on prints that SOCOFing has not, or in ways that it has not."""
    run, digest = opened(a.model)
    real = [p for p in prints(a.socofing, range(0))[0].values() if p.shape == (97, 90)]
    rng, found = np.random.default_rng(3), {}
    fvc = [np.asarray(Image.open(p).convert("L")) for p in sorted(a.fvc2002.glob("DB[13]_B/*_1.tif"))]
    small = [_resized(p, round(p.shape[0] * 0.36), round(p.shape[1] * 0.36)) for p in fvc]
    turned = [np.asarray(Image.fromarray(p).rotate(25, Image.Resampling.BICUBIC, fillcolor=255)) for p in real[:200]]
    down = [_resized(_resized(p, 298, 241), 111, 90) for p in real[:200]]
    sets = {
        "SOCOFing's own, altered by fpml": real, "turned by 25°": turned, "FVC2002 DB1 and DB3 at 180 dpi": small,
        "241 × 298, brought to 90 × 111 before": down,
    }  # fmt: skip
    for name, pool in sets.items():
        found[name] = _altered(run, pool, a.most, rng)
        print(name, json.dumps(found[name]), flush=True)
    rows = []
    for _ in range(a.most):
        one = real[int(rng.integers(len(real)))]
        first = apply(one, draw(one, "Zcut", "Easy", rng))[0]
        rows.append(_one(run, apply(first, draw(one, "CR", "Medium", rng))[0], one, "CR"))
    found["two on one print, a Zcut and a CR"] = _sum(rows)
    rows = []
    for _ in range(a.most):
        one = real[int(rng.integers(len(real)))]
        drawn = draw(one, "CR", "Medium", rng)
        assert isinstance(drawn, Rotation)
        rim = Rotation(drawn.y, float(rng.choice([4.0, one.shape[1] - 5.0])), drawn.radius, drawn.degrees, drawn.rim)
        rows.append(_one(run, apply(one, rim)[0], one, "CR"))
    found["a disc that reaches beyond the picture"] = _sum(rows)
    scans = [np.asarray(Image.open(p).convert("L")) for p in sorted(a.crossmatch.glob("*_1.tif"))]
    small = [_resized(p, round(p.shape[0] * 0.36), round(p.shape[1] * 0.36)) for p in scans]
    found["CrossMatch at 180 dpi"] = _altered(run, small, a.most, rng)
    for name in list(found)[-3:]:
        print(name, json.dumps(found[name]), flush=True)
    return {"model": digest, "sets": found}


def _altered(run: Run, pool: list[np.ndarray], count: int, rng: np.random.Generator) -> dict[str, float]:
    """Prints of a pool, altered in all three ways in turn, repaired."""
    rows = []
    for k in range(count):
        one = pool[int(rng.integers(len(pool)))]
        kind = list(DRAWN)[k % 3]
        rows.append(_one(run, apply(one, draw(one, kind, str(rng.choice(LEVELS)), rng))[0], one, kind))
    return _sum(rows)


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _one(run: Run, before: np.ndarray, one: np.ndarray, kind: str) -> tuple[float, float, bool, bool]:
    made = repair(run, before)
    return ssim(before, one), ssim(to_bytes(made.picture), one), made.found.kind == kind, made.found.undone


def _sum(rows: list[tuple[float, float, bool, bool]]) -> dict[str, float]:
    before, after, kind, undone = np.array(rows, float).T
    return {
        "prints": len(rows), "untouched": round(before.mean(), 3), "undone": round(after.mean(), 3),
        "left": round((1 - after).sum() / (1 - before).sum(), 3), "kind right": round(kind.mean(), 3),
        "moved back": round(undone.mean(), 3), "worse": round((after < before - WORSE).mean(), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("socofing", "identify", "odd"))
    parser.add_argument("socofing", type=Path)
    parser.add_argument("fvc2002", type=Path, nargs="?")
    parser.add_argument("crossmatch", type=Path, nargs="?")
    parser.add_argument("--model", default="repair-1")
    parser.add_argument("--gated", type=Path, help="a trained repair-gated, to be measured beside it")
    parser.add_argument("--out", help="the name of the file in docs/repair")
    parser.add_argument("--subjects", type=int, nargs=2, default=(26, 50), help="first and last of those measured")
    parser.add_argument("--most", type=int, default=1000, help="prints of a cell, level or set")
    parser.add_argument("--reals", type=int, default=1000, help="unaltered prints")
    parser.add_argument("--gallery", type=int, default=200, help="last subject of the gallery")
    parser.add_argument("--minutiae", action="store_true")
    a = parser.parse_args()
    if a.what == "odd" and (a.fvc2002 is None or a.crossmatch is None):
        parser.error("odd needs SOCOFing, FVC2002 and CrossMatch")
    found = {"socofing": socofing, "identify": identify, "odd": odd}[a.what](a)
    HERE.mkdir(exist_ok=True)
    (HERE / f"{a.out or a.what}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
