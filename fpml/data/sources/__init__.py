"""One reader a dataset layout. A reader has five functions:

describe(relative, pattern) -> dict     the manifest's columns that the path tells; raises BadPicture
                                        where the name does not match the dataset's naming
identity(columns) -> str                what names the finger within the dataset
crop(grey) -> array                     the print without the frame that the dataset put round it
default_dpi(path, sensors) -> dict      the dpi of each sensor where none is given; empty if not known
"""

from types import ModuleType

from fpml.data.sources import folder, fvc, socofing, synth

READERS: dict[str, ModuleType] = {"fvc": fvc, "socofing": socofing, "folder": folder, "synth": synth}
