"""One picture file to a grey uint8 array, hostile until checked."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fpml.errors import FpmlError

EXTENSIONS = {".tif", ".tiff", ".bmp", ".png", ".jpg", ".jpeg", ".pgm", ".gif", ".webp", ".jp2"}
SMALLEST = 16  # pixels


class BadPicture(FpmlError):
    """Why a file can't be used; the text goes into the manifest."""


def read_grey(path: Path, max_pixels: int) -> np.ndarray:
    """A picture of any mode as grey uint8 (H, W), 0 black.

    Colour by luma, transparent pixels as white paper, 16 bits by their full range (never by the
    picture's own maximum), 1 bit as 0 and 255. Raises BadPicture."""
    try:
        if path.stat().st_size == 0:
            raise BadPicture("empty file (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit only warns; ours comes next and stops
            with Image.open(path) as image:
                if image.width * image.height > max_pixels:
                    raise BadPicture(f"too large: {image.width} x {image.height} pixels, the limit is {max_pixels}")
                image.load()
                return _grey(image)
    except UnidentifiedImageError:
        raise BadPicture("not a picture, whatever its name says") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"too large: more than the limit of {max_pixels} pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, MemoryError) as error:
        raise BadPicture(f"truncated or damaged: {' '.join(str(error).split())}"[:200]) from None


def _grey(image: Image.Image) -> np.ndarray:
    mode = image.mode
    if mode.startswith("I;16"):
        return ((np.asarray(image).astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
    if mode in ("I", "F"):  # 32 bits: whole numbers count as 16-bit greys, fractions as 0 to 1
        values, top = np.asarray(image), {"I": 65_535, "F": 1}[mode]
        if not (values.min() >= 0 and values.max() <= top):
            raise BadPicture(f"grey values from {values.min()} to {values.max()}; allowed in this format: 0 to {top}")
        return np.round(values.astype(np.float64) * (255 / top)).astype(np.uint8)
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        image = paper.convert("RGB")
    return np.asarray(image.convert("L"))


def pixel_hash(grey: np.ndarray) -> str:
    """SHA-256 of shape and pixels, so that the same picture in another file format has the same hash."""
    return hashlib.sha256(repr(grey.shape).encode() + np.ascontiguousarray(grey).tobytes()).hexdigest()


def check_print(grey: np.ndarray) -> None:
    """BadPicture where a picture is too small to hold a print, or has nothing on it."""
    if min(grey.shape) < SMALLEST:
        raise BadPicture(f"too small: {grey.shape[1]} x {grey.shape[0]} pixels, at least {SMALLEST} x {SMALLEST} are needed")
    if grey.min() == grey.max():
        raise BadPicture("constant: every pixel has the same grey")
