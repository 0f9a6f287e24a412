"""fpml encode: the codes of one's own pictures, or their embeddings."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import Arguments, Command, add_inputs, say_how_many, usable

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Model


def encode(a: Arguments) -> None:
    """Write a Parquet file with a row for each picture: its path and the numbers of its code, code_0, code_1 …; of a model that
    tells fingers apart those of its embedding, embedding_0 …"""
    import pandas as pd

    from fpml.base.files import new_file

    model = fpml.load(a.model)
    what = "embedding" if {"embedding", "texture"} & set(model.outputs) else "code"
    if a.out.suffix != ".parquet" or a.out.is_dir():
        raise FpmlError(f"--out is {a.out}; give a file NAME.parquet")
    frames = []
    for pictures, numbers in _embeddings(a, model) if what == "embedding" else _codes(a, model.need("code")):
        frame = pd.DataFrame(numbers, columns=[f"{what}_{n}" for n in range(numbers.shape[1])])
        frame.insert(0, "picture", [str(p) for p in pictures])
        frames.append(frame)
    with new_file(a.out) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    print(f"the {what}s are in {a.out}")


def _codes(a: Arguments, model: "Model") -> "Iterator[tuple[list[Path], np.ndarray]]":
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "encode"):
        yield part.pictures, model.run(["code"], prints=part.prints)[0]


def _embeddings(a: Arguments, model: "Model") -> "Iterator[tuple[list[Path], np.ndarray]]":
    """Of each picture at its own size: a network that finds minutiae takes any."""
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
    add_inputs(p, "compress", 500)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="NAME.parquet")


COMMANDS: dict[str, Command] = {
    "encode": ("write the codes or embeddings of your own pictures to a table", encode, arguments),
}
