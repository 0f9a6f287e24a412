"""ingest: a folder of prints to a manifest, in parallel. Nothing is dropped silently."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.parallel import Workers, each_in_parallel
from fpml.data import manifest
from fpml.data.pictures import PICTURES, BadPicture, check_print, pixel_hash, read_grey
from fpml.data.readers import describe, idx, reader_named, takes
from fpml.data.walk import find_files, has_truth
from fpml.settings.sections import Dataset, Ingest

PART = 20_000  # rows that are dictionaries at one time
SENSOR = re.compile(r"[A-Za-z0-9._ -]+")


def not_ingested(name: str, dataset: Dataset, root: Path) -> list[str]:
    """Files of a dataset that its manifest does not have: they came since, or there is no manifest yet."""
    folder, path = root / dataset.path, root / "data" / "manifest" / f"{name}.parquet"
    if not folder.is_dir():
        return []
    known = set(manifest.read(path)["file"]) if path.exists() else set()
    return [file for f in find_files(folder, may_be_empty=True) if (file := f"{dataset.path}/{f}") not in known]


def _patterns(folder: Path) -> dict[str, str]:
    """The pattern class of each generated print."""
    try:
        table = pd.read_parquet(folder / "truth" / "impressions", columns=["file", "pattern"])
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        raise FpmlError(f"{folder}/truth is not whole: {str(error).splitlines()[0]}; make the prints again") from None
    return dict(table.itertuples(index=False))


def read_file(relative: PurePosixPath, folder: Path, dataset: Dataset, max_pixels: int) -> list[dict[str, Any]]:
    """The rows of one file, without what only the whole set knows: one, or one for each picture of an idx file."""
    if dataset.reader != "idx":
        return [read_one(relative, folder, dataset, max_pixels)]
    found = idx.rows(relative, folder)
    if isinstance(found, str):
        return [{"file": relative.as_posix(), "status": manifest.IGNORED, "reason": found}]
    for row, grey in zip(found, idx.pictures(folder / relative), strict=True):
        row |= {"file": relative.as_posix(), "height": grey.shape[0], "width": grey.shape[1], "sha256": pixel_hash(grey)}
        row["status"] = manifest.OK
        try:
            check_print(grey)
        except BadPicture as error:
            row |= {"status": manifest.QUARANTINED, "reason": str(error)}
    return found


def read_one(relative: PurePosixPath, folder: Path, dataset: Dataset, max_pixels: int) -> dict[str, Any]:
    """The row of a picture's file."""
    row: dict[str, Any] = {"file": relative.as_posix()}
    if relative.suffix.lower() not in PICTURES:
        return {**row, "status": manifest.IGNORED, "reason": f"no picture type ({relative.suffix or 'no extension'})"}
    try:
        row |= _named(describe(dataset.reader, relative, dataset.pattern))
        grey = read_grey(folder / relative, max_pixels)
        row |= {"height": grey.shape[0], "width": grey.shape[1], "sha256": pixel_hash(grey)}
        check_print(reader_named(dataset.reader).crop(grey))
    except BadPicture as error:
        return {**row, "status": manifest.QUARANTINED, "reason": str(error)}
    return {**row, "status": manifest.OK}


def _named(columns: dict[str, object]) -> dict[str, object]:
    """What a reader read from a name, checked. Sensors name metrics, so their letters are MLflow's."""
    if not SENSOR.fullmatch(sensor := str(columns.get("sensor", "x"))):
        raise BadPicture(f"sensor name '{sensor}' has other characters than letters, digits, space and . _ -")
    for key in ("impression", "session"):
        if not 0 <= int(str(columns.get(key, 0))) < 2**31:
            raise BadPicture(f"{key} {columns[key]} is not a number below {2**31}")
    return columns


def ingest(name: str, dataset: Dataset, settings: Ingest, root: Path, workers: Workers = 0) -> pd.DataFrame:
    """The manifest of one dataset. FpmlError for a folder that is not there or empty, a dpi that is not
    given, or more quarantined files than the settings allow."""
    folder = root / dataset.path
    files = find_files(folder)
    work = partial(read_file, folder=folder, dataset=dataset, max_pixels=settings.max_pixels)
    found = (row for of_file in each_in_parallel(work, files, workers, f"ingest {name}", "files") for row in of_file)
    truth = f"{dataset.path}/truth" if has_truth(folder) else None
    frame = assemble(name, dataset, found, truth)
    if truth:  # an altered copy is of its source's class
        own = (frame["source_id"].fillna(frame["image_id"])).str.removeprefix(f"{name}/")
        frame["pattern"] = own.map(_patterns(folder)).astype("string").fillna(frame["pattern"])
    if conflict := reader_named(dataset.reader).conflict(_usable(frame)):
        raise FpmlError(f"{name}: {conflict}")
    _check_quarantine(frame, name, folder, dataset.reader, settings.max_quarantined)
    return frame


def assemble(name: str, dataset: Dataset, found: Iterable[dict[str, Any]], truth: str | None) -> pd.DataFrame:
    """The manifest of rows as read_file gives them. Some at a time become a table, of a fortieth of their size in memory."""
    parts: list[pd.DataFrame] = []
    stems: dict[str, str] = {}  # of a real print's file: its image
    sources: dict[str, str] = {}  # of an altered print's image: the stem of the file that it was made from
    rows = iter(found)
    while part := list(islice(rows, PART)):
        for row in part:
            _complete(row, name, dataset, truth)
            if row.get("sensor") == "real":
                stems[Path(row["file"]).stem] = row["image_id"]
            if source := row.pop("source_stem", None):
                sources[row["image_id"]] = source
        parts.append(manifest.table(part))
    frame = pd.concat(parts).sort_values("image_id", kind="stable").reset_index(drop=True)
    if sources:
        frame["source_id"] = frame["image_id"].map(sources).map(stems).astype("string")
    return frame


def _complete(row: dict[str, Any], name: str, dataset: Dataset, truth: str | None) -> None:
    """What a row owes to its dataset."""
    relative = row["file"]
    place = f"#{row['index']}" if "index" in row else ""
    row |= {"image_id": f"{name}/{relative}{place}", "dataset": name, "file": f"{dataset.path}/{relative}", "truth": truth}
    if row["status"] == manifest.IGNORED:
        return
    if "finger" in row:
        row.setdefault("sensor", name)
        row["finger_id"] = f"{name}/{reader_named(dataset.reader).identity(row)}"
    if row["status"] == manifest.OK:
        row["dpi"] = _dpi(name, dataset, row["sensor"])


def _usable(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The usable rows as dictionaries of what they have, a few in memory at a time."""
    usable = frame[frame["status"] == manifest.OK]
    for start in range(0, len(usable), PART):
        for row in usable.iloc[start : start + PART].to_dict("records"):
            yield {str(k): v for k, v in row.items() if pd.notna(v)}


def _dpi(name: str, dataset: Dataset, sensor: str) -> float:
    if not isinstance(dataset.dpi, dict):
        return dataset.dpi
    if sensor not in dataset.dpi:
        raise FpmlError(f"datasets.{name}.dpi has no sensor '{sensor}'; it has: {', '.join(dataset.dpi)}; add it")
    return dataset.dpi[sensor]


def _check_quarantine(frame: pd.DataFrame, name: str, folder: Path, reader: str, limit: float) -> None:
    bad = frame[frame["status"] == manifest.QUARANTINED]
    pictures = int((frame["status"] != manifest.IGNORED).sum())
    if pictures == 0:
        raise FpmlError(f"{name}: none of the {len(frame)} files in {folder} is {takes(reader)}")
    if len(bad) > limit * pictures or len(bad) == pictures:
        example = bad.iloc[0]
        raise FpmlError(
            f"{name}: {len(bad)} of {pictures} pictures can't be used, ingest.max_quarantined allows {limit:.0%}; "
            f"the first: {example['file']}: {example['reason']}"
        )


def summary(frame: pd.DataFrame) -> str:
    ok = frame[frame["status"] == manifest.OK]
    return (
        f"{len(ok)} prints of {ok['finger_id'].nunique()} fingers on {ok['sensor'].nunique()} sensor(s); "
        f"{len(ok) - ok['sha256'].nunique()} pixel-identical copies, "
        f"{_counted(frame, manifest.QUARANTINED, 'quarantined')}, {_counted(frame, manifest.IGNORED, 'other files ignored')}"
    )


def _counted(frame: pd.DataFrame, status: str, what: str) -> str:
    """How many files have a status, and how many of them each ending."""
    files = frame.loc[frame["status"] == status, "file"]
    endings = Counter(PurePosixPath(file).suffix.lower() or "without an ending" for file in files)
    return f"{len(files)} {what}" + (f" ({', '.join(f'{n} {e}' for e, n in endings.most_common())})" if endings else "")
