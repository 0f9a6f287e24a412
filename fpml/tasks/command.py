"""What the commands of tasks share: the pictures they take, and where their outputs go."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fpml.base.errors import FpmlError
from fpml.data import readers

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.place import Placed
    from fpml.settings.recipe import Data

Arguments = argparse.Namespace
Command = tuple[str, Callable[[Arguments], None], Callable[[argparse.ArgumentParser], None]]  # what it does, itself, arguments
OF_MODEL = "a run's name, a folder with model.onnx, a file of `fpml export`, models:/NAME@ALIAS, or one that comes with fpml"


def dpi_or_auto(said: str) -> float | None:
    """A resolution; None for auto."""
    try:
        return None if said == "auto" else float(said)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{said}' is neither a number nor auto") from None


def add_inputs(p: argparse.ArgumentParser, model: str, dpi: int, read_dpi: Callable[[str], float | None] = float) -> None:
    p.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="pictures, or folders of pictures")
    auto = "; auto: told by their ridges, where the model finds minutiae" if read_dpi is dpi_or_auto else ""
    p.add_argument("--model", default=model, help=f"{OF_MODEL} (default {model})")
    p.add_argument("--dpi", type=read_dpi, default=dpi, metavar="DPI", help=f"of the pictures{auto} (default {dpi})")
    add_reader(p)


def add_dpi(p: argparse.ArgumentParser, each: bool) -> None:
    """--dpi of minutiae's commands, a list. each: one for each of two prints may be given."""
    said = "of the pictures; auto: told by their ridges" + ("; one for both, or one each" if each else "")
    p.add_argument(
        "--dpi", type=dpi_or_auto, nargs="+" if each else 1, default=[500.0], metavar="DPI", help=f"{said} (default 500)"
    )


def add_reader(p: argparse.ArgumentParser) -> None:
    said = "the layout whose frame is cut off (socofing has one)"
    p.add_argument("--reader", default="folder", choices=readers.names(), help=said)


def usable(inputs: list[Path], dpi: float, reader: str, data: "Data", what: str) -> "Iterator[Placed]":
    """The pictures of files and folders, some at a time. One that can't be used is named and left out; FpmlError if
    none can."""
    from fpml.inference.place import find_pictures, placed

    pictures = find_pictures(inputs)
    good = 0
    for part in placed(pictures, dpi, reader, data, what):
        for picture, why in part.left_out:
            print(f"{picture}: left out: {why}")
        good += len(part.pictures)
        if part.pictures:
            yield part
    say_how_many(good, len(pictures))


def say_how_many(good: int, of: int) -> None:
    if not good:
        raise FpmlError(f"none of the {of} pictures can be used; the reasons are above")
    left = f", {of - good} left out" if good < of else ""
    print(f"{good} of {of} pictures{left}")


def save(pixels: "np.ndarray", path: Path) -> None:
    from PIL import Image

    from fpml.base.files import new_file

    with new_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="png")


def namer(inputs: list[Path], out: Path) -> Callable[[Path, str], Path]:
    """Where a picture's outputs go: OUT/NAME-WHAT.png, with its folders where two would be called the same."""
    from fpml.inference.place import find_pictures

    if out.exists() and not out.is_dir():
        raise FpmlError(f"--out is {out}, a file; give a folder, which is made if it is not there")
    pictures = find_pictures(inputs)
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for picture in pictures:
        whole = "-".join(p for p in picture.parts if p not in ("/", "..", "."))
        tries = (picture.stem, picture.name, whole, *(f"{whole}-{n}" for n in range(2, len(pictures) + 2)))
        names[picture] = next(name for name in tries if name not in taken)
        taken.add(names[picture])
    return lambda picture, what: out / f"{names[picture]}-{what}.png"
