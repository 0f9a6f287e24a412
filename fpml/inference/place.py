"""Pictures as a model sees them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpml.base.errors import FpmlError
from fpml.base.progress import progress
from fpml.data.pictures import EXTENSIONS, PICTURES, BadPicture, check_print, read_grey
from fpml.data.placing import place_print
from fpml.data.readers import reader_named
from fpml.data.walk import check_name, find_files
from fpml.settings.recipe import Data

BATCH = 16
MAX_PIXELS = 25_000_000  # of one picture; a larger one is not decoded
DPI = (50, 5000)  # what a picture may have


@dataclass(frozen=True)
class Placement:
    """One picture on a model's canvas."""

    canvas: np.ndarray  # (height, width) uint8, round the picture its own plate's grey
    mask: np.ndarray  # (height, width) uint8, 1 inside the print
    box: tuple[int, ...]  # top, bottom, left, right of what the picture covers of the canvas


@dataclass(frozen=True)
class Placed:
    """Some of the pictures of a walk."""

    pictures: list[Path]
    placements: list[Placement]
    left_out: list[tuple[Path, str]]  # those that can't be used, and why

    @property
    def prints(self) -> np.ndarray:
        """uint8 (n, 1, height, width)."""
        return np.stack([p.canvas for p in self.placements])[:, None]

    @property
    def masks(self) -> np.ndarray:
        """uint8 (n, height, width)."""
        return np.stack([p.mask for p in self.placements])


def place(grey: np.ndarray, dpi: float, data: Data) -> Placement:
    """A picture (H, W) uint8 as the model saw its training prints.

    BadPicture for one without anything on it, and for one that is larger than the canvas of a model that takes whole
    pictures; FpmlError for a dpi that no print has."""
    check_dpi(dpi)
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise BadPicture(f"an array of shape {grey.shape} and type {grey.dtype}; allowed: (height, width) of uint8")
    check_print(grey)
    size = [round(side * data.dpi / dpi) for side in grey.shape]
    if data.crop == "none" and (size[0] > data.height or size[1] > data.width):
        raise BadPicture(
            f"{size[1]} x {size[0]} pixels at the model's {data.dpi:g} dpi, its canvas has {data.width} x {data.height}; is "
            "the dpi the picture's, and the reader its layout's?"
        )
    canvas, mask, box, plate = place_print(grey, dpi, data)
    top, bottom, left, right = box
    outside = np.ones(canvas.shape, bool)
    outside[top:bottom, left:right] = False
    canvas = canvas.copy()
    canvas[outside] = 255 if plate is None else plate
    return Placement(canvas, mask, box)


def check_dpi(dpi: float) -> None:
    """FpmlError for a resolution that no print has."""
    if not DPI[0] <= dpi <= DPI[1]:
        raise FpmlError(f"dpi is {dpi}; allowed: {DPI[0]} to {DPI[1]}")


def find_pictures(inputs: list[Path], templates: tuple[str, ...] = ()) -> list[Path]:
    """The files that were given, and the pictures below folders that were given. templates: file endings, best first, of which
    a folder without pictures may have some instead, of each name one. FpmlError for what is missing or has none."""
    out: list[Path] = []
    for path in inputs:
        check_name(path)
        if path.is_dir():
            files = [path / f for f in find_files(path, may_be_empty=True)]
            inside = [file for file in files if file.suffix.lower() in PICTURES]
            if not inside:
                best = sorted(
                    (f for f in files if f.suffix.lower() in templates), key=lambda f: templates.index(f.suffix.lower())
                )
                inside = sorted({file.with_suffix(""): file for file in reversed(best)}.values())
            if not inside:
                or_templates = f" and no templates ({', '.join(templates)})" if templates else ""
                raise FpmlError(f"{path} has no pictures ({', '.join(sorted(EXTENSIONS))}){or_templates}")
            out += inside
        elif path.is_file():
            out.append(path)
        else:
            raise FpmlError(f"{path} is not there; give a picture or a folder of pictures")
    return out


def placed(pictures: list[Path], dpi: float, reader: str, data: Data, what: str) -> Iterator[Placed]:
    """Picture files on a model's canvas, BATCH at a time. what: for the progress bar."""
    crop = reader_named(reader).crop
    for start in progress(range(0, len(pictures), BATCH), what, -(-len(pictures) // BATCH), "batches"):
        part = Placed([], [], [])
        for picture in pictures[start : start + BATCH]:
            try:
                placement = place(crop(read_grey(picture, MAX_PIXELS)), dpi, data)
            except BadPicture as error:
                part.left_out.append((picture, str(error)))
                continue
            part.pictures.append(picture)
            part.placements.append(placement)
        yield part
