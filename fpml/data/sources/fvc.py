"""FVC2000, 2002 and 2004: DB1_A … DB4_B, <finger>_<impression>, any picture type.

A finger's number is only unique inside its database: the four databases hold different people.
Set A and set B of one database share the sensor and have different numbers.
"""

import re
from pathlib import PurePosixPath

import numpy as np

from fpml.data.pictures import BadPicture

# The collections' sensors that are not at 500 dpi (Maio et al. 2002; 2004). TIFF tags there say 1.
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


def default_dpi(path: str, sensors: list[str]) -> dict[str, float]:
    year = re.search(r"fvc[-_ ]?(2000|2002|2004)", path, re.IGNORECASE)
    return {s: DPI.get((year[1], s.upper()), 500) for s in sensors} if year else {}
