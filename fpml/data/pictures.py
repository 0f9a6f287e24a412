"""One picture file to a grey uint8 array, hostile until checked. docs/pictures.md has the rule as a table.

A picture is what viewers show, at its own depth scaled to 8 bits by the largest number that it declares, never by the
largest that occurs. Where that can't be known, or a decoder would get it wrong, it is refused with the reason."""

import hashlib
import importlib
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fpml.base.errors import FpmlError
from fpml.data import declared
from fpml.data.declared import Declared

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # no other decoder, and none that starts a program
EXTENSIONS = {
    ".tif", ".tiff", ".bmp", ".dib", ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf",
    ".jpx", ".pgm", ".pbm", ".ppm", ".pnm", ".gif", ".webp",
}  # fmt: skip
SAVE = "save it as PNG or TIFF"
OTHERS = {  # endings of pictures that are not read, and what to do
    ".raw": f"pixels without a header; {SAVE}, by the width, height and depth that only you know",
    **dict.fromkeys((".heic", ".heif", ".avif", ".jxl", ".jxr", ".jls", ".psd", ".xcf", ".tga", ".pcx", ".ico", ".exr"), SAVE),
    **dict.fromkeys((".eps", ".pdf", ".svg", ".djvu"), f"a document; {SAVE}"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"), f"a camera's raw file; {SAVE}"),
    **dict.fromkeys(
        (".dcm", ".dicom", ".an2", ".eft", ".ebts", ".nist", ".nst", ".fir"),
        "a record that holds more than pictures; export those as PNG or WSQ",
    ),
}
WSQ = "WSQ, for which a decoder is missing; install it: pip install -c constraints.txt '.[wsq]'"
PICTURES = EXTENSIONS | {".wsq"} | set(OTHERS)  # what counts as a picture, read or not
SMALLEST = 16  # pixels
DIM = 2**14  # of 16 bits; no print is darker than a quarter of full everywhere


class BadPicture(FpmlError):
    """Why a file can't be used; the text goes into the manifest."""


def read_grey(path: Path, max_pixels: int) -> np.ndarray:
    """A picture of any mode as grey uint8 (H, W), 0 black.

    Turned as it says, colour by luma, transparent pixels as white paper, 1 bit as 0 and 255. Raises BadPicture, whatever a
    decoder raised."""
    _check_ending(path.name)
    try:
        with path.open("rb") as file:
            return read_open(file, path.name, max_pixels)
    except FileNotFoundError:
        raise BadPicture("missing") from None
    except OSError as error:
        raise _damaged(error) from None


def read_open(file: IO[bytes], name: str, max_pixels: int) -> np.ndarray:
    """The same of an open file, which may lie in memory alone. name: what it was called."""
    _check_ending(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit only warns; ours comes next and stops
            return _read(file, max_pixels)
    except BadPicture:
        raise
    except Image.DecompressionBombError:
        raise BadPicture(f"too large: more than the limit of {max_pixels} pixels") from None
    except Exception as error:  # damaged files make decoders raise anything, and one bad file must not end all
        raise _damaged(error) from None


def _check_ending(name: str) -> None:
    ending = Path(name).suffix
    if what := OTHERS.get(ending.lower()):
        raise BadPicture(f"{ending} is not read here: {what}")


def _damaged(error: Exception) -> BadPicture:
    return BadPicture(f"truncated or damaged: {' '.join(str(error).split())}"[:200])


def _read(file: IO[bytes], max_pixels: int) -> np.ndarray:
    head = file.read(2**16)
    if not head:
        raise BadPicture("empty file (0 bytes)")
    file.seek(0)
    tiff = declared.of_tiff(file) if declared.is_tiff(head) else None
    if tiff and tiff.why_not:
        raise BadPicture(tiff.why_not)
    file.seek(0)
    try:
        # As an open file: of a path, Pillow 13 takes the rows of an uncompressed TIFF on its side for columns.
        image = Image.open(file, formats=_formats(head))
    except UnidentifiedImageError:
        raise BadPicture(_unidentified(head)) from None
    with image:
        if image.width * image.height > max_pixels:
            raise BadPicture(f"too large: {image.width} x {image.height} pixels, the limit is {max_pixels}")
        said = tiff or declared.of_others(image, head)
        if said.why_not:
            raise BadPicture(said.why_not)
        image.load()
        shown = _with_alpha_as_shown(image, head)
        try:
            shown = ImageOps.exif_transpose(shown)
        except Exception:  # EXIF's reader too raises anything
            raise BadPicture("damaged EXIF, so that it is not known which side is up; save it without EXIF") from None
    if shown.mode[0] in "IF":
        return _narrow(shown, said)
    if shown.has_transparency_data:
        shown = shown.convert("LA" if shown.mode == "La" else "RGBA").convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        paper.alpha_composite(shown)
        shown = paper.convert("RGB")
    return np.asarray(shown.convert("L"))


def _formats(head: bytes) -> tuple[str, ...]:
    """The decoders for a file of these first bytes. That for WSQ is an optional package, and for such files alone."""
    if not head.startswith(b"\xff\xa0"):
        return FORMATS
    try:
        importlib.import_module("wsq")
    except ImportError:
        raise BadPicture(WSQ) from None
    return ("WSQ",)


def _unidentified(head: bytes) -> str:
    accepts = {name: Image.OPEN[name][1] for name in FORMATS}
    known = next((name for name, accept in accepts.items() if accept and accept(head[:16])), None)
    if known is None:
        return "not a picture, whatever its name says"
    return f"a damaged {known}, or one of a kind that is not read; {SAVE} of 8 bits"


def _with_alpha_as_shown(image: Image.Image, head: bytes) -> Image.Image:
    if image.format == "PNG" and image.mode == "L" and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2 ** head[24] - 1)  # counted in the file's own 2, 4 or 8 bits
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # by a program that left the fourth byte alone
    return image


def _narrow(image: Image.Image, said: Declared) -> np.ndarray:
    """Greys of more than 8 bits as uint8."""
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= said.top):
        raise BadPicture(f"grey values from {values.min()} to {values.max()}; allowed in this format: 0 to {said.top}")
    if not said.narrower and 0 < values.max() < DIM:
        raise BadPicture(
            f"no number over {values.max()} of {said.top}: fewer bits than the 16 that the file declares; save it with its "
            "full range, or let it say its depth (TIFF: MaxSampleValue, PGM: the maximum)"
        )
    if image.mode == "F":
        grey = np.round(values.astype(np.float64) * 255).astype(np.uint8)
    else:
        grey = ((values.astype(np.uint32) * 255 + said.top // 2) // said.top).astype(np.uint8)
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return 255 - grey if said.white_is_zero else grey


def pixel_hash(grey: np.ndarray) -> str:
    """SHA-256 of shape and pixels, so that the same picture in another file format has the same hash."""
    return hashlib.sha256(repr(grey.shape).encode() + np.ascontiguousarray(grey).tobytes()).hexdigest()


def check_print(grey: np.ndarray) -> None:
    """BadPicture where a picture is too small to hold a print, or has nothing on it."""
    if min(grey.shape) < SMALLEST:
        raise BadPicture(f"too small: {grey.shape[1]} x {grey.shape[0]} pixels, at least {SMALLEST} x {SMALLEST} are needed")
    if grey.min() == grey.max():
        raise BadPicture("constant: every pixel has the same grey")
