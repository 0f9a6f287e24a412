"""fpml enrol, identify and verify: fingers told apart by their embeddings."""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import Arguments, Command, add_inputs, add_model, say_how_many, usable

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Model

PART = 256  # pictures that a worker of a cluster embeds at a time
OPEN: dict[str, "Model"] = {}  # on such a worker


def enrol(a: Arguments) -> None:
    """Add pictures to a gallery; the finger is the pattern's group 'finger' in the file's name, or all of the name before
    its last _. FpmlError for a gallery of another model and for a picture that is enrolled already."""
    import numpy as np

    from fpml.inference.gallery import Gallery, enrolled
    from fpml.inference.place import find_pictures

    model = fpml.load(a.model).need("embedding")
    finger = _namer(a.pattern, a.reader)
    names = {p: finger(p) for p in find_pictures(a.inputs)}
    before = Gallery.read(a.gallery) if a.gallery.exists() else None
    if before is not None and not before.made_by(model):
        raise FpmlError(f"{a.gallery} was made with another model than {a.model}; enrol into a new file")
    found = list(_embedded(a.inputs, a, model, "enrol"))
    pictures = [p for _, part in found for p in part]
    vectors = np.concatenate([v for v, _ in found])
    whole = enrolled(before, vectors, [names[p] for p in pictures], [str(p) for p in pictures], model)
    whole.write(a.gallery)
    print(f"{a.gallery}: {len(whole.frame)} prints of {whole.frame['finger'].nunique()} fingers")


def identify(a: Arguments) -> None:
    """Print the best matches of each picture, a finger once, with scores; which of them the threshold lets pass."""
    from fpml.inference.gallery import Gallery, threshold_of

    model = fpml.load(a.model).need("embedding")
    gallery = Gallery.read(a.gallery)
    if not gallery.made_by(model):
        raise FpmlError(f"{a.gallery} was made with another model than {a.model}; give --model that one, or enrol anew")
    threshold = threshold_of(model)
    print(threshold)
    for vectors, pictures in _embedded(a.inputs, a, model, "identify"):
        for picture, best in zip(pictures, gallery.best(vectors, threshold), strict=True):
            print(f"{picture}: {', '.join(f'{m.finger} {m.score:.3f}' + ' match' * m.same for m in best)}")


def verify(a: Arguments) -> None:
    """Print the score of two pictures and whether they match by the model's threshold; ends with 1 where they don't."""
    from fpml.inference.gallery import threshold_of

    model = fpml.load(a.model).need("embedding")
    threshold = threshold_of(model)
    vectors = [v for found, _ in _embedded([a.a, a.b], a, model, "verify") for v in found]
    if len(vectors) != 2:
        raise FpmlError("two pictures are needed, and one of them can't be used; the reason is above")
    score = float(vectors[0] @ vectors[1])
    match = score >= threshold.value
    print(f"score {score:.3f}: {'the same finger' if match else 'not the same finger'}\n{threshold}")
    if not match:
        raise SystemExit(1)


def _embedded(inputs: list[Path], a: Arguments, model: "Model", what: str) -> "Iterator[tuple[np.ndarray, list[Path]]]":
    """Embeddings and the pictures they are of, some at a time; a cluster's workers each open the model for themselves."""
    scheduler = _scheduler()
    if not scheduler:
        for part in usable(inputs, a.dpi, a.reader, model.data, what):
            yield model.run(["embedding"], prints=part.prints)[0], part.pictures
        return
    from fpml.base.parallel import each_in_parallel
    from fpml.inference.place import find_pictures

    pictures = find_pictures(inputs)
    parts = [[p.resolve() for p in pictures[start : start + PART]] for start in range(0, len(pictures), PART)]
    work = partial(_embed, here=Path.cwd(), dpi=a.dpi, reader=a.reader, model=a.model, digest=model.sha256)
    names = {p.resolve(): p for p in pictures}
    good = 0
    for vectors, kept, left_out in each_in_parallel(work, parts, scheduler, what, "parts", chunk=1):
        for picture, why in left_out:
            print(f"{names[picture]}: left out: {why}")
        good += len(kept)
        if kept:
            yield vectors, [names[p] for p in kept]
    say_how_many(good, len(pictures))


def _scheduler() -> str:
    """The Dask scheduler of this project's settings; '' without a project, and where its engine is local."""
    from fpml.base.files import root
    from fpml.settings.reading import read_yaml

    path = root() / "params.yaml"
    runtime = (read_yaml(path).get("runtime") or {}) if path.exists() else {}
    if runtime.get("engine") != "dask":
        return ""
    if not runtime.get("scheduler"):
        raise FpmlError(f"{path}: runtime.engine is dask, and runtime.scheduler is ''; give the scheduler's address")
    return str(runtime["scheduler"])


def _embed(
    pictures: list[Path], here: Path, dpi: float, reader: str, model: str, digest: str
) -> "tuple[np.ndarray, list[Path], list[tuple[Path, str]]]":
    """One part on a worker, which may have been started anywhere."""
    import numpy as np

    from fpml.inference.place import placed

    os.chdir(here)
    if model not in OPEN or OPEN[model].sha256 != digest:
        OPEN[model] = fpml.load(model)
        if OPEN[model].sha256 != digest:
            raise FpmlError(f"{model} is another model on a worker than here; it changed meanwhile, run it again")
    found = list(placed(pictures, dpi, reader, OPEN[model].data, "embed"))
    vectors = [OPEN[model].run(["embedding"], prints=part.prints)[0] for part in found if part.pictures]
    kept = [p for part in found for p in part.pictures]
    left_out = [out for part in found for out in part.left_out]
    return (np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)), kept, left_out


def _namer(pattern: str, reader: str) -> Callable[[Path], str]:
    """What names the finger of a picture: a pattern, else the reader's own rule, else the file's name before its last _."""
    from fpml.data.readers import describe, reader_named
    from fpml.data.walk import normal

    if not pattern and reader == "folder":
        return lambda path: normal(path.stem.rpartition("_")[0] or path.stem)
    if not pattern:

        def read_name(path: Path) -> str:
            columns = describe(reader, PurePosixPath(path.parent.name, path.name), "")
            return reader_named(reader).identity(columns)

        return read_name
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise FpmlError(f"--pattern '{pattern}' is not a valid regular expression: {error}") from None
    if "finger" not in expression.groupindex:
        raise FpmlError(f"--pattern '{pattern}' has no group (?P<finger>…), which names the finger")

    def name(path: Path) -> str:
        found = expression.fullmatch(normal(path.name))
        if found is None:
            raise FpmlError(f"'{path.name}' does not match --pattern {pattern}; nothing was enrolled")
        return found["finger"]

    return name


def of_gallery(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "recognise", 500)
    p.add_argument("--gallery", type=Path, default=Path("gallery.parquet"), metavar="FILE", help="default gallery.parquet")


def of_enrol(p: argparse.ArgumentParser) -> None:
    of_gallery(p)
    p.add_argument("--pattern", default="", help="a regular expression for the file name, with (?P<finger>…)")


def of_verify(p: argparse.ArgumentParser) -> None:
    p.add_argument("a", type=Path, metavar="A", help="a picture")
    p.add_argument("b", type=Path, metavar="B", help="another picture")
    add_model(p, "recognise", 500)


COMMANDS: dict[str, Command] = {
    "enrol": ("enrol prints in a gallery", enrol, of_enrol),
    "identify": ("find the best matches of a print in a gallery", identify, of_gallery),
    "verify": ("test whether two pictures show the same finger; exit code 1 if not", verify, of_verify),
}
