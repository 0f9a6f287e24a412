"""Generated prints on disk, laid out as the real sets are, with their ground truth beside them in truth/."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from fpml.config import Synth
from fpml.errors import FpmlError
from fpml.files import new_file, new_folder
from fpml.parallel import in_parallel
from fpml.synth.sensors import SENSORS, Sensor

HANDS = ("Left", "Right")
DIGITS = ("thumb", "index", "middle", "ring", "little")
SHARD = 10  # fingers whose truth lies in one file; a killed run loses at most so many a process


@dataclass(frozen=True)
class Plan:
    """Fingers 1 to `fingers` of the set `seed`, on each of the sensors."""

    seed: int
    fingers: int
    impressions: int
    sensors: tuple[Sensor, ...]
    layout: Literal["synth", "fvc", "flat", "socofing"]  # how files are called
    condition: str = "fvc"
    pattern: str | None = None  # a class for all of them

    def file(self, sensor: Sensor, finger: int, impression: int) -> str:
        match self.layout:
            case "synth":
                return f"{sensor.name}/{finger}_{impression}.png"
            case "fvc":
                return f"{sensor.name.removeprefix('fvc2002-').upper()}_A/{finger}_{impression}.tif"
            case "flat":
                return f"print{finger:03d}.png"
            case "socofing":
                subject, place = (finger - 1) // 10 + 1, (finger - 1) % 10
                return f"Real/{subject}__{'MF'[subject % 2]}_{HANDS[place // 5]}_{DIGITS[place % 5]}_finger.BMP"

    def shards(self) -> list[tuple["Plan", int]]:
        return [(self, number) for number in range(-(-self.fingers // SHARD))]

    def shard_name(self, number: int) -> str:
        return f"{self.sensors[0].name if self.layout == 'fvc' else 'fingers'}-{number:05d}"


def write_prints(
    out: Path, plan: Plan, workers: int = 0, device: str = "auto", resume: bool = False, force: bool = False
) -> None:
    """The prints of a plan into a new folder, SENSOR/FINGER_IMPRESSION.png, as `fpml synth --out` makes it.

    Until all are there the folder is called OUT.unfinished; a killed run leaves it, and resume=True goes on with it.
    Raises FpmlError for a plan that makes no prints, and for a folder that is in the way: force=True replaces one
    that this function made, and never another."""
    from fpml.synth.generate import check, pick_device

    check(plan.fingers, plan.impressions, plan.seed, plan.condition, plan.pattern)
    pick_device(device)
    unfinished = out.with_name(f"{out.name}.unfinished")
    settings = _settings([plan])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        made = _read_settings(out)
        if made is None:
            raise FpmlError(f"{out} exists and is not an empty folder; name a new one")
        if resume and made == settings:
            return
        if not force:
            what = "has other settings than were asked for" if made != settings else "has all these prints already"
            raise FpmlError(f"{out} exists, is not an empty folder and {what}; name a new one, or replace it with --force")
    if unfinished.exists():
        if force and (unfinished / "truth").is_dir():
            shutil.rmtree(unfinished)
        elif not resume:
            raise FpmlError(
                f"{unfinished} is what a run that ended early left; go on with --resume, or start anew with --force"
            )
        elif _read_settings(unfinished) not in (settings, None):
            raise FpmlError(f"{unfinished} was begun with other settings; give those, or start anew with --force")
    _begin(unfinished, [plan])
    _write(unfinished, plan.shards(), workers, device, "synth")
    if out.exists():
        shutil.rmtree(out)
    unfinished.rename(out)


def write_embedded(settings: Synth, out: Path, workers: int = 0) -> None:
    """The embedded data: fvc/, secugen/, lumidigm/ and socofing/ in the layout of the real sets."""
    n, i, s = settings.fvc_fingers, settings.fvc_impressions, settings.seed
    sets = {  # each sensor has people of its own, as in FVC2002
        "fvc": [Plan(s + d, n, i, (SENSORS[f"fvc2002-db{d}"],), "fvc") for d in (1, 2, 3, 4)],
        "secugen": [Plan(s + 5, settings.unseen_prints, 1, (SENSORS["secugen"],), "flat")],
        "lumidigm": [Plan(s + 6, settings.unseen_prints, 1, (SENSORS["lumidigm"],), "flat")],
        "socofing": [Plan(s + 7, 10 * settings.socofing_subjects, 1, (SENSORS["socofing"],), "socofing")],
    }
    with new_folder(out) as folder:
        for name, plans in sets.items():
            _begin(folder / name, plans)
            _write(folder / name, [shard for plan in plans for shard in plan.shards()], workers, "cpu", f"synth {name}")


def _settings(plans: list[Plan]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(json.dumps([asdict(plan) for plan in plans]))
    return made


def _read_settings(folder: Path) -> list[dict[str, Any]] | None:
    try:
        made: list[dict[str, Any]] = json.loads((folder / "truth" / "synth.json").read_text())
        return made
    except (OSError, ValueError):
        return None


def _begin(folder: Path, plans: list[Plan]) -> None:
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    for what in ("fingers", "impressions", "minutiae"):
        (truth / what).mkdir(exist_ok=True)
    sensors = [s for plan in plans for s in plan.sensors]
    pd.DataFrame([{**asdict(s), "contact": list(s.contact)} for s in sensors]).to_parquet(
        truth / "sensors.parquet", index=False
    )
    with new_file(truth / "synth.json") as temporary:
        temporary.write_text(json.dumps(_settings(plans), indent=1) + "\n")


def _write(folder: Path, shards: list[tuple[Plan, int]], workers: int, device: str, what: str) -> None:
    """Make what is not there yet, in local processes; on a GPU in this one."""
    from fpml.synth.generate import pick_device

    shards = [(plan, n) for plan, n in shards if not _done(folder, plan.shard_name(n))]
    gpu = pick_device(device).type == "cuda"
    work = partial(_write_shard, folder=folder, device=device)
    in_parallel(work, shards, 1 if gpu else workers, what, f"shards of {SHARD} fingers", chunk=1)


def _done(folder: Path, shard: str) -> bool:
    return (folder / "truth" / "impressions" / f"{shard}.parquet").exists()  # written last


def _write_shard(job: tuple[Plan, int], folder: Path, device: str) -> None:
    import torch

    from fpml.synth.field import draw_finger
    from fpml.synth.generate import pick_device, prints_of

    plan, number = job
    shard = plan.shard_name(number)
    on = pick_device(device)
    if on.type == "cpu":
        torch.set_num_threads(1)  # the work of one print is too small to share: processes share the fingers
    numbers = range(number * SHARD + 1, min(plan.fingers, (number + 1) * SHARD) + 1)
    fingers = [draw_finger(plan.seed, n, plan.pattern) for n in numbers]
    rows: list[dict[str, Any]] = []
    minutiae: list[pd.DataFrame] = []
    fields: dict[tuple[str, str], list[np.ndarray]] = {}
    with ThreadPoolExecutor(1 if on.type == "cpu" else os.cpu_count()) as savers:
        for part in prints_of(fingers, plan.impressions, list(plan.sensors), plan.condition, on):
            name = part.sensor.name
            files = [plan.file(part.sensor, f.number, i) for f, i in zip(part.fingers, part.impressions, strict=True)]
            list(savers.map(partial(_save, folder, plan), files, part.pictures, part.fingers))
            at = len(fields.get(("mask", name), []))
            for k, (file, finger, capture) in enumerate(zip(files, part.fingers, part.captures, strict=True)):
                place = {"file": file, "finger": finger.number, "pattern": finger.pattern, "sensor": name}
                size = {"height": part.sensor.height, "width": part.sensor.width, "dpi": part.sensor.dpi}
                at_row = {"impression": part.impressions[k], "shard": shard, "row": at + k}
                rows.append({**place, **size, **at_row, **asdict(capture)})
                minutiae.append(part.minutiae[k].assign(file=file))
            fields.setdefault(("mask", name), []).extend(np.packbits(part.masks, axis=-1))
            fields.setdefault(("orientation", name), []).extend(part.orientation.astype(np.float16))
            fields.setdefault(("period", name), []).extend(part.period.astype(np.float16))
    truth = folder / "truth"
    for (what, name), arrays in fields.items():
        with new_file(truth / what / name / f"{shard}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, np.stack(arrays), allow_pickle=False)
    table = pd.DataFrame([asdict(f) for f in fingers])
    for column in ("loops", "deltas", "knots", "axes", "creases"):
        table[column] = [json.dumps(v) for v in table[column]]
    for what, frame in (("fingers", table), ("minutiae", pd.concat(minutiae)), ("impressions", pd.DataFrame(rows))):
        with new_file(truth / what / f"{shard}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)


def _save(folder: Path, plan: Plan, file: str, picture: np.ndarray, finger: Any) -> None:
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    # Level 1: PNG's own default takes twice as long as making the print, for files a tenth smaller.
    Image.fromarray(picture).save(target, compress_level=1)  # which other formats leave unread
    if plan.layout == "socofing":
        _write_altered(folder, target.stem, picture, finger.seed, finger.number)


def _write_altered(folder: Path, stem: str, picture: np.ndarray, *seed: int) -> None:
    """The nine altered copies of a real print, inside its frame."""
    from fpml.synth.alter import ALTERATIONS, LEVELS, alter

    rng = np.random.default_rng(np.random.SeedSequence([*seed, 5]))
    for level in LEVELS:
        (folder / "Altered" / f"Altered-{level}").mkdir(parents=True, exist_ok=True)
        for kind in ALTERATIONS:
            altered = picture.copy()
            altered[2:-4, 2:-4] = alter(picture[2:-4, 2:-4], kind, level, rng)
            Image.fromarray(altered).save(folder / "Altered" / f"Altered-{level}" / f"{stem}_{kind}.BMP")
