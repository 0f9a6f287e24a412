"""The pattern class of a print, told by the flow of its ridges as a minutiae model sees it: prints of every look have the same
flow. A small network knows the flows of the classes from drawn fingers alone (docs/judge.md). ONNX Runtime alone."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fpml.base.shipped import SHIPPED, as_shipped, card_of
from fpml.inference.minutiae import BLOCK, SKIN, Look

NAME = "pattern-1"
FOLDER = SHIPPED / NAME
CLASSES = ("arch", "tented-arch", "left-loop", "right-loop", "whorl")  # as the generator's, fpml.synth.field.CLASS_SHARES
SIDE, STEP = 48, 16  # places along a flow's side, and pixels at 500 dpi from one to the next: 768 pixels, a rolled finger


def shows_skin(seen: Look) -> bool:
    return bool((seen.foreground > SKIN).any())


def flow(seen: Look) -> np.ndarray:
    """The flow of a print, the middle of its skin in the middle: float32 (3, SIDE, SIDE), cosine and sine of twice the
    orientation where there is skin, else 0; and 1 where there is."""
    skin = seen.foreground > SKIN
    each = STEP // BLOCK  # of the look's blocks along a place's side
    whole = SIDE * each
    fields = np.stack([np.cos(2 * seen.orientation) * skin, np.sin(2 * seen.orientation) * skin, skin]).astype(np.float32)
    middle = np.argwhere(skin).mean(0) if skin.any() else np.array(skin.shape) / 2
    top, left = (int(v) for v in np.rint(middle))
    cut = np.pad(fields, ((0, 0), (whole, whole), (whole, whole)))[
        :, top + whole - whole // 2 : top + whole + whole // 2, left + whole - whole // 2 : left + whole + whole // 2
    ]
    cells = cut.reshape(3, SIDE, each, SIDE, each).mean((2, 4))
    there = cells[2] > 1 / each**2
    cells[:2] = np.where(there, cells[:2] / np.maximum(cells[2], 1e-6), 0)
    cells[2] = there
    return np.asarray(cells)


def sha256() -> str:
    """Of the shipped model, as its card says."""
    return str(card_of(FOLDER)["sha256"])


@cache
def _session() -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(as_shipped(FOLDER / "model.onnx"), providers=["CPUExecutionProvider"])


def patterns(seen: Sequence[Look]) -> np.ndarray:
    """The probabilities of CLASSES for each print, float32 (N, 5). FpmlError where the shipped model's file was changed."""
    if not seen:
        return np.empty((0, len(CLASSES)), np.float32)
    found: np.ndarray = _session().run(["patterns"], {"flow": np.stack([flow(s) for s in seen])})[0]
    return found


def told(seen: Look) -> str:
    """The likeliest class of a print, and how sure that is: 'whorl (97 %)'; 'no pattern' where there is no skin."""
    if not shows_skin(seen):
        return "no pattern"
    chances = patterns([seen])[0]
    return f"{CLASSES[int(chances.argmax())]} ({chances.max():.0%})"
