"""fpml: from raw fingerprint images to registered models, and those models on a person's own pictures.

    import fpml
    model = fpml.load("repair-1")          # a run's name, a folder, a file of `fpml export`, models:/NAME@ALIAS, a shipped one
    repaired = model.repair(fpml.read("print.png"), dpi=500)

docs/python.md has the rest. Importing this imports nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Model

__version__ = "0.1.0"
__all__ = ["load", "read"]


def load(model: str | Path) -> "Model":
    """A model, ready to run: by a run's name, a folder with model.onnx, a file of `fpml export`, the registry's
    models:/NAME@ALIAS or models:/NAME/VERSION, or the name of a model that comes with fpml.

    fpml.base.errors.FpmlError where there is none. Only models:/ needs mlflow."""
    if str(model).startswith("models:/"):
        from fpml.tracking.models import fetch

        return fetch(str(model))
    from fpml.inference.load import load

    return load(model)


def read(picture: str | Path, reader: str = "folder") -> "np.ndarray":
    """A picture file as grey uint8 (H, W), 0 black, as docs/pictures.md says. reader: the layout of a dataset whose frame is
    cut off, such as socofing. fpml.data.pictures.BadPicture, an FpmlError, where it is missing or can't be read rightly."""
    from fpml.data.pictures import read_grey
    from fpml.data.readers import reader_named
    from fpml.inference.place import MAX_PIXELS

    return reader_named(reader).crop(read_grey(Path(picture), MAX_PIXELS))
