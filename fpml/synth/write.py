"""Generated prints on disk, laid out as the real sets are, with their ground truth beside them in truth/."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fpml.config import Synth
from fpml.errors import FpmlError
from fpml.files import new_folder
from fpml.progress import progress
from fpml.synth.field import Finger, draw_finger
from fpml.synth.sensors import SENSORS

BATCH = 4  # masters grown at a time; keeps memory flat however many fingers are asked for
HANDS = ("Left", "Right")
DIGITS = ("thumb", "index", "middle", "ring", "little")


def prints(
    fingers: list[Finger], impressions: int, sensor: str, device: str = "cpu"
) -> Iterator[tuple[Finger, int, np.ndarray, np.ndarray, dict[str, float]]]:
    """Every impression of some fingers: (finger, impression from 1, picture uint8 (H, W), mask bool (H, W), capture)."""
    import torch

    from fpml.synth.impression import draw_capture, render
    from fpml.synth.ridges import grow_masters

    if sensor not in SENSORS:
        raise FpmlError(f"unknown sensor '{sensor}'; allowed: {', '.join(SENSORS)}")
    salt = sorted(SENSORS).index(sensor)
    with torch.inference_mode():
        for start in range(0, len(fingers), BATCH):
            batch = fingers[start : start + BATCH]
            for finger, master in zip(batch, grow_masters(batch, device), strict=True):
                for impression in range(1, impressions + 1):
                    capture = draw_capture(finger, impression, salt)
                    picture, mask = render(master, capture, SENSORS[sensor])
                    yield finger, impression, picture.cpu().numpy(), mask.cpu().numpy(), capture.row()


def write_sensor(out: Path, fingers: int, impressions: int, sensor: str, seed: int) -> None:
    """A flat folder of one sensor's prints, <finger>_<impression>.png, as `fpml synth --out` makes it."""
    if fingers < 1 or impressions < 1:
        raise FpmlError(f"{fingers} fingers with {impressions} impressions make no prints; give 1 or more of each")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FpmlError(f"{out} exists and is not an empty folder; name a new one")
    with new_folder(out) as folder:
        drawn = [draw_finger(seed, n) for n in range(1, fingers + 1)]
        _write(folder, {".": (sensor, drawn, lambda f, i: f"{f.seed[1]}_{i}.png")}, impressions)


def write_embedded(settings: Synth, out: Path) -> None:
    """The embedded data: fvc/, secugen/, lumidigm/ and socofing/ in the layout of the real sets."""
    with new_folder(out) as folder:
        fvc = {}
        for database in (1, 2, 3, 4):  # four databases, four groups of people, as in FVC2002
            drawn = [draw_finger(settings.seed + database, n) for n in range(1, settings.fvc_fingers + 1)]
            fvc[f"DB{database}_A"] = (f"fvc2002-db{database}", drawn, lambda f, i: f"{f.seed[1]}_{i}.tif")
        _write(folder / "fvc", fvc, settings.fvc_impressions)
        for number, sensor in ((5, "secugen"), (6, "lumidigm")):
            drawn = [draw_finger(settings.seed + number, n) for n in range(1, settings.unseen_prints + 1)]
            _write(folder / sensor, {".": (sensor, drawn, lambda f, i: f"print{f.seed[1]:03d}.png")}, 1)
        _write_socofing(folder / "socofing", settings)


def _write(folder: Path, sets: dict, impressions: int) -> None:  # type: ignore[type-arg]
    captures, all_fingers = [], {}
    for subfolder, (sensor, fingers, name) in sets.items():
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        made = progress(prints(fingers, impressions, sensor), f"synth {sensor}", len(fingers) * impressions, "prints")
        for finger, impression, picture, _, capture in made:
            path = folder / subfolder / name(finger, impression)
            Image.fromarray(picture).save(path)
            captures.append({"file": path.relative_to(folder).as_posix(), "sensor": sensor, **capture})
            all_fingers[finger.seed] = finger
    _write_truth(folder, list(all_fingers.values()), captures)


def _write_socofing(folder: Path, settings: Synth) -> None:
    from fpml.synth.alter import ALTERATIONS, LEVELS, alter

    (folder / "Real").mkdir(parents=True)
    for level in LEVELS:
        (folder / "Altered" / f"Altered-{level}").mkdir(parents=True)
    fingers = [draw_finger(settings.seed + 7, n) for n in range(1, 10 * settings.socofing_subjects + 1)]
    captures = []
    made = progress(prints(fingers, 1, "socofing"), "synth socofing", len(fingers), "fingers")
    for index, (finger, _, picture, _, capture) in enumerate(made):
        subject, place = index // 10 + 1, index % 10
        sex = "MF"[subject % 2]
        stem = f"{subject}__{sex}_{HANDS[place // 5]}_{DIGITS[place % 5]}_finger"
        Image.fromarray(picture).save(folder / "Real" / f"{stem}.BMP")
        captures.append({"file": f"Real/{stem}.BMP", "sensor": "socofing", **capture})
        rng = np.random.default_rng(np.random.SeedSequence([*finger.seed, 5]))
        for level in LEVELS:
            for kind in ALTERATIONS:
                altered = picture.copy()
                altered[2:-4, 2:-4] = alter(picture[2:-4, 2:-4], kind, level, rng)
                Image.fromarray(altered).save(folder / "Altered" / f"Altered-{level}" / f"{stem}_{kind}.BMP")
    _write_truth(folder, fingers, captures)


def _write_truth(folder: Path, fingers: list[Finger], captures: list[dict]) -> None:  # type: ignore[type-arg]
    truth = folder / "truth"
    truth.mkdir()
    table = pd.DataFrame([{**asdict(f), "seed": f.seed[0], "finger": f.seed[1]} for f in fingers])
    for column in ("loops", "deltas", "knots"):
        table[column] = [json.dumps(v) for v in table[column]]
    table.to_parquet(truth / "fingers.parquet", index=False)
    pd.DataFrame(captures).to_parquet(truth / "impressions.parquet", index=False)
