"""fpml generate: new prints from a trained generator."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import OF_MODEL, Arguments, Command

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Generated, Model
    from fpml.inference.passport import Rule

BATCH = 16  # prints made at a time
SHEET = 64  # made prints on a sheet


def generate(a: Arguments) -> None:
    """Write prints as OUT/00001.png …, sheet.png of the first of them, latent.parquet with the numbers that each was made from,
    and passports.parquet where passports are asked for. FpmlError for a class that the model does not have."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from fpml.base.files import new_folder
    from fpml.base.progress import progress
    from fpml.inference.passport import TRAINED, rule, said

    rules = tuple(rule(text, TRAINED) for text in a.accept)
    model = fpml.load(a.model).generator()
    if not (1 <= a.n <= 1_000_000 and 0 <= a.seed < 2**63):
        raise FpmlError(f"-n {a.n} --seed {a.seed}: from 1 to 1,000,000 prints, and a seed from 0")
    if a.out.exists() and (not a.out.is_dir() or any(a.out.iterdir())):
        raise FpmlError(f"--out is {a.out}, which is there and not an empty folder; name a new one")
    noise, numbers = np.random.default_rng(a.seed), model.classes_of(a.n, a.pattern)
    examine = examiner(model, a.model, rules) if a.passports or rules else None
    passports: list[dict[str, Any]] = []
    columns = pa.schema([("picture", pa.string()), ("class", pa.string()), ("latent", pa.list_(pa.float32()))])
    with new_folder(a.out) as folder:
        first: list[np.ndarray] = []
        with pq.ParquetWriter(folder / "latent.parquet", columns) as table:
            for start in progress(range(0, a.n, BATCH), "generate", -(-a.n // BATCH), "batches"):
                here = numbers[start : start + BATCH]
                made = model.made(model.latent(len(here), noise), here)
                if examine is not None:
                    passports += accepted(model, made, here, [a.seed, start], examine)
                files = [f"{start + place + 1:05d}.png" for place in range(len(here))]
                for file, picture in zip(files, made.pictures, strict=True):
                    Image.fromarray(picture).save(folder / file)
                table.write_table(pa.table([files, made.classes, list(made.latent)], columns))
                first += list(grey(made.pictures)[: SHEET - len(first)])
        Image.fromarray(sheet(np.stack(first))).save(folder / "sheet.png")
        if passports:
            of = pd.DataFrame(passports)
            of.insert(0, "picture", [f"{n + 1:05d}.png" for n in range(a.n)])
            of.to_parquet(folder / "passports.parquet", index=False)
            print(said(of))
    print(f"{a.n} made prints in {a.out}; {a.out}/sheet.png shows the first of them")


Examine = Callable[["np.ndarray"], list[dict[str, Any]]]  # passports of pictures (N, H, W) uint8


def examiner(model: "Model", name: str, rules: "tuple[Rule, ...]") -> Examine:
    """What gives a model's prints their passports. FpmlError for a rule about the nearest training print where none is here."""
    import numpy as np

    from fpml.inference.passport import of_made

    near = nearest_of(name)
    if near is None and (of := [str(rule) for rule in rules if rule.column == "nearest"]):
        raise FpmlError(
            f"--accept '{of[0]}'; the training prints of {name} are not here (they lie in data/prepared of the project that "
            "trained it, and torch looks at them)"
        )

    def examine(pictures: np.ndarray) -> list[dict[str, Any]]:
        nearest = np.full(len(pictures), np.nan) if near is None else near(pictures)
        return of_made(pictures, model.data.dpi, nearest, rules)

    return examine


def nearest_of(name: str) -> "Callable[[np.ndarray], np.ndarray] | None":
    """How near pictures (N, H, W) uint8 lie to the training prints of a run of this project, by the judge; None where those, or
    torch, are not here. name: of the run, its folder, file or registered model."""
    import numpy as np
    import pandas as pd

    from fpml.base.files import root

    run = re.split(r"[@/]", name.removeprefix("models:/"))[0] if name.startswith("models:/") else Path(name).name
    run = run.removesuffix(".fpml.zip")
    prepared, split = root() / "data" / "prepared" / run, root() / "data" / "split" / f"{run}.parquet"
    if not (prepared.is_dir() and split.is_file()):
        return None
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from fpml.data.split import TRAIN
    from fpml.data.store import open_prepared
    from fpml.metrics.judge import load_judge
    from fpml.metrics.pictures import to_float

    judge, cpu = load_judge(), torch.device("cpu")
    training = np.flatnonzero(pd.read_parquet(split)["side"].astype(str) == TRAIN)
    known = judge(to_float(open_prepared(prepared).take(training), cpu))

    def near(pictures: np.ndarray) -> np.ndarray:
        likeness: np.ndarray = judge(to_float(pictures, cpu)) @ known.T
        return np.asarray(likeness.max(1))

    return near


def accepted(
    model: "Model", made: "Generated", numbers: "np.ndarray", seed: list[int], examine: Examine
) -> list[dict[str, Any]]:
    """The passports of made prints, of which those that are not accepted are drawn anew, in place, with other numbers."""
    import numpy as np

    from fpml.inference.passport import TRIES

    rows = [{**row, "drawn": 1} for row in examine(grey(made.pictures))]
    for attempt in range(1, TRIES):
        poor = np.array([place for place, row in enumerate(rows) if not row["accepted"]], int)
        if not len(poor):
            break
        again = model.made(model.latent(len(poor), [*seed, attempt]), numbers[poor])
        made.pictures[poor], made.latent[poor] = again.pictures, again.latent
        for place, row in zip(poor, examine(grey(again.pictures)), strict=True):
            rows[place] = {**row, "drawn": attempt + 1}
    return rows


def grey(pictures: "np.ndarray") -> "np.ndarray":
    """Pictures (N, H, W), grey or as grey three times (N, H, W, 3) → (N, H, W)."""
    return pictures if pictures.ndim == 3 else pictures[..., 0]


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
    p.add_argument("--passports", action="store_true", help="keep what an extractor sees in each print, in passports.parquet")
    p.add_argument(
        "--accept", nargs="+", default=[], metavar="RULE",
        help="keep passports, and draw anew what does not meet the rules, e.g. 'minutiae>=10' 'nearest<=0.95'",
    )  # fmt: skip


COMMANDS: dict[str, Command] = {
    "generate": ("generate new prints with a trained generator", generate, arguments),
}
