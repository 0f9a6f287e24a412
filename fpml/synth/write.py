"""Generated prints on disk, laid out as the real sets are, with their ground truth beside them in truth/."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.base.files import new_file, new_folder
from fpml.base.parallel import Workers, in_parallel
from fpml.settings.sections import Synth
from fpml.synth.sensors import SENSORS, Sensor, sensor_named

if TYPE_CHECKING:
    from fpml.synth.generate import Examine

HANDS = ("Left", "Right")
DIGITS = ("thumb", "index", "middle", "ring", "little")
FRAME = np.s_[2:-4, 2:-4]  # what of a picture of SOCOFing's layout lies inside its frame
CROSSED = ("fvc2002-db2", "fvc2002-db3", "random-1", "random-2")  # sensors of the same fingers, in data/synth/minutiae
GENERATOR = 8  # to be raised when a seed no longer gives the prints that it gave: no run goes on with another's


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
    accept: tuple[str, ...] | None = None  # None: no passports; else the rules that they must meet

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

    @property
    def shard(self) -> int:
        """Fingers whose truth lies in one file: about 80 prints. A killed run loses at most so many a process."""
        return min(10, max(1, 80 // (self.impressions * len(self.sensors))))

    @property
    def shards(self) -> range:
        return range(-(-self.fingers // self.shard))

    def shard_name(self, number: int) -> str:
        return f"{self.sensors[0].name if self.layout == 'fvc' else 'fingers'}-{number:05d}"


def write_prints(
    out: Path, plan: Plan, workers: Workers = 0, device: str = "auto", resume: bool = False, force: bool = False,
    examine: "Examine | None" = None,
) -> None:  # fmt: skip
    """The prints of a plan into a new folder, SENSOR/FINGER_IMPRESSION.png, as `fpml synth --out` makes it.

    examine: gives each print a passport, by the rules in plan.accept (fpml/inference/passport.py).
    Until all are there the folder is called OUT.unfinished; a killed run leaves it, and resume=True goes on with it.
    Raises FpmlError for a plan that makes no prints, and for a folder that is in the way: force=True replaces one
    that this function made, and never another."""
    from fpml.synth.generate import check, pick_device

    check(plan.fingers, plan.impressions, plan.seed, plan.condition, plan.pattern)
    pick_device(device)
    if isinstance(workers, int) and not 0 <= workers <= 1024:
        raise FpmlError(f"{workers} workers; allowed: 0 (one a core) to 1024")
    if out.is_symlink() or os.path.ismount(out):
        raise FpmlError(
            f"{out} is a link or a mount point, which a new folder can't take the place of; name a folder inside it"
        )
    out = Path(os.path.abspath(out))
    if inside := next((p for p in out.parents if _read_settings(p) is not None), None):
        raise FpmlError(f"{out} lies inside {inside}, which fpml synth made; name a folder beside it")
    unfinished = out.with_name(f"{out.name}.unfinished")
    settings = _settings([plan])
    _check_in_the_way(out, settings, resume and not unfinished.exists(), force)
    if resume and not unfinished.exists() and _read_settings(out) == settings:
        return
    if _filled(unfinished):
        begun = _read_settings(unfinished)
        if begun is None:
            raise FpmlError(f"{unfinished} is in the way and is not what fpml synth left; move it elsewhere")
        if resume and begun != settings:
            raise FpmlError(f"{unfinished} was begun with other settings; give those, or start anew with --force")
        if not resume and not force:
            raise FpmlError(f"{unfinished} was not finished; go on with --resume, or start anew with --force")
    with _alone_in(unfinished):
        if not resume:
            for left in unfinished.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        _begin(unfinished, [plan])
        try:
            _write([(unfinished, plan, n) for n in plan.shards], workers, device, examine)
        except KeyboardInterrupt:
            done = sum(_done(unfinished, plan.shard_name(n)) for n in plan.shards)
            whole = f"{done} of {len(plan.shards)} shards are in {unfinished}"
            raise KeyboardInterrupt(f"{whole}; --resume goes on with it") from None
        _check_in_the_way(out, settings, False, force)  # it may have been filled meanwhile
        old = out.with_name(f".{out.name}.{os.getpid()}.old.part")
        if out.exists():
            out.rename(old)
        unfinished.rename(out)
        shutil.rmtree(old, ignore_errors=True)


def _filled(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _check_in_the_way(out: Path, settings: dict[str, Any], done_is_fine: bool, force: bool) -> None:
    if not _filled(out):
        return
    made = _read_settings(out)
    if made is None:
        raise FpmlError(f"{out} exists and is not an empty folder; name a new one")
    if not force and not (done_is_fine and made == settings):
        what = f"has other settings ({_difference(made, settings)})" if made != settings else "has all these prints already"
        raise FpmlError(f"{out} exists, is not an empty folder and {what}; name a new one, or replace it with --force")
    mine = {"truth", *(sensor["name"] for plan in made["plans"] for sensor in plan["sensors"])}
    if foreign := [p.name for p in out.iterdir() if p.name not in mine]:
        raise FpmlError(f"{out} holds '{foreign[0]}', which fpml synth did not make; move it elsewhere first")


def _difference(made: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first setting in which two sets differ; a set does not grow: all of it is made anew."""
    if made.get("generator") != wanted["generator"]:
        return "made by another version of the generator"
    for key, value in wanted["plans"][0].items():
        before = made["plans"][0].get(key)
        if before != value:
            short = [v["name"] for v in before] if key == "sensors" and before else before
            return f"{key} {short}"
    return "another plan"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder against other runs, which would both write it and move it away from each other."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FpmlError(f"{folder} is being written by another run of fpml synth; let it end, or end it") from None
        if not folder.exists() or not os.path.samestat(os.fstat(handle), folder.stat()):
            raise FpmlError(f"{folder} was finished by another run of fpml synth at this moment; run it again")
        yield
    finally:
        os.close(handle)


def write_embedded(settings: Synth, out: Path, workers: Workers = 0) -> None:
    """The embedded data: fvc/, secugen/, lumidigm/ and socofing/ in the layout of the real sets; minutiae/ in the
    generator's own."""
    from fpml.synth.noise import seed_of

    n, i = settings.fvc_fingers, settings.fvc_impressions
    # Each sensor has people of its own, as in FVC2002; and none is in a set of prints that someone asks for by its seed.
    seeds = [seed_of(settings.seed, d) % 2**32 for d in range(8)]
    sets = {
        "fvc": [Plan(seeds[d], n, i, (SENSORS[f"fvc2002-db{d}"],), "fvc") for d in (1, 2, 3, 4)],
        "secugen": [Plan(seeds[5], settings.unseen_prints, 1, (SENSORS["secugen"],), "flat")],
        "lumidigm": [Plan(seeds[6], settings.unseen_prints, 1, (SENSORS["lumidigm"],), "flat")],
        "socofing": [Plan(seeds[7], 10 * settings.socofing_subjects, 1, (SENSORS["socofing"],), "socofing")],
        "minutiae": [Plan(seeds[0], settings.minutiae_fingers, 4, tuple(map(sensor_named, CROSSED)), "synth", "hard")],
    }
    with new_folder(out) as folder:
        for name, plans in sets.items():
            _begin(folder / name, plans)
        # All at once: at the end of each set a core would wait for another.
        shards = [(folder / name, plan, n) for name, plans in sets.items() for plan in plans for n in plan.shards]
        _write(shards, workers, "cpu")


def _settings(plans: list[Plan]) -> dict[str, Any]:
    # Without passports as it was before there were any: such folders can be gone on with.
    said = [{k: v for k, v in asdict(plan).items() if k != "accept" or v is not None} for plan in plans]
    made: dict[str, Any] = json.loads(json.dumps({"generator": GENERATOR, "plans": said}))
    return made


def _read_settings(folder: Path) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = json.loads((folder / "truth" / "synth.json").read_text(encoding="utf-8"))
        return made if isinstance(made, dict) and made.get("plans") else None
    except (OSError, ValueError):
        return None


def _begin(folder: Path, plans: list[Plan]) -> None:
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    more = {"alterations": plans[0].layout == "socofing", "passports": plans[0].accept is not None}
    for what in ("fingers", "impressions", "minutiae", *(name for name, there in more.items() if there)):
        (truth / what).mkdir(exist_ok=True)
    sensors = [s for plan in plans for s in plan.sensors]
    pd.DataFrame([{**asdict(s), "contact": list(s.contact)} for s in sensors]).to_parquet(
        truth / "sensors.parquet", index=False
    )
    with new_file(truth / "synth.json") as temporary:
        temporary.write_text(json.dumps(_settings(plans), indent=1) + "\n", encoding="utf-8")


def _write(shards: list[tuple[Path, Plan, int]], workers: Workers, device: str, examine: "Examine | None" = None) -> None:
    """Make what is not there yet, in local processes; on a GPU in this one."""
    from fpml.synth.generate import pick_device

    shards = [(folder, plan, n) for folder, plan, n in shards if not _done(folder, plan.shard_name(n))]
    gpu = pick_device(device).type == "cuda"
    work = partial(_write_shard, device=device, examine=examine)
    in_parallel(work, shards, 1 if gpu else workers, "synth", "shards", chunk=1)


def _done(folder: Path, shard: str) -> bool:
    return (folder / "truth" / "impressions" / f"{shard}.parquet").exists()  # written last


def _write_shard(job: tuple[Path, Plan, int], device: str, examine: "Examine | None") -> None:
    import torch

    from fpml.synth.field import draw_finger
    from fpml.synth.generate import pick_device, prints_of

    folder, plan, number = job
    shard = plan.shard_name(number)
    on = pick_device(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the work of one print is too small to share: processes share the fingers
    numbers = range(number * plan.shard + 1, min(plan.fingers, (number + 1) * plan.shard) + 1)
    fingers = [draw_finger(plan.seed, n, plan.pattern) for n in numbers]
    rows: list[dict[str, Any]] = []
    alterations: list[dict[str, Any]] = []
    minutiae: list[pd.DataFrame] = []
    passports: list[dict[str, Any]] = []
    fields: dict[tuple[str, str], list[np.ndarray]] = {}
    with ThreadPoolExecutor(1 if on.type == "cpu" else os.cpu_count()) as savers:
        for part in prints_of(fingers, plan.impressions, list(plan.sensors), plan.condition, on, examine):
            name = part.sensor.name
            files = [plan.file(part.sensor, f.number, i) for f, i in zip(part.fingers, part.impressions, strict=True)]
            saved = savers.map(partial(_save, folder, plan, part.sensor.dpi), files, part.pictures, part.fingers)
            alterations += [row for rows_ in saved for row in rows_]
            passports += [{"file": file, **passport} for file, passport in zip(files, part.passports, strict=False)]
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
    torch.set_num_threads(threads)
    truth = folder / "truth"
    for (what, name), arrays in fields.items():
        with new_file(truth / what / name / f"{shard}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, np.stack(arrays), allow_pickle=False)
    table = pd.DataFrame([asdict(f) for f in fingers])
    for column in ("loops", "deltas", "knots", "opens", "creases"):
        table[column] = [json.dumps(v) for v in table[column]]
    tables = [("fingers", table), ("minutiae", pd.concat(minutiae)), ("impressions", pd.DataFrame(rows))]
    if alterations:
        tables.insert(0, ("alterations", pd.DataFrame(alterations)))
    if passports:
        tables.insert(0, ("passports", pd.DataFrame(passports)))
    for what, frame in tables:
        with new_file(truth / what / f"{shard}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)


def _save(folder: Path, plan: Plan, dpi: int, file: str, picture: np.ndarray, finger: Any) -> list[dict[str, Any]]:
    """Write a picture, and where the layout has them its altered copies, whose truth comes back: a row for each."""
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    # Level 1: PNG's own default takes twice as long as making the print, for files a tenth smaller.
    # (the other formats leave compress_level unread)
    Image.fromarray(picture).save(target, compress_level=1, dpi=(dpi, dpi))
    return _write_altered(folder, file, picture, dpi, finger.seed, finger.number) if plan.layout == "socofing" else []


def _write_altered(folder: Path, file: str, picture: np.ndarray, dpi: int, seed: int, finger: int) -> list[dict[str, Any]]:
    """The altered copies of a real print, inside its frame."""
    from fpml.alteration.kinds import as_dict
    from fpml.synth.alter import altered_copies

    rows = []
    for level, alteration, inside in altered_copies(picture[FRAME], seed, finger, dpi):
        altered = picture.copy()
        altered[FRAME] = inside
        copy = f"Altered/Altered-{level}/{Path(file).stem}_{alteration.kind}.BMP"
        (folder / copy).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(altered).save(folder / copy)
        rows.append(
            {"file": copy, "source": file, "level": level, "kind": alteration.kind, "said": json.dumps(as_dict(alteration))}
        )
    return rows
