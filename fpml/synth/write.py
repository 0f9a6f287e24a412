"""Generated prints on disk, laid out as the real sets are, with their ground truth beside them in truth/."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fpml.config import Synth
from fpml.errors import FpmlError
from fpml.files import new_folder
from fpml.parallel import in_parallel
from fpml.synth.field import Finger, draw_finger
from fpml.synth.sensors import SENSORS

HANDS = ("Left", "Right")
DIGITS = ("thumb", "index", "middle", "ring", "little")


def prints(
    fingers: list[Finger], impressions: int, sensor: str, device: str = "cpu"
) -> Iterator[tuple[Finger, int, np.ndarray, np.ndarray, dict[str, float]]]:
    """Every impression of some fingers: (finger, impression from 1, picture uint8 (H, W), mask bool (H, W), capture).

    One finger is in memory at a time."""
    import torch

    from fpml.synth.impression import draw_capture, render
    from fpml.synth.ridges import grow_masters

    if sensor not in SENSORS:
        raise FpmlError(f"unknown sensor '{sensor}'; allowed: {', '.join(SENSORS)}")
    salt = sorted(SENSORS).index(sensor)
    with torch.inference_mode():
        for finger in fingers:
            master = grow_masters([finger], device)[0]
            for impression in range(1, impressions + 1):
                capture = draw_capture(finger, impression, salt)
                picture, mask = render(master, capture, SENSORS[sensor])
                yield finger, impression, picture.cpu().numpy(), mask.cpu().numpy(), capture.row()


@dataclass(frozen=True)
class Job:
    """One finger on one sensor, and what its files are called."""

    finger: Finger
    sensor: str
    name: str  # below the set's folder, with {impression}
    impressions: int


def write_sensor(out: Path, fingers: int, impressions: int, sensor: str, seed: int, workers: int = 0) -> None:
    """A flat folder of one sensor's prints, <finger>_<impression>.png, as `fpml synth --out` makes it."""
    if fingers < 1 or impressions < 1 or seed < 0:
        raise FpmlError(
            f"--fingers {fingers} --impressions {impressions} --seed {seed} make no prints; "
            "fingers and impressions are 1 or more, the seed 0 or more"
        )
    if sensor not in SENSORS:
        raise FpmlError(f"unknown sensor '{sensor}'; allowed: {', '.join(SENSORS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FpmlError(f"{out} exists and is not an empty folder; name a new one")
    with new_folder(out) as folder:
        drawn = [draw_finger(seed, n) for n in range(1, fingers + 1)]
        _write(folder, [Job(f, sensor, f"{f.seed[1]}_{{impression}}.png", impressions) for f in drawn], workers, sensor)


def write_embedded(settings: Synth, out: Path, workers: int = 0) -> None:
    """The embedded data: fvc/, secugen/, lumidigm/ and socofing/ in the layout of the real sets."""
    with new_folder(out) as folder:
        fvc = [  # four databases, four groups of people, as in FVC2002
            Job(
                draw_finger(settings.seed + d, n), f"fvc2002-db{d}", f"DB{d}_A/{n}_{{impression}}.tif", settings.fvc_impressions
            )
            for d in (1, 2, 3, 4)
            for n in range(1, settings.fvc_fingers + 1)
        ]
        _write(folder / "fvc", fvc, workers, "fvc")
        for number, sensor in ((5, "secugen"), (6, "lumidigm")):
            drawn = [draw_finger(settings.seed + number, n) for n in range(1, settings.unseen_prints + 1)]
            _write(folder / sensor, [Job(f, sensor, f"print{f.seed[1]:03d}.png", 1) for f in drawn], workers, sensor)
        people = [draw_finger(settings.seed + 7, n) for n in range(1, 10 * settings.socofing_subjects + 1)]
        jobs = [Job(f, "socofing", f"Real/{_socofing_stem(f.seed[1] - 1)}.BMP", 1) for f in people]
        _write(folder / "socofing", jobs, workers, "socofing")


def _socofing_stem(index: int) -> str:
    """The name of the finger `index` (from 0), ten to a subject."""
    subject, place = index // 10 + 1, index % 10
    return f"{subject}__{'MF'[subject % 2]}_{HANDS[place // 5]}_{DIGITS[place % 5]}_finger"


def _write(folder: Path, jobs: list[Job], workers: int, what: str) -> None:
    """Do the jobs in local processes; each process writes its own pictures."""
    rows = in_parallel(partial(_do, folder=folder), jobs, workers, f"synth {what}", "fingers", chunk=1)
    truth = folder / "truth"
    truth.mkdir()
    fingers = list(dict.fromkeys(job.finger for job in jobs))
    table = pd.DataFrame([{**asdict(f), "seed": f.seed[0], "finger": f.seed[1]} for f in fingers])
    for column in ("loops", "deltas", "knots"):
        table[column] = [json.dumps(v) for v in table[column]]
    table.to_parquet(truth / "fingers.parquet", index=False)
    pd.DataFrame([row for some in rows for row in some]).to_parquet(truth / "impressions.parquet", index=False)


def _do(job: Job, folder: Path) -> list[dict[str, Any]]:
    """Write one finger's pictures; a row of ground truth for each impression."""
    import torch

    torch.set_num_threads(1)  # the work of one finger is too small to share: processes share the fingers
    rows = []
    for finger, impression, picture, _, capture in prints([job.finger], job.impressions, job.sensor):
        file = job.name.format(impression=impression)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / file)
        rows.append({"file": file, "seed": finger.seed[0], "finger": finger.seed[1], "sensor": job.sensor, **capture})
        if job.sensor == "socofing":
            _write_altered(folder, Path(file).stem, picture, finger)
    return rows


def _write_altered(folder: Path, stem: str, picture: np.ndarray, finger: Finger) -> None:
    """The nine altered copies of a real print, inside its frame."""
    from fpml.synth.alter import ALTERATIONS, LEVELS, alter

    rng = np.random.default_rng(np.random.SeedSequence([*finger.seed, 5]))
    for level in LEVELS:
        (folder / "Altered" / f"Altered-{level}").mkdir(parents=True, exist_ok=True)
        for kind in ALTERATIONS:
            altered = picture.copy()
            altered[2:-4, 2:-4] = alter(picture[2:-4, 2:-4], kind, level, rng)
            Image.fromarray(altered).save(folder / "Altered" / f"Altered-{level}" / f"{stem}_{kind}.BMP")
