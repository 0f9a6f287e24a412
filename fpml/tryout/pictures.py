"""Pictures as the page takes and shows them: from bytes in memory, by the one rule for pictures, with a guess of their dpi."""

import base64
import json
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture, check_print, read_open
from fpml.inference.minutiae import look
from fpml.inference.model import Model
from fpml.inference.place import MAX_PIXELS

LARGEST = 32 * 2**20  # bytes of an uploaded file
SHOWN = 1200  # pixels of the longer side of a picture that is sent back to be looked at
USUAL = 500  # dpi of most sensors,
NEAR = (400, 625)  # taken where the ridges tell something near it: fingers differ by as much
OPAQUE = 140  # of 255, where a map is 1: what lies under it shows
EXAMPLES = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Picture:
    name: str
    grey: np.ndarray  # uint8 (H, W)
    dpi: float  # that is offered,
    why: str  # and why

    def answer(self) -> dict[str, Any]:
        height, width = self.grey.shape
        return {
            "name": self.name, "width": width, "height": height, "dpi": self.dpi, "why": self.why, "png": shown(self.grey),
        }  # fmt: skip


def opened(content: bytes, name: str, finder: Model) -> Picture:
    """An uploaded file. BadPicture with the reason that the commands give, before anything too large is decoded."""
    name = "".join(c for c in name if c.isprintable())[:120] or "picture"
    try:
        grey = read_open(BytesIO(content), name, MAX_PIXELS)
        check_print(grey)
        return Picture(name, grey, *_guessed(grey, finder))
    except BadPicture as error:
        raise BadPicture(f"{name}: {error}") from None


def _guessed(grey: np.ndarray, finder: Model) -> tuple[float, str]:
    try:
        told = look(finder, grey, None).dpi
    except BadPicture:
        return USUAL, "what most sensors have; no ridges are seen that would tell"
    if NEAR[0] <= told <= NEAR[1]:
        return USUAL, f"what most sensors have; the ridges tell about {told:.0f}"
    return round(told), "guessed by the ridges; give the sensor's if you know it"


@cache
def examples() -> dict[str, dict[str, Any]]:
    """The generated prints that come with the page, by file: title, dpi."""
    found: dict[str, dict[str, Any]] = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    return found


def example(file: str) -> Picture:
    if file not in examples():
        raise FpmlError(f"no example '{file}'; there are {', '.join(examples())}")
    with (EXAMPLES / file).open("rb") as opened_file:
        return Picture(file, read_open(opened_file, file, MAX_PIXELS), examples()[file]["dpi"], "so it was generated")


def shown(grey: np.ndarray) -> str:
    """A grey picture as a data: address, no larger than a screen shows."""
    image = Image.fromarray(grey)
    image.thumbnail((SHOWN, SHOWN))
    return address(image)


def tinted(share: np.ndarray, colour: tuple[int, int, int]) -> str:
    """A map of 0..1 (H, W) as a data: address of one colour, the more opaque, the higher."""
    layers = np.empty((*share.shape, 4), np.uint8)
    layers[..., :3] = colour
    layers[..., 3] = np.round(share.clip(0, 1) * OPAQUE)
    return address(Image.fromarray(layers))


def address(image: Image.Image) -> str:
    stream = BytesIO()
    image.save(stream, format="png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
