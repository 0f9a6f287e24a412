"""One reader a dataset layout, one file a reader, found by its name. What a file offers, the Protocol below says.

Importing this imports no reader: every command names them."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast

from fpml.base.errors import FpmlError
from fpml.data.walk import normal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHARED = ("nearest",)  # files that are no reader


class Reader(Protocol):
    def describe(self, relative: PurePosixPath, pattern: str) -> dict[str, object]:
        """The manifest's columns that a path tells. BadPicture where the name does not match the dataset's naming."""

    def identity(self, columns: dict[str, object]) -> str:
        """What names the finger within the dataset."""

    def crop(self, grey: "np.ndarray") -> "np.ndarray":
        """The print without the frame that the dataset put round it."""

    def default_dpi(self, path: str, sensors: list[str], name: str = "") -> dict[str, float]:
        """The dpi of each sensor of a folder that becomes the dataset `name`, where none is given; empty if not known. The
        nearest name tells: of a folder below, else the folder's own or the dataset's; never one of the folders above."""

    def conflict(self, rows: Iterable[dict[str, Any]]) -> str:
        """What is wrong with the whole; '' where nothing is."""


@cache
def names() -> tuple[str, ...]:
    """The readers that there are: the files beside this one."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", *SHARED)))


def reader_named(name: str) -> Reader:
    """FpmlError for one that there is not."""
    if name not in names():
        raise FpmlError(f"no reader '{name}'; there are: {', '.join(names())}")
    return cast(Reader, import_module(f"fpml.data.readers.{name}"))


def describe(name: str, relative: PurePosixPath, pattern: str) -> dict[str, Any]:
    """What a reader tells by a path. Its name is taken in one Unicode form, or one finger would be two; BadPicture."""
    return reader_named(name).describe(PurePosixPath(normal(str(relative))), pattern)


def takes(name: str) -> str:
    """What a reader takes, in words."""
    from fpml.data.pictures import EXTENSIONS

    said: str = getattr(reader_named(name), "TAKES", f"a picture ({', '.join(sorted(EXTENSIONS))})")
    return said


def read_print(row: "Mapping[str, Any] | pd.Series[Any]", name: str, root: Path, max_pixels: int) -> "np.ndarray":
    """The grey picture (H, W) of a manifest's row, with the frame that its dataset put round it."""
    path = root / row["file"]
    if name == "idx":
        from fpml.data.readers import idx

        picture: np.ndarray = idx.pictures(path)[int(row["index"])]
        return picture
    from fpml.data.pictures import read_grey

    return read_grey(path, max_pixels)
