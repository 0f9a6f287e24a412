"""What `fpml synth --out` makes: SENSOR/FINGER_IMPRESSION.png. A finger is one finger on all sensors."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from fpml.data.pictures import BadPicture


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    name = re.fullmatch(r"([^/]+)/(\d+)_(\d+)\.png", relative.as_posix())
    if name is None:
        raise BadPicture(f"'{relative}' is not SENSOR/FINGER_IMPRESSION.png as fpml synth writes it")
    return {"sensor": name[1], "finger": str(int(name[2])), "impression": int(name[3])}


def identity(columns: dict[str, object]) -> str:
    return str(columns["finger"])


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    table = Path(path) / "truth" / "sensors.parquet"
    if not table.is_file():
        return {}
    return {str(name): float(dpi) for name, dpi in pd.read_parquet(table)[["name", "dpi"]].itertuples(index=False)}
