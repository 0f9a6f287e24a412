"""Fingers enrolled by their embeddings: who is it, and are these two the same? A gallery is one Parquet file.

Embeddings are biometric data, like the prints they were made from."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from fpml.apply import Model, find_pictures, open_model, placed
from fpml.config import Params
from fpml.data.sources import READERS, describe
from fpml.data.walk import normal
from fpml.errors import FpmlError
from fpml.files import new_file
from fpml.parallel import each_in_parallel

TRUSTED = 10  # an FMR that may be so many times as high as it was counted says little
PART = 256  # pictures that a worker of a cluster embeds at a time
OPEN: dict[str, Model] = {}  # on such a worker
BEST = 5  # matches that are shown


def enrol(inputs: list[Path], gallery: Path, model: str, dpi: float, reader: str, pattern: str, params: Params) -> None:
    """Add pictures to a gallery; the finger is the pattern's group 'finger' in the file's name, or all of the name before
    its last _. FpmlError for a gallery of another model and for a picture that is enrolled already."""
    network = open_model(model, ["embedding"], params)
    finger = _namer(pattern, reader)
    names = {p: finger(p) for p in find_pictures(inputs)}
    before = _read(gallery) if gallery.exists() else None
    if before is not None and str(before["model"].iat[0]) != network.sha256:
        raise FpmlError(f"{gallery} was made with another model than {model}; enrol into a new file")
    frames = [] if before is None else [before]
    for vectors, pictures in _embedded(inputs, dpi, reader, network, params, "enrol"):
        columns = {"finger": [names[p] for p in pictures], "picture": [str(p) for p in pictures], "embedding": list(vectors)}
        frames.append(pd.DataFrame(columns).assign(model=network.sha256))
    whole = pd.concat(frames, ignore_index=True)
    if twice := whole["picture"][whole["picture"].duplicated()].tolist():
        raise FpmlError(f"{twice[0]} is in {gallery} already; nothing was enrolled")
    with new_file(gallery) as temporary:
        whole.to_parquet(temporary, index=False)
    print(f"{gallery}: {len(whole)} prints of {whole['finger'].nunique()} fingers")


def identify(inputs: list[Path], gallery: Path, model: str, dpi: float, reader: str, params: Params) -> None:
    """Print the best matches of each picture, a finger once, with scores; which of them the threshold lets pass."""
    network = open_model(model, ["embedding"], params)
    enrolled = _read(gallery)
    if enrolled["model"].iat[0] != network.sha256:
        raise FpmlError(f"{gallery} was made with another model than {model}; give --model that one, or enrol anew")
    threshold, said = _threshold(network)
    known = np.stack(enrolled["embedding"].to_list())
    print(said)
    for vectors, pictures in _embedded(inputs, dpi, reader, network, params, "identify"):
        for picture, scores in zip(pictures, vectors @ known.T, strict=True):
            best = pd.Series(scores, enrolled["finger"].to_numpy()).groupby(level=0).max().nlargest(BEST)
            shown = ", ".join(f"{name} {score:.3f}{' match' if score >= threshold else ''}" for name, score in best.items())
            print(f"{picture}: {shown}")


def verify(a: Path, b: Path, model: str, dpi: float, reader: str, params: Params) -> bool:
    """Print the score of two pictures and whether they match by the model's threshold."""
    network = open_model(model, ["embedding"], params)
    threshold, said = _threshold(network)
    vectors = [v for found, _ in _embedded([a, b], dpi, reader, network, params, "verify") for v in found]
    if len(vectors) != 2:
        raise FpmlError("two pictures are needed, and one of them can't be used; the reason is above")
    score = float(vectors[0] @ vectors[1])
    match = score >= threshold
    print(f"score {score:.3f}: {'the same finger' if match else 'not the same finger'}\n{said}")
    return match


def _embedded(inputs: list[Path], dpi: float, reader: str, network: Model, params: Params, what: str) -> Any:
    """Embeddings and the pictures they are of, some at a time; a cluster's workers each open the model for themselves."""
    if params.runtime.engine == "dask":
        pictures = find_pictures(inputs)
        parts = [pictures[start : start + PART] for start in range(0, len(pictures), PART)]
        parts = [[p.resolve() for p in part] for part in parts]
        work = partial(
            _embed, here=Path.cwd(), dpi=dpi, reader=reader, model=network.name, digest=network.sha256, params=params
        )
        names = {p.resolve(): p for p in pictures}
        for vectors, kept in each_in_parallel(work, parts, params.runtime.pool, what, "parts", chunk=1):
            if kept:
                yield vectors, [names[p] for p in kept]
        return
    for part in placed(inputs, dpi, reader, network.data, params, what):
        yield network(["embedding"], prints=part.prints)[0], part.pictures


def _embed(
    pictures: list[Path], here: Path, dpi: float, reader: str, model: str, digest: str, params: Params
) -> tuple[np.ndarray, list[Path]]:
    """One part on a worker, which may have been started anywhere."""
    os.chdir(here)
    if model not in OPEN or OPEN[model].sha256 != digest:
        OPEN[model] = open_model(model, ["embedding"], params)
        if OPEN[model].sha256 != digest:
            raise FpmlError(f"{model} is another model on a worker than here; it changed meanwhile, run it again")
    found = [(OPEN[model](["embedding"], prints=p.prints)[0], p.pictures)
             for p in placed(pictures, dpi, reader, OPEN[model].data, params, "embed", some=True)]  # fmt: skip
    if not found:
        return np.empty((0, 0), np.float32), []
    return np.concatenate([v for v, _ in found]), [p for _, kept in found for p in kept]


def _threshold(network: Model) -> tuple[float, str]:
    facts = network.facts
    if "threshold" not in facts:
        unmeasured = "these weights were not measured on fingers never seen; run `dvc repro evaluate@…` of its run"
        raise FpmlError(f"no threshold is known for {network.name}: {facts.get('no_threshold', unmeasured)}")
    said = (
        f"threshold {facts['threshold']:.3f}: FMR {facts['threshold_fmr']:.2%}, counted over "
        f"{facts['threshold_impostors']:,} impostor pairs of {facts['threshold_finger_pairs']:,} pairs of fingers of "
        f"{facts['trained_on']} (95 %: up to {facts['threshold_fmr_high']:.1%})"
    )
    if facts["threshold_fmr_high"] > TRUSTED * max(facts["threshold_fmr"], 1e-3):
        said += "; too few fingers to trust it: measure on more (split.unseen, data.test)"
    return float(facts["threshold"]), said


def _namer(pattern: str, reader: str) -> Callable[[Path], str]:
    """What names the finger of a picture: a pattern, else the reader's own rule, else the file's name before its last _."""
    if not pattern and reader == "folder":
        return lambda path: normal(path.stem.rpartition("_")[0] or path.stem)
    if not pattern:
        return partial(_read_name, reader)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise FpmlError(f"--pattern '{pattern}' is no regular expression: {error}") from None
    if "finger" not in expression.groupindex:
        raise FpmlError(f"--pattern '{pattern}' has no group (?P<finger>…), which names the finger")

    def name(path: Path) -> str:
        found = expression.fullmatch(normal(path.name))
        if found is None:
            raise FpmlError(f"'{path.name}' does not match --pattern {pattern}; nothing was enrolled")
        return found["finger"]

    return name


def _read_name(reader: str, path: Path) -> str:
    columns = describe(reader, PurePosixPath(path.parent.name, path.name), "")
    return str(READERS[reader].identity(columns))


def _read(gallery: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(gallery, columns=["finger", "picture", "model", "embedding"])
    except FileNotFoundError:
        raise FpmlError(f"{gallery} is not there; make it by: fpml enrol PICTURES --gallery {gallery}") from None
    except (OSError, ValueError) as error:
        raise FpmlError(f"{gallery} is no gallery: {str(error).splitlines()[0]}") from None
    if frame.empty:
        raise FpmlError(f"{gallery} has nobody in it")
    return frame.assign(finger=frame["finger"].map(normal))  # one that was made before names had one form
