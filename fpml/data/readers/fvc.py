"""FVC2000, 2002 and 2004: DB1_A … DB4_B, <finger>_<impression>, any picture type.

A finger's number is only unique inside its database: the four databases hold different people.
Set A and set B of one database share the sensor and have different numbers.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture
from fpml.data.readers import nearest

# The collections' sensors that are not at 500 dpi (Maio et al. 2002; 2004). TIFF tags there say 1.
YEAR = re.compile(r"fvc[-_ ]?(2000|2002|2004)", re.IGNORECASE)
DPI = {("2002", "DB2"): 569, ("2004", "DB3"): 512}


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    name = re.fullmatch(r"(\d+)_(\d+)", relative.stem)
    if name is None:
        raise BadPicture(f"name '{relative.name}' is not FINGER_IMPRESSION as in 101_1.tif")
    folder = relative.parent.name or "."
    sensor = re.sub(r"_[AaBb]$", "", folder) if folder != "." else "DB"
    return {"sensor": sensor, "finger": str(int(name[1])), "impression": int(name[2])}


def identity(columns: dict[str, object]) -> str:
    return f"{columns['sensor']}/{columns['finger']}"


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    """Two collections in one folder would make one finger of two people; so would one name twice."""
    places: dict[str, set[str]] = {}
    seen: dict[tuple[str, str, int], str] = {}
    for row in rows:
        path = PurePosixPath(row["file"]).parent
        places.setdefault(row["sensor"].upper(), set()).add(str(path.parent))
        key = (row["sensor"].upper(), row["finger"], row["impression"])
        if key in seen:
            return f"{seen[key]} and {row['file']} have the same sensor, finger and impression; keep one"
        seen[key] = row["file"]
    for sensor, parents in places.items():
        if len(parents) > 1:
            return f"sensor {sensor} stands in {' and in '.join(sorted(parents))}; add each collection as a dataset of its own"
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    """FpmlError where the names tell of several collections."""
    years = nearest.told(Path(path), name, YEAR)
    if len(years) > 1:
        which = " and ".join(f"FVC{year}" if year else "none" for year in sorted(years))
        raise FpmlError(f"{path}: its names tell of {which}; add each collection as a dataset of its own, or give --dpi N")
    (year,) = years
    return {s: DPI.get((year, s.upper()), 500) for s in sensors} if year else {}
