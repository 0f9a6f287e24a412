"""fpml encode: the codes of one's own pictures."""

import argparse
from pathlib import Path

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import Arguments, Command, add_inputs, usable


def encode(a: Arguments) -> None:
    """Write a Parquet file with a row for each picture: its path and the numbers of its code, code_0, code_1 …"""
    import pandas as pd

    from fpml.base.files import new_file

    model = fpml.load(a.model).need("code")
    if a.out.suffix != ".parquet" or a.out.is_dir():
        raise FpmlError(f"--out is {a.out}; give a file NAME.parquet")
    frames = []
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "encode"):
        (codes,) = model.run(["code"], prints=part.prints)
        frame = pd.DataFrame(codes, columns=[f"code_{n}" for n in range(codes.shape[1])])
        frame.insert(0, "picture", [str(p) for p in part.pictures])
        frames.append(frame)
    with new_file(a.out) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    print(f"the codes are in {a.out}")


def arguments(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "compress", 500)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="NAME.parquet")


COMMANDS: dict[str, Command] = {
    "encode": ("write the codes of your own pictures to a table", encode, arguments),
}
