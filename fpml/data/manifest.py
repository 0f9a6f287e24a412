"""The dataset contract: one row per file, in Parquet. Every reader fills it, every later stage reads it."""

from pathlib import Path

import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.files import new_file

TEXT, NUMBER = "string", "Int32"
COLUMNS = {
    "image_id": TEXT,  # dataset/relative path: unique over all datasets
    "dataset": TEXT,
    "sensor": TEXT,
    "finger_id": TEXT,  # the identity: dataset/finger, with the sensor where its sensors hold other people
    "subject": TEXT,
    "sex": TEXT,
    "hand": TEXT,
    "finger": TEXT,
    "impression": NUMBER,
    "session": NUMBER,
    "pattern": TEXT,  # arch, tented-arch, left-loop, right-loop, whorl
    "category": TEXT,
    "alteration": TEXT,  # CR, Obl, Zcut
    "level": TEXT,  # Easy, Medium, Hard
    "source_id": TEXT,  # image_id of the capture that an altered copy was made from
    "dpi": "Float32",
    "width": NUMBER,
    "height": NUMBER,
    "sha256": TEXT,  # of the decoded grey pixels and their shape: pixel-identical pictures share it
    "file": TEXT,  # path from the project's root, or absolute
    "index": NUMBER,  # position inside an idx file
    "truth": TEXT,  # folder of ground truth; only generated prints have one
    "status": TEXT,  # ok, quarantined or ignored
    "reason": TEXT,
}
OK, QUARANTINED, IGNORED = "ok", "quarantined", "ignored"


def table(rows: list[dict]) -> pd.DataFrame:  # type: ignore[type-arg]
    """Rows as a manifest: all columns, their types, in a fixed order. FpmlError for an unknown column."""
    if unknown := {key for row in rows for key in row} - set(COLUMNS):
        raise FpmlError(f"manifest rows have unknown columns: {', '.join(sorted(unknown))}")
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values("image_id", kind="stable").reset_index(drop=True)


def write(frame: pd.DataFrame, path: Path) -> None:
    with new_file(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run: fpml ingest {path.stem}") from None
    except (OSError, ValueError) as error:
        raise FpmlError(f"{path} is not a manifest: {error}; remove it and run: fpml ingest {path.stem}") from None
    return frame.astype(COLUMNS)


def is_synthetic(frame: pd.DataFrame) -> pd.Series:
    """Which prints came from the generator, by the one mark that only its folders have."""
    return frame["truth"].notna()
