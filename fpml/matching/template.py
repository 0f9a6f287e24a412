"""A template: what is kept of a print to compare it by."""

from dataclasses import dataclass, replace

import numpy as np

from fpml.base.errors import FpmlError

DPI = 500  # of all places in templates


@dataclass(frozen=True)
class Template:
    """N minutiae of one print; places in pixels at 500 dpi from the middle of the upper left one, x to the right, y down.

    Raises FpmlError for arrays of different lengths, or with values that are no numbers."""

    x: np.ndarray  # float32 (N,)
    y: np.ndarray
    angle: np.ndarray  # radians, counter-clockwise from the right: along an ending's ridge, into a bifurcation's valley (ISO)
    ending: np.ndarray  # 0..1: how surely an ending, not a bifurcation
    quality: np.ndarray  # 0..1: how surely a minutia
    width: int  # pixels at 500 dpi, of the picture
    height: int
    finger: int = 0  # position code of ISO/IEC 19794-2: 0 unknown, 1 right thumb … 10 left little finger
    print_quality: float = 1.0  # 0..1, of the whole
    texture: np.ndarray | None = None  # int8 (N, numbers): the skin round each (fpml/matching/texture.py); None: not known
    texture_of: str = ""  # the model that it was made by: only textures of one model can be compared

    def __post_init__(self) -> None:
        for name in ("x", "y", "angle", "ending", "quality"):
            values = np.asarray(getattr(self, name), np.float32)
            if values.shape != np.shape(self.x) or values.ndim != 1 or not np.isfinite(values).all():
                raise FpmlError(f"a template's {name} is no list of {np.size(self.x)} numbers")
            object.__setattr__(self, name, values)
        if self.texture is not None and (self.texture.dtype != np.int8 or self.texture.shape[:1] != np.shape(self.x)):
            raise FpmlError(
                f"a template's texture is {self.texture.dtype} {self.texture.shape}, not int8 ({np.size(self.x)}, …)"
            )

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Template":
        """Some of the minutiae."""
        columns = {name: getattr(self, name)[rows] for name in ("x", "y", "angle", "ending", "quality")}
        return replace(self, **columns, texture=None if self.texture is None else self.texture[rows])

    def of_finger(self, finger: int) -> "Template":
        return replace(self, finger=finger)

    def table(self) -> np.ndarray:
        """float32 (N, 5): x, y, angle, ending, quality."""
        return np.stack([self.x, self.y, self.angle, self.ending, self.quality], 1)


def from_table(table: np.ndarray, width: int, height: int) -> Template:
    """A template of rows of x, y, angle, ending, quality."""
    x, y, angle, ending, quality = np.asarray(table, np.float32).reshape(-1, 5).T
    return Template(x, y, angle, ending, quality, width, height)
