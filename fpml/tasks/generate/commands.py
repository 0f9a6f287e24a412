"""fpml generate: new prints from a trained generator."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import OF_MODEL, Arguments, Command

if TYPE_CHECKING:
    import numpy as np

BATCH = 64  # prints made at a time
SHEET = 64  # made prints on a sheet


def generate(a: Arguments) -> None:
    """Write prints as OUT/00001.png …, sheet.png of the first of them, and latent.parquet with the numbers that each was
    made from. FpmlError for a class that the model does not have."""
    import numpy as np
    import pandas as pd
    from PIL import Image

    from fpml.base.files import new_folder
    from fpml.base.progress import progress

    model = fpml.load(a.model).need("pictures")
    if not (1 <= a.n <= 1_000_000 and 0 <= a.seed < 2**63):
        raise FpmlError(f"-n {a.n} --seed {a.seed}: from 1 to 1,000,000 prints, and a seed from 0")
    if a.out.exists() and (not a.out.is_dir() or any(a.out.iterdir())):
        raise FpmlError(f"--out is {a.out}, which is there and not an empty folder; name a new one")
    latent, numbers = model.latent(a.n, a.seed), model.classes_of(a.n, a.pattern)
    classes: list[str] = []
    with new_folder(a.out) as folder:
        first: list[np.ndarray] = []
        for start in progress(range(0, a.n, BATCH), "generate", -(-a.n // BATCH), "batches"):
            made = model.made(latent[start : start + BATCH], numbers[start : start + BATCH])
            for place, picture in enumerate(made.pictures):
                Image.fromarray(picture).save(folder / f"{start + place + 1:05d}.png")
            grey = made.pictures if made.pictures.ndim == 3 else made.pictures[..., 0]
            first += list(grey[: SHEET - len(first)])
            classes += made.classes
        Image.fromarray(sheet(np.stack(first))).save(folder / "sheet.png")
        table = pd.DataFrame(latent, columns=[f"z_{n}" for n in range(latent.shape[1])])
        table.insert(0, "picture", [f"{n + 1:05d}.png" for n in range(a.n)])
        table.insert(1, "class", classes)
        table.to_parquet(folder / "latent.parquet", index=False)
    print(f"{a.n} made prints in {a.out}; {a.out}/sheet.png shows the first of them")


def sheet(pictures: "np.ndarray") -> "np.ndarray":
    """Pictures (N, H, W) uint8 in rows of eight."""
    import numpy as np

    rows = -(-len(pictures) // 8)
    height, width = pictures.shape[1:]
    out = np.full((rows * height, min(8, len(pictures)) * width), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // 8 * height, number % 8 * width
        out[top : top + height, left : left + width] = picture
    return out


def arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("-n", type=int, default=64, metavar="N", help="number of prints (default 64)")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    p.add_argument("--class", dest="pattern", metavar="CLASS", help="class of all prints, if the model has classes")
    p.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the noise (default 1)")
    p.add_argument("--model", default="generate", help=OF_MODEL)


COMMANDS: dict[str, Command] = {
    "generate": ("generate new prints with a trained generator", generate, arguments),
}
