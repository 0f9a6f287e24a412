"""PolyU HRF and sets laid out like it: <finger>_<session>_<impression>.jpg, any picture type, any size and colour."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fpml.data.pictures import BadPicture
from fpml.data.readers import nearest

NAME = re.compile(r"(polyu)", re.IGNORECASE)
DPI = 1200.0  # of the high-resolution sensor that the set is named for


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    name = re.fullmatch(r"(\d+)_(\d+)_(\d+)", relative.stem)
    if name is None:
        raise BadPicture(f"name '{relative.name}' is not FINGER_SESSION_IMPRESSION as in 12_1_5.jpg")
    finger, session, impression = (int(n) for n in name.groups())
    return {"finger": str(finger), "session": session, "impression": impression}


def identity(columns: dict[str, object]) -> str:
    return str(columns["finger"])


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    """Two folders of one naming would make one finger of two people; so would one name twice."""
    seen: dict[tuple[str, int, int], str] = {}
    for row in rows:
        key = (row["finger"], row["session"], row["impression"])
        if key in seen:
            return f"{seen[key]} and {row['file']} have the same finger, session and impression; add each folder by itself"
        seen[key] = row["file"]
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    return {} if "" in nearest.told(Path(path), name, NAME) else dict.fromkeys(sensors, DPI)
