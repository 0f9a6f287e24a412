"""What a model keeps of a print to compare it by, and how two of these are compared: an embedding, or minutiae."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fpml.base.errors import FpmlError
from fpml.data.pictures import read_grey
from fpml.data.readers import reader_named
from fpml.inference import minutiae
from fpml.inference.place import MAX_PIXELS, place
from fpml.matching import formats, search
from fpml.matching.cylinders import Cylinders, cylinders
from fpml.matching.match import Match, match
from fpml.matching.template import Template, from_table

if TYPE_CHECKING:
    from fpml.inference.model import Model

Feature = np.ndarray  # float32 (numbers,)
COMPARED_IN_FULL = 500  # prints; a larger gallery is searched by short codes first
RANKED = 20  # prints of it that get a score


class Kind(Protocol):
    """One way to compare prints."""

    @property
    def model(self) -> "Model": ...

    def feature(self, path: Path, dpi: float | None, reader: str) -> tuple[Feature, str]:
        """What is kept of a file, and what has to be said of it, if anything. BadPicture, with the reason, where nothing can
        be kept."""

    def of_picture(self, grey: np.ndarray, dpi: float | None) -> tuple[Feature, str]:
        """The same of a grey picture (H, W) uint8."""

    def columns(self, features: list[Feature]) -> dict[str, list[Any]]:
        """What a gallery keeps of some features, by column."""

    def against(self, gallery: dict[str, list[Any]]) -> Callable[[Feature], np.ndarray]:
        """A function that gives a probe's scores against each of a gallery's columns, higher for more alike: float (n,). In a
        large gallery only the best have a score, and the others 0."""


@dataclass(frozen=True)
class Embeddings:
    model: "Model"

    def feature(self, path: Path, dpi: float | None, reader: str) -> tuple[Feature, str]:
        return self.of_picture(reader_named(reader).crop(read_grey(path, MAX_PIXELS)), dpi)

    def of_picture(self, grey: np.ndarray, dpi: float | None) -> tuple[Feature, str]:
        if dpi is None:
            raise FpmlError(f"{self.model.name} compares embeddings, which need the dpi of the pictures; give --dpi")
        placement = place(grey, dpi, self.model.data)
        vector: np.ndarray = self.model.run(["embedding"], prints=placement.canvas[None, None])[0][0]
        return vector, ""

    def columns(self, features: list[Feature]) -> dict[str, list[Any]]:
        return {"embedding": features}

    def against(self, gallery: dict[str, list[Any]]) -> Callable[[Feature], np.ndarray]:
        every = np.stack(gallery["embedding"])
        return lambda probe: np.asarray(every @ probe)


@dataclass(frozen=True)
class Minutiae:
    model: "Model"

    def feature(self, path: Path, dpi: float | None, reader: str) -> tuple[Feature, str]:
        """Of a picture, or of a template's file."""
        if not formats.is_template(path):
            return self.of_picture(reader_named(reader).crop(read_grey(path, MAX_PIXELS)), dpi)
        found = formats.read(path)
        if len(found) < minutiae.FEWEST:
            raise minutiae.TooPoor(f"{len(found)} minutiae, and at least {minutiae.FEWEST} are needed")
        return found.table().ravel(), ""

    def of_picture(self, grey: np.ndarray, dpi: float | None) -> tuple[Feature, str]:
        seen = minutiae.comparable(self.model, grey, dpi)
        return seen.template.table().ravel(), f"{seen.dpi:.0f} dpi, estimated by its ridges" if seen.dpi_estimated else ""

    def columns(self, features: list[Feature]) -> dict[str, list[Any]]:
        """The minutiae, and the short codes of their cylinders, by which a large gallery is searched."""
        every = [_cylinders(feature) for feature in features]
        rows = [c.minutiae.astype(np.int16) for c in every]
        return {"minutiae": features, "codes": [search.code(c).tobytes() for c in every], "code_rows": rows}

    def against(self, gallery: dict[str, list[Any]]) -> Callable[[Feature], np.ndarray]:
        features = gallery["minutiae"]
        if len(features) <= COMPARED_IN_FULL:
            every = [_cylinders(feature) for feature in features]
            return lambda probe: np.array([match(_cylinders(probe), one).score for one in every])
        codes = [np.frombuffer(c, np.uint64).reshape(-1, search.BITS // 64) for c in gallery["codes"]]
        index = search.index_of([f.reshape(-1, 5) for f in features], codes, gallery["code_rows"])

        def scores_of(probe: Feature) -> np.ndarray:
            scores = np.zeros(len(features))
            for row, score in search.search(index, probe.reshape(-1, 5), RANKED):
                scores[row] = score
            return scores

        return scores_of


def compared(a: Template, b: Template) -> Match:
    """Two templates compared; its pairs are rows of the two."""
    return match(cylinders(a), cylinders(b))


def kind_of(model: "Model") -> Kind:
    """How a model's prints are compared. FpmlError for one whose prints can't be."""
    if "embedding" in model.outputs:
        return Embeddings(model)
    if "presence" in model.outputs:
        return Minutiae(model)
    raise FpmlError(f"{model.name} gives {' and '.join(model.outputs)}; prints are compared by a minutiae or recognise model")


def _cylinders(feature: Feature) -> Cylinders:
    return cylinders(from_table(feature, 0, 0))
