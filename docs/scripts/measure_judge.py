"""What the judge knows of real prints, and pattern-1 of generated ones; writes docs/judge/measured.json.

    python docs/scripts/measure_judge.py FVC2002 CrossMatch SOCOFing

FVC2002: a folder with DB1_B … DB4_B and DB3_A; SOCOFing: one with Real. No picture of a real print is written, only numbers.
KID: each set's fingers in two halves; one half as it is, or spoilt, against the other."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

import fpml
from fpml.base.progress import progress
from fpml.data.pictures import read_grey
from fpml.data.readers.socofing import crop
from fpml.inference.minutiae import look
from fpml.inference.pattern import CLASSES, patterns
from fpml.metrics.generation import kid
from fpml.metrics.intervals import wilson
from fpml.metrics.judge import load_judge
from fpml.metrics.verification import all_pairs, eer
from fpml.synth.generate import generate

OUT = Path(__file__).parents[1] / "judge" / "measured.json"
PRINTS, SEED = 60, 4242  # generated prints of each sensor, by which pattern classes are measured
MOST = 200  # prints of a half that are spoilt
SENSORS = ("fvc2002-db1", "fvc2002-db2", "fvc2002-db3", "fvc2002-db4", "socofing", "random-7", "random-8", "random-9")
Prints = tuple[list[np.ndarray], np.ndarray]  # pictures, and the finger of each


def blurred(picture: np.ndarray, much: float, rng: np.random.Generator) -> np.ndarray:
    """much: standard deviation in pixels."""
    return np.asarray(ndimage.gaussian_filter(picture.astype(np.float32), much))


def noisy(picture: np.ndarray, much: float, rng: np.random.Generator) -> np.ndarray:
    """much: standard deviation in grey levels."""
    return np.asarray(picture + rng.normal(0, much, picture.shape))


def lost(picture: np.ndarray, much: float, rng: np.random.Generator) -> np.ndarray:
    """much: share of the picture where ridges give way to the grey round them."""
    cloud = ndimage.gaussian_filter(rng.standard_normal(picture.shape), 8)
    flat = ndimage.gaussian_filter(picture.astype(np.float32), 12)
    return np.where(cloud < np.quantile(cloud, much), flat, picture)


SPOILT: dict[str, tuple[Callable[[np.ndarray, float, np.random.Generator], np.ndarray], tuple[float, ...]]] = {
    "blur, px": (blurred, (1, 2, 3, 4)),
    "noise, grey levels": (noisy, (20, 40, 80, 120)),
    "lost ridges, share": (lost, (0.1, 0.2, 0.4, 0.6)),
}


def main() -> None:
    fvc, crossmatch, socofing = (Path(a) for a in sys.argv[1:4])
    judge = load_judge()

    def embedded(pictures: list[np.ndarray]) -> np.ndarray:
        floats = [torch.from_numpy(p.clip(0, 255).astype(np.float32) / 255)[None, None] for p in pictures]
        return np.concatenate([judge(picture) for picture in floats])

    sets: dict[str, Prints] = {f"FVC2002 {name}": _read(sorted((fvc / name).glob("*.tif"))) for name in
                               ("DB1_B", "DB2_B", "DB3_B", "DB4_B", "DB3_A")}  # fmt: skip
    sets["CrossMatch"] = _read(sorted(crossmatch.glob("*.tif")))
    files = sorted((socofing / "Real").glob("*.BMP"))
    files = files[:: max(1, len(files) // 800)]
    sets["SOCOFing"] = [crop(read_grey(f, 10**8)) for f in files], np.array([f.name.partition("_")[0] for f in files])
    views = {name: embedded(pictures) for name, (pictures, _) in sets.items()}
    eers: dict[str, float] = {}
    kids: dict[str, dict[str, object]] = {}
    between: dict[str, float] = {}
    for name, (_, fingers) in sets.items():
        if name != "SOCOFing":  # whose Real has one print of a finger
            pairs = all_pairs(fingers)
            eers[name] = round(100 * eer((views[name][pairs.a] * views[name][pairs.b]).sum(1), pairs.genuine), 1)
    for name in ("FVC2002 DB3_A", "CrossMatch", "SOCOFing"):
        pictures, fingers = sets[name]
        half = np.isin(fingers, np.unique(fingers)[::2])
        other = views[name][~half]
        spoiled = np.random.default_rng(1).permutation(np.flatnonzero(half))[:MOST]
        kids[name] = {"as they are": round(kid(views[name][spoiled], other)[0], 4)}
        for what, (spoil, steps) in SPOILT.items():
            rng = np.random.default_rng(0)
            worse = [embedded([spoil(pictures[k], much, rng) for k in spoiled]) for much in steps]
            kids[name][what] = {f"{much:g}": round(kid(view, other)[0], 4) for much, view in zip(steps, worse, strict=True)}
        print(name, kids[name], flush=True)
    names = list(sets)
    for number, one in enumerate(names):
        for two in names[number + 1 :]:
            between[f"{one} and {two}"] = round(kid(views[one], views[two])[0], 3)
    said = {
        "judge": judge.sha256, "EER, %": eers, "KID": kids, "KID between": between,
        "pattern classes right, generated prints": _patterns(),
    }  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(said, indent=1))


def _read(files: list[Path]) -> Prints:
    return [read_grey(f, 10**8) for f in files], np.array([f.stem.rpartition("_")[0] for f in files])


def _patterns() -> dict[str, list[float]]:
    """By sensor: the share right, and its 95 % interval."""
    model, found = fpml.load("minutiae-1"), {}
    for sensor in progress(SENSORS, "patterns", len(SENSORS), "sensors"):
        made = [generate(PRINTS // 5, 1, sensor, SEED, "hard", pattern=pattern, device="cpu") for pattern in CLASSES]
        chances = patterns([look(model, picture, part.sensor.dpi) for part in made for picture in part.pictures])
        right = int((chances.argmax(1) == np.repeat(np.arange(5), PRINTS // 5)).sum())
        found[sensor] = [round(v, 3) for v in (right / len(chances), *wilson(right, len(chances)))]
    return found


if __name__ == "__main__":
    main()
