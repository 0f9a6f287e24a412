"""Measure generated prints against FVC2002 and against NIST's programs; writes the figures and numbers of generator.md.

    python docs/scripts/measure_generator.py FVC2002 libafis_lfs.so looks scores minutiae unique

FVC2002: a folder with DB1_B ... DB4_B (or _A). The library: see nbis.py. No picture of a real print is written,
only distributions.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from nbis import Nbis, Template
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.stats import ks_2samp
from sklearn.metrics import roc_curve

from fpml.data.placing import segment
from fpml.drawing.figures import save
from fpml.synth.field import HEIGHT, WIDTH, draw_finger
from fpml.synth.generate import generate, prints_of
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import SENSORS

HERE = Path(__file__).parents[1] / "generator"
DATABASES = ("DB1", "DB2", "DB3", "DB4")
DPI = {"DB1": 500, "DB2": 569, "DB3": 500, "DB4": 500}
FINGERS, SEED = 40, 2002  # generated fingers a sensor, 8 impressions each
GROWN, COMPARED = 2000, 800  # fingers whose ridges, and whose prints, are compared with each other
LOOKS = {
    "period": "ridge period, pixels at 500 dpi",
    "coherence": "orientation coherence",
    "area": "foreground, square millimetres",
    "grey": "grey level inside the print",
    "count": "minutiae a print (mindtct)",
    "direction": "minutiae's direction, degrees (mindtct)",
}
nbis: Nbis  # one a process


def _start(library: Path) -> None:
    global nbis
    nbis = Nbis(library)
    torch.set_num_threads(1)


def real_prints(root: Path, database: str) -> dict[tuple[int, int], np.ndarray]:
    """(finger, impression) to a uint8 picture."""
    out = {}
    for folder in (root / f"{database}_A", root / f"{database}_B"):
        for path in sorted(folder.glob("*.tif")):
            finger, impression = map(int, path.stem.split("_"))
            out[finger, impression] = np.asarray(Image.open(path).convert("L"))
    return out


def look(picture: np.ndarray, dpi: float) -> dict[str, np.ndarray]:
    """The distributions of one print: as many values each as it gives."""
    scale = 500 / dpi
    grey = ndimage.zoom(picture.astype(np.float32), scale, order=1)
    mask = segment(grey.astype(np.uint8), 500)
    gy, gx = ndimage.gaussian_filter(grey, 1, (1, 0)), ndimage.gaussian_filter(grey, 1, (0, 1))
    xx, yy, xy = (ndimage.gaussian_filter(v, 8) for v in (gx * gx, gy * gy, gx * gy))
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6)
    inner = ndimage.binary_erosion(mask, iterations=12)
    side, window = 48, np.outer(np.hanning(48), np.hanning(48))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.rfftfreq(128), indexing="ij"))
    band = (frequency > 1 / 16) & (frequency < 1 / 5)
    periods, coherent = [], []
    for top in range(0, grey.shape[0] - side, 24):
        for left in range(0, grey.shape[1] - side, 24):
            if inner[top : top + side, left : left + side].all():
                block = grey[top : top + side, left : left + side]
                power = np.abs(np.fft.rfft2((block - block.mean()) * window, (128, 128))) ** 2 * band
                peak = frequency[np.unravel_index(power.argmax(), power.shape)]
                near = power * (np.abs(frequency - peak) < 0.02)
                periods.append(near.sum() / (near * frequency).sum())
                coherent.append(coherence[top : top + side, left : left + side].mean())
    minutiae = nbis.extract(picture, dpi).table()
    pixels = grey[mask]
    return {
        "period": np.array(periods), "coherence": np.array(coherent), "area": np.array([mask.sum() * (25.4 / 500) ** 2]),
        "grey": np.quantile(pixels, np.linspace(0.005, 0.995, 100)), "count": np.array([len(minutiae)], float),
        "direction": np.degrees(minutiae[:, 2]) % 360,
    }  # fmt: skip


def pooled(pool: ProcessPoolExecutor, pictures: list[np.ndarray], dpi: float) -> dict[str, np.ndarray]:
    rows = list(pool.map(partial(look, dpi=dpi), pictures, chunksize=8))
    return {name: np.concatenate([r[name] for r in rows]) for name in LOOKS}


def looks(root: Path, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Distributions of real and generated prints; KS distances beside those between the two halves of the real fingers."""
    figure, axes = plt.subplots(len(LOOKS), 4, figsize=(12, 13))
    table: dict[str, Any] = {}
    for column, database in enumerate(DATABASES):
        real = real_prints(root, database)
        numbers = sorted({f for f, _ in real})
        halves = [[p for (f, _), p in real.items() if f in some] for some in (numbers[::2], numbers[1::2])]
        first, second = (pooled(pool, half, DPI[database]) for half in halves)
        ours = generate(FINGERS, 8, f"fvc2002-{database.lower()}", SEED)
        made = pooled(pool, list(ours.pictures), DPI[database])
        for row, (name, label) in enumerate(LOOKS.items()):
            both = np.concatenate([first[name], second[name]])
            distance = ks_2samp(both, made[name]).statistic
            floor = ks_2samp(first[name], second[name]).statistic
            medians = [round(float(np.median(v)), 2) for v in (both, made[name])]
            table.setdefault(name, {})[database] = {"KS": distance, "KS of real halves": floor, "medians": medians}
            axis = axes[row, column]
            edges = np.histogram_bin_edges(np.concatenate([both, made[name]]), 32)
            axis.hist([both, made[name]], edges, density=True, histtype="step", label=["real", "generated"])
            axis.set(title=f"{database}: KS {distance:.2f} (real halves {floor:.2f})", xlabel=label, yticks=[])
    axes[0, 0].legend()
    save(figure, HERE / "looks.png")
    return {"generated prints a sensor": FINGERS * 8, "table": table}


def templates(pool: ProcessPoolExecutor, pictures: list[np.ndarray], dpi: float) -> list[Template]:
    return list(pool.map(partial(_extract, dpi=dpi), pictures, chunksize=8))


def _extract(picture: np.ndarray, dpi: float) -> Template:
    return nbis.extract(picture, dpi)


def _match(pair: tuple[Template, Template]) -> int:
    return nbis.match(*pair)


def protocol(pool: ProcessPoolExecutor, found: dict[tuple[int, int], Template]) -> dict[str, np.ndarray]:
    """Bozorth3's scores: all pairs of one finger's impressions, and 2,880 or 3,000 pairs of different fingers'."""
    genuine = [(found[a], found[b]) for a, b in combinations(sorted(found), 2) if a[0] == b[0]]
    impostor = [(found[a], found[b]) for a, b in combinations(sorted(found), 2) if a[0] != b[0]]
    if len(impostor) > 3000:
        chosen = np.random.default_rng(1).choice(len(impostor), 3000, replace=False)
        impostor = [impostor[i] for i in sorted(chosen)]
    scores = {"genuine": genuine, "impostor": impostor}
    return {k: np.array(list(pool.map(_match, v, chunksize=100))) for k, v in scores.items()}


def eer(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """The equal error rate in per cent, interpolated where the two rates cross."""
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    false, true, _ = roc_curve(labels, np.r_[genuine, impostor])
    gap = 1 - true - false
    at = int(np.argmax(gap <= 0))
    share = gap[at - 1] / (gap[at - 1] - gap[at]) if at else 0.0
    return float(100 * (false[at - 1] + share * (false[at] - false[at - 1]))) if at else 0.0


def scores(root: Path, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Genuine and impostor scores of mindtct + bozorth3, real beside generated, and generated across sensors."""
    figure, axes = plt.subplots(2, 4, figsize=(12, 5), sharex="row")
    table: dict[str, Any] = {}
    for column, database in enumerate(DATABASES):
        real = real_prints(root, database)
        made = generate(10, 8, f"fvc2002-{database.lower()}", SEED)
        ours = {(f.number, i): p for f, i, p in zip(made.fingers, made.impressions, made.pictures, strict=True)}
        both = {}
        for name, prints in (("real", real), ("generated", ours)):
            found = dict(zip(prints, templates(pool, list(prints.values()), DPI[database]), strict=True))
            both[name] = protocol(pool, found)
        row: dict[str, Any] = {
            name: {
                "EER %": eer(**s), "genuine pairs": len(s["genuine"]), "impostor pairs": len(s["impostor"]),
                "genuine median": float(np.median(s["genuine"])), "impostor median": float(np.median(s["impostor"])),
                "impostor maximum": int(s["impostor"].max()),
            } for name, s in both.items()
        }  # fmt: skip
        row["KS genuine"] = ks_2samp(both["real"]["genuine"], both["generated"]["genuine"]).statistic
        row["KS impostor"] = ks_2samp(both["real"]["impostor"], both["generated"]["impostor"]).statistic
        table[database] = row
        for line, kind in enumerate(("genuine", "impostor")):
            values = [both[n][kind] for n in ("real", "generated")]
            edges = np.linspace(0, (200, 40)[line], 41)
            clipped = [np.clip(v, 0, edges[-1]) for v in values]
            axes[line, column].hist(clipped, edges, density=True, histtype="step", label=["real", "generated"])
            axes[line, column].set(title=f"{database}, {kind}: KS {row[f'KS {kind}']:.2f}", xlabel="bozorth3 score", yticks=[])
    axes[0, 0].legend()
    save(figure, HERE / "scores.png")
    return table


def pairs_within(truth: np.ndarray, found: np.ndarray, reach: float) -> int:
    """How many minutiae of the one can be paired with the other's, each once, nearer than `reach` pixels."""
    if not len(truth) or not len(found):
        return 0
    apart = np.hypot(truth[:, None, 0] - found[None, :, 0], truth[:, None, 1] - found[None, :, 1])
    rows, columns = linear_sum_assignment(np.where(apart < reach, apart, 1e6))
    return int((apart[rows, columns] < reach).sum())


def minutiae(root: Path, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """mindtct's minutiae against the ground truth: within 14 pixels at 500 dpi, in the print's inner part."""
    table: dict[str, Any] = {}
    for sensor in SENSORS.values():
        if sensor.dpi < 400:
            continue  # mindtct is made for about 500 dpi
        prints = generate(20, 8, sensor, SEED)
        found = templates(pool, list(prints.pictures), sensor.dpi)
        reach = 14 * sensor.dpi / 500
        by: dict[str, list[int]] = {}
        turns: list[bool] = []
        kinds: list[bool] = []
        for k, template in enumerate(found):
            inner = ndimage.binary_erosion(np.pad(prints.masks[k], 1), iterations=round(reach))[1:-1, 1:-1]
            theirs, truth = template.table(), prints.minutiae[k].assign(type=lambda t: t["type"] == "ending").to_numpy(float)
            theirs, truth = (v[inner[v[:, 1].astype(int), v[:, 0].astype(int)]] for v in (theirs, truth))
            ending = truth[:, 3] > 0
            hit = pairs_within(truth, theirs, reach)
            counts = np.array([hit, len(truth), len(theirs)])
            for name in ("all", prints.captures[k].condition):
                by[name] = list(np.array(by.get(name, [0, 0, 0])) + counts)
            if len(truth) and len(theirs):
                apart = np.hypot(truth[:, None, 0] - theirs[None, :, 0], truth[:, None, 1] - theirs[None, :, 1])
                for i, j in zip(*np.nonzero(apart < 6), strict=True):
                    turns.append(np.abs(np.angle(np.exp(1j * (truth[i, 2] - theirs[j, 2])))) < np.pi / 8)
                    kinds.append(ending[i] == (theirs[j, 4] > 0))
        table[sensor.name] = {
            name: {"recall": h / t, "precision": h / f, "true": int(t), "found": int(f)} for name, (h, t, f) in by.items()
        }
        table[sensor.name]["of pairs within 6 pixels"] = {
            "angle within 22.5 degrees": np.mean(turns),
            "same type": np.mean(kinds),
        }
    return table


def unique(root: Path, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Are two fingers ever alike? Beside every figure stands the same over pairs of two sets with other seeds, which can
    have nothing in common: all pairs of ridge patterns of GROWN fingers, correlated place by place; all pairs of one
    print each of COMPARED fingers, and 100,000 pairs across, by bozorth3."""
    masters = [np.concatenate(list(pool.map(partial(_masters, seed=s), range(0, GROWN, 50)))) for s in (SEED, SEED + 1)]
    alike = [torch.from_numpy(masters[0]) @ torch.from_numpy(m).T for m in masters]
    same, across = alike[0][np.triu_indices(GROWN, 1)].numpy(), alike[1].numpy().ravel()
    first, other = (_many(pool, seed) for seed in (SEED, SEED + 1))
    inside = np.concatenate(list(pool.map(_row, [(first[i], first[i + 1 :]) for i in range(len(first))], chunksize=4)))
    chosen = np.random.default_rng(1).integers(0, len(first), (100_000, 2))
    between = np.array(list(pool.map(_match, [(first[a], other[b]) for a, b in chosen], chunksize=500)))
    limits = (10, 15, 20, 25, 30, 40)
    counts = {str(limit): [int((inside >= limit).sum()), int((between >= limit).sum())] for limit in limits}
    return {
        "ridges": {
            "fingers": GROWN, "pairs, within and across": [len(same), len(across)],
            "highest correlation, within and across": [float(same.max()), float(across.max())],
            "standard deviation, within and across": [float(same.std()), float(across.std())],
        },
        "bozorth3": {
            "fingers": COMPARED, "pairs, within and across": [len(inside), len(between)],
            "pairs at or above a score, within and across": counts,
            "maximum, within and across": [int(inside.max()), int(between.max())],
            "KS": ks_2samp(inside, between).statistic,
        },
    }  # fmt: skip


def _masters(start: int, seed: int) -> np.ndarray:
    """The ridges of 50 fingers inside a print's area at every second pixel, each row of length 1."""
    y, x = np.mgrid[:HEIGHT:2, :WIDTH:2]
    inside = ((x - WIDTH / 2) / 118) ** 2 + ((y - HEIGHT / 2) / 178) ** 2 < 1
    rows = []
    with torch.inference_mode():
        for number in range(start + 1, start + 51):
            values = grow_masters([draw_finger(seed, number)])[0, ::2, ::2].numpy()[inside]
            rows.append((values - values.mean()) / np.linalg.norm(values - values.mean()))
    return np.stack(rows)


def _many(pool: ProcessPoolExecutor, seed: int) -> list[Template]:
    return [t for part in pool.map(partial(_few, seed=seed), range(0, COMPARED, 50)) for t in part]


def _few(start: int, seed: int) -> list[Template]:
    fingers = [draw_finger(seed, n) for n in range(start + 1, start + 51)]
    sensor = SENSORS["fvc2002-db1"]
    parts = prints_of(fingers, 1, [sensor], "normal", torch.device("cpu"))
    return [nbis.extract(picture, sensor.dpi) for part in parts for picture in part.pictures]


def _row(job: tuple[Template, list[Template]]) -> np.ndarray:
    return np.array([nbis.match(job[0], other) for other in job[1]], dtype=np.int16)


WHAT = {"looks": looks, "scores": scores, "minutiae": minutiae, "unique": unique}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fvc2002", type=Path)
    parser.add_argument("library", type=Path)
    parser.add_argument("what", nargs="+", choices=WHAT)
    arguments = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    for name in arguments.what:
        with ProcessPoolExecutor(initializer=_start, initargs=(arguments.library,)) as pool:
            result = WHAT[name](arguments.fvc2002, pool)
        (HERE / f"{name}.json").write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")
        print(name, json.dumps(result, indent=1, default=float))


if __name__ == "__main__":
    main()
