"""One reader a dataset layout. A reader has these functions:

describe(relative, pattern) -> dict     the manifest's columns that the path tells; raises BadPicture
                                        where the name does not match the dataset's naming
identity(columns) -> str                what names the finger within the dataset
crop(grey) -> array                     the print without the frame that the dataset put round it
default_dpi(path, sensors, name) -> dict  the dpi of each sensor of a folder that becomes the dataset `name`, where none is
                                        given; empty if not known. The nearest name tells: of a folder below, else the
                                        folder's own or the dataset's; never one of the folders above
conflict(rows) -> str                   what is wrong with the whole; '' where nothing is
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from fpml.data.pictures import EXTENSIONS, read_grey
from fpml.data.sources import folder, fvc, idx, polyu, socofing, synth
from fpml.data.walk import normal

READERS: dict[str, ModuleType] = {
    "fvc": fvc,
    "socofing": socofing,
    "polyu": polyu,
    "folder": folder,
    "synth": synth,
    "idx": idx,
}


def describe(reader: str, relative: PurePosixPath, pattern: str) -> dict[str, Any]:
    """What a reader tells by a path. Its name is taken in one Unicode form, or one finger would be two; BadPicture."""
    columns: dict[str, Any] = READERS[reader].describe(PurePosixPath(normal(str(relative))), pattern)
    return columns


def takes(reader: str) -> str:
    """What a reader takes, in words."""
    return idx.TAKES if reader == "idx" else f"a picture ({', '.join(sorted(EXTENSIONS))})"


def read_print(row: "Mapping[str, Any] | pd.Series[Any]", reader: str, root: Path, max_pixels: int) -> np.ndarray:
    """The grey picture (H, W) of a manifest's row, with the frame that its dataset put round it."""
    path = root / row["file"]
    return idx.pictures(path)[int(row["index"])] if reader == "idx" else read_grey(path, max_pixels)
