"""fpml enrol, identify and verify: fingers told apart by their minutiae, or by the embeddings of a recognise model."""

import argparse
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import OF_MODEL, Arguments, Command, add_dpi, add_reader, say_how_many

if TYPE_CHECKING:
    from fpml.inference.compare import Feature
    from fpml.inference.model import Model

DEFAULT = "minutiae-1"  # comes with fpml
PART = 64  # pictures that a worker of a cluster reads at a time
OPEN: dict[str, "Model"] = {}  # on such a worker
Outcome = tuple["Feature | None", str]  # what is kept of a picture, and what is said of it; or None and the reason


def enrol(a: Arguments) -> None:
    """Add prints to a gallery; the finger is the pattern's group 'finger' in the file's name, or all of the name before
    its last _. FpmlError for a gallery of another model and for a picture that is enrolled already."""
    from fpml.inference.compare import kind_of
    from fpml.inference.gallery import Gallery, enrolled
    from fpml.inference.place import find_pictures
    from fpml.matching.formats import ENDINGS

    model = fpml.load(a.model)
    kind = kind_of(model)
    finger = _namer(a.pattern, a.reader)
    names = {p: finger(p) for p in find_pictures(a.inputs, ENDINGS)}
    before = Gallery.read(a.gallery) if a.gallery.exists() else None
    if before is not None and not before.made_by(model):
        raise FpmlError(f"{a.gallery} was made with another model than {a.model}; enrol into a new file")
    found = list(_features(a.inputs, a, model, "enrol"))
    pictures = [p for p, _ in found]
    whole = enrolled(before, kind, [f for _, f in found], [names[p] for p in pictures], [str(p) for p in pictures])
    whole.write(a.gallery)
    print(f"{a.gallery}: {len(whole.frame)} prints of {whole.frame['finger'].nunique()} fingers")


def identify(a: Arguments) -> None:
    """Print the best matches of each print, a finger once, with scores; which of them the threshold lets pass."""
    from fpml.inference.compare import kind_of
    from fpml.inference.gallery import Gallery, threshold_of

    model = fpml.load(a.model)
    kind = kind_of(model)
    gallery = Gallery.read(a.gallery)
    if not gallery.made_by(model):
        raise FpmlError(f"{a.gallery} was made with another model than {a.model}; give --model that one, or enrol anew")
    threshold = threshold_of(model)
    print(threshold)
    probes = list(_features(a.inputs, a, model, "identify"))
    for (picture, _), best in zip(probes, gallery.best(kind, [f for _, f in probes], threshold), strict=True):
        print(f"{picture}: {', '.join(f'{m.finger} {m.score:.3f}' + ' match' * m.same for m in best)}")


def verify(a: Arguments) -> None:
    """Print the score of two prints and whether they match by the model's threshold; ends with 1 where they don't, with 2
    where it can't be said."""
    from fpml.inference.compare import kind_of
    from fpml.inference.gallery import threshold_of

    for path in (a.a, a.b):
        if path.is_dir():
            raise FpmlError(f"{path} is a folder; verify takes two pictures or templates")
    if a.explain is not None and (
        a.explain.suffix != ".png" or a.explain.is_dir() or a.explain.resolve() in (a.a.resolve(), a.b.resolve())
    ):
        raise FpmlError(f"--explain is {a.explain}; give the name of a new picture, OUT.png")
    model = fpml.load(a.model)
    kind = kind_of(model)
    threshold = threshold_of(model)
    dpi = a.dpi * 2 if len(a.dpi) == 1 else a.dpi
    if len(dpi) != 2:
        raise FpmlError(f"--dpi has {len(dpi)} values; allowed: one for both prints, or one for each")
    features = []
    for path, of_it in zip((a.a, a.b), dpi, strict=True):
        feature, why = _outcome(model, path, of_it, a.reader)
        if feature is None:
            raise FpmlError(f"{path} can't be compared: {why}")
        if why:
            print(f"{path}: {why}")
        features.append(feature)
    score = float(kind.against(kind.columns(features[:1]))(features[1])[0])
    match = score >= threshold.value
    said = "the same finger" if match else "not the same finger"
    print(f"score {score:.3f}: {said}; {threshold.reached_by(score)}\n{threshold}")
    if a.explain is not None:
        from fpml.inference.explain import explain

        explain(kind, (a.a, a.b), dpi, a.reader, f"score {score:.3f}, threshold {threshold.value:.3f}", a.explain)
        print(f"{a.explain} shows the two prints, their minutiae and which belong together")
    if not match:
        raise SystemExit(1)


def _outcome(model: "Model", path: Path, dpi: float | None, reader: str) -> Outcome:
    from fpml.data.pictures import BadPicture
    from fpml.inference.compare import kind_of
    from fpml.inference.place import find_pictures

    find_pictures([path])  # says so where it is not there
    try:
        return kind_of(model).feature(path, dpi, reader)
    except BadPicture as error:
        return None, str(error)


def _features(inputs: list[Path], a: Arguments, model: "Model", what: str) -> "Iterator[tuple[Path, Feature]]":
    """What is kept of each print that can be used; one that can't is named. A cluster's workers each open the model for
    themselves. FpmlError where none can be used."""
    from fpml.base.progress import progress
    from fpml.inference.place import find_pictures
    from fpml.matching.formats import ENDINGS

    files, dpi = find_pictures(inputs, ENDINGS), a.dpi[0]
    scheduler = _scheduler()
    outcomes: Iterator[Outcome]
    if scheduler:
        from fpml.base.parallel import each_in_parallel

        parts = [[p.resolve() for p in files[start : start + PART]] for start in range(0, len(files), PART)]
        work = partial(_part, here=Path.cwd(), dpi=dpi, reader=a.reader, model=a.model, digest=model.sha256)
        outcomes = (one for part in each_in_parallel(work, parts, scheduler, what, "parts", chunk=1) for one in part)
    else:
        outcomes = progress((_outcome(model, p, dpi, a.reader) for p in files), what, len(files), "prints")
    good = 0
    for path, (feature, why) in zip(files, outcomes, strict=True):
        if feature is None:
            print(f"{path}: left out: {why}")
            continue
        if why:
            print(f"{path}: {why}")
        good += 1
        yield path, feature
    say_how_many(good, len(files))


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


def _part(pictures: list[Path], here: Path, dpi: float | None, reader: str, model: str, digest: str) -> list[Outcome]:
    """One part on a worker, which may have been started anywhere."""
    os.chdir(here)
    if model not in OPEN or OPEN[model].sha256 != digest:
        OPEN[model] = fpml.load(model)
        if OPEN[model].sha256 != digest:
            raise FpmlError(f"{model} is another model on a worker than here; it changed meanwhile, run it again")
    return [_outcome(OPEN[model], picture, dpi, reader) for picture in pictures]


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


def _of_both(p: argparse.ArgumentParser, each: bool) -> None:
    p.add_argument("--model", default=DEFAULT, help=f"{OF_MODEL} (default {DEFAULT}, which comes with fpml)")
    add_dpi(p, each)
    add_reader(p)


def of_gallery(p: argparse.ArgumentParser) -> None:
    p.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="pictures, templates, or folders of either")
    _of_both(p, False)
    p.add_argument("--gallery", type=Path, default=Path("gallery.parquet"), metavar="FILE", help="default gallery.parquet")


def of_enrol(p: argparse.ArgumentParser) -> None:
    of_gallery(p)
    p.add_argument("--pattern", default="", help="a regular expression for the file name, with (?P<finger>…)")


def of_verify(p: argparse.ArgumentParser) -> None:
    p.add_argument("a", type=Path, metavar="A", help="a picture, or a template (.json, .fmr, .xyt)")
    p.add_argument("b", type=Path, metavar="B", help="another")
    p.add_argument("--explain", type=Path, metavar="OUT.png", help="draw both prints and the minutiae that belong together")
    _of_both(p, True)


COMMANDS: dict[str, Command] = {
    "verify": ("test whether two prints show the same finger; exit code 1 if not", verify, of_verify),
    "enrol": ("enrol prints in a gallery", enrol, of_enrol),
    "identify": ("find the best matches of a print in a gallery", identify, of_gallery),
}
