"""What a model keeps of a print to compare it by, and how two of these are compared: an embedding, or minutiae."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from fpml.base.errors import FpmlError
from fpml.data.pictures import read_grey
from fpml.data.readers import reader_named
from fpml.inference import minutiae
from fpml.inference.place import MAX_PIXELS, place
from fpml.matching import formats, search
from fpml.matching.cylinders import Cylinders, cylinders
from fpml.matching.match import Match, match, textures_alike
from fpml.matching.template import Template, from_table

if TYPE_CHECKING:
    from fpml.inference.model import Model

Feature = np.ndarray | Template  # an embedding, float32 (numbers,), or minutiae
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
        return found, ""

    def of_picture(self, grey: np.ndarray, dpi: float | None) -> tuple[Feature, str]:
        seen = minutiae.comparable(self.model, grey, dpi)
        return seen.template, f"{seen.dpi:.0f} dpi, estimated by its ridges" if seen.dpi_estimated else ""

    def columns(self, features: list[Any]) -> dict[str, list[Any]]:
        """The minutiae, the skin round them, and the short codes of their cylinders, by which a large gallery is searched."""
        every = [cylinders(template) for template in features]
        return {
            "minutiae": [template.table().ravel() for template in features],
            "texture": [b"" if t.texture is None else t.texture.tobytes() for t in features],
            "texture_of": [template.texture_of for template in features],
            "search_codes": [search.code(c).tobytes() for c in every],
            "code_rows": [c.minutiae.astype(np.int16) for c in every],
        }

    def against(self, gallery: dict[str, list[Any]]) -> Callable[[Any], np.ndarray]:
        columns = (gallery[name] for name in ("minutiae", "texture", "texture_of"))
        templates = [_template(*row) for row in zip(*columns, strict=True)]
        if len(templates) <= COMPARED_IN_FULL:
            every = [cylinders(template) for template in templates]

            def scores_of_all(probe: Template) -> np.ndarray:
                sought = cylinders(probe)
                with threadpool_limits(1):  # small products, which more threads only slow down
                    return np.array([self.score(sought, one) for one in every])

            return scores_of_all
        codes = [np.frombuffer(c, np.uint64).reshape(-1, search.BITS // 64) for c in gallery["search_codes"]]
        index = search.index_of(templates, codes, gallery["code_rows"])

        def scores_of(probe: Template) -> np.ndarray:
            scores = np.zeros(len(templates))
            for row, score in search.search(index, probe, RANKED, self.score):
                scores[row] = score
            return scores

        return scores_of

    def score(self, a: Cylinders, b: Cylinders) -> float:
        """Of two prints. Where the skin round their minutiae can't be compared, as of another program's template, the score is
        brought to the scale of the others: at the model's threshold the FMR is the same."""
        plain = textures_alike(a, b) is None
        return match(a, b).score * (float(self.model.facts.get("plain_scale", 1.0)) if plain else 1.0)


def _template(table: np.ndarray, texture: bytes, texture_of: str) -> Template:
    """A gallery's row."""
    found = from_table(table, 0, 0)
    if not texture:
        return found
    return replace(found, texture=np.frombuffer(texture, np.int8).reshape(len(found), -1), texture_of=texture_of)


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
