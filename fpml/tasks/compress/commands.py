"""fpml encode: the codes of one's own pictures, or their embeddings."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import Arguments, Command, add_inputs, dpi_or_auto, say_how_many, usable

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Model

GIVEN = {"code": "code", "embedding": "embedding", "texture": "embedding"}  # what is written, by a model's output


def encode(a: Arguments) -> None:
    """Write a Parquet file with a row for each picture: its path, the model's name, and the numbers of its code, code_0, code_1
    …; of a model that tells fingers apart those of its embedding, embedding_0 …"""
    import numpy as np
    import pandas as pd

    from fpml.base.files import new_file

    model = fpml.load(a.model)
    output = next((o for o in GIVEN if o in model.outputs), None)
    if output is None:
        raise FpmlError(f"{model.name} gives neither a code nor an embedding; take minutiae-1, or a run that does")
    if a.out.suffix != ".parquet" or a.out.is_dir():
        raise FpmlError(f"--out is {a.out}; give a file NAME.parquet")
    if a.dpi is None and output != "texture":
        raise FpmlError(f"--dpi is auto, and {model.name} can't tell it by the ridges; give a number, or take minutiae-1")
    pictures: list[str] = []
    parts: list[np.ndarray] = []
    for some, numbers in _of_prints(a, model) if output == "texture" else _of_canvases(a, model, output):
        pictures += [str(picture) for picture in some]
        parts.append(numbers)
    found = np.concatenate(parts)
    frame = pd.DataFrame(found, columns=[f"{GIVEN[output]}_{n}" for n in range(found.shape[1])])
    frame.insert(0, "picture", pictures)
    frame.insert(1, "model", model.name)  # numbers of two models don't compare
    with new_file(a.out) as temporary:
        frame.to_parquet(temporary, index=False)
    print(f"the {GIVEN[output]}s are in {a.out}")


def _of_canvases(a: Arguments, model: "Model", output: str) -> "Iterator[tuple[list[Path], np.ndarray]]":
    """Of pictures that are placed as the model's training prints were."""
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "encode"):
        yield part.pictures, model.run([output], prints=part.prints)[0]


def _of_prints(a: Arguments, model: "Model") -> "Iterator[tuple[list[Path], np.ndarray]]":
    """Of pictures at their own sizes, as a network that finds minutiae takes them."""
    from fpml.base.progress import progress
    from fpml.data.pictures import BadPicture
    from fpml.inference.place import find_pictures

    pictures, good = find_pictures(a.inputs), 0
    for picture in progress(pictures, "encode", len(pictures), "prints"):
        try:
            yield [picture], model.embed(fpml.read(picture, a.reader), a.dpi)
            good += 1
        except BadPicture as why:
            print(f"{picture}: left out: {why}")
    say_how_many(good, len(pictures))


def arguments(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "compress", 500, dpi_or_auto)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="NAME.parquet")


COMMANDS: dict[str, Command] = {
    "encode": ("write the codes or embeddings of your own pictures to a table", encode, arguments),
}
