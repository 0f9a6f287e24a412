"""SOCOFing: Real/<subject>__<sex>_<hand>_<finger>_finger.BMP and Altered/Altered-<level>/…_<alteration>.BMP, which is CR, Obl
or Zcut in SOCOFing itself."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from fpml.data.pictures import BadPicture

NAME = re.compile(
    r"(?P<subject>\d+)__(?P<sex>[MF])_(?P<hand>Left|Right)_(?P<finger>thumb|index|middle|ring|little)_finger"
    r"(?:_(?P<alteration>[A-Za-z]+))?"
)
LEVELS = ("Easy", "Medium", "Hard")


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    name = NAME.fullmatch(relative.stem)
    if name is None:
        raise BadPicture(f"name '{relative.name}' is not as in 1__M_Left_index_finger.BMP or …_finger_CR.BMP")
    columns: dict[str, object] = {k: v for k, v in name.groupdict().items() if v is not None}
    level = next((lv for lv in LEVELS if relative.parent.name == f"Altered-{lv}"), None)
    if (level is None) != (name["alteration"] is None):
        raise BadPicture(f"'{relative}': altered prints belong in Altered-Easy, -Medium or -Hard, real ones do not")
    if level:
        columns["level"] = level
        columns["source_stem"] = relative.stem.rsplit("_", 1)[0]  # ingest turns it into the source's image_id
    return {**columns, "sensor": "altered" if level else "real", "impression": 1}


def identity(columns: dict[str, object]) -> str:
    return f"{columns['subject']}_{columns['hand']}_{columns['finger']}"


def crop(grey: np.ndarray) -> np.ndarray:
    """Without the grey frame above and left and the strip below and right; (103, 96) gives (97, 90)."""
    return grey[2:-4, 2:-4] if grey.shape[0] <= 110 else grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    return {}
