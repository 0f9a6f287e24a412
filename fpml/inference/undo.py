"""An altered print repaired by undoing: what was moved is moved back, known noise is taken off, what was lost is painted.

What was done to it is found first (fpml/inference/alterations.py). If that is sure, it is undone (fpml/alteration/undo.py,
fpml/alteration/noise.py); polish then paints over rims, scars and what can't be undone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fpml.alteration.kinds import CLASSES, Alteration, Obliteration, Rotation, ZCut
from fpml.alteration.noise import unblended
from fpml.alteration.undo import undo
from fpml.inference.alterations import MULTIPLE, Run, look, padded, placed_blot, placed_cut, placed_turn

ALTERED = 0.9  # probability from which a print is taken for altered: one unaltered print in a hundred is
# confidence from which an alteration is undone; below it a cut is left, all else painted over
SURE = {"CR": 0.2, "Zcut": 0.4, "Obl": 0.5}
INSTEAD = 0.4  # confidence from which what looked obliterated, but by no known noise, is taken for a turned disc


@dataclass(frozen=True)
class Found:
    kind: str  # none (also where an alteration is not sure enough), CR, Zcut or Obl
    confidence: float  # that the print was altered so, or looked obliterated where a disc was found instead
    # CR: y, x, about which it turned, degrees, and the disc's radius and middle; Zcut: v0, v1, v2, v3, each (y, x); Obl: y, x,
    # the middle of what is covered, how many pixels that are, and the noise's number; all in pixels of the picture. {} where
    # it is not known
    place: dict[str, Any]
    placed: float  # confidence that the place is exact (of a cut before its last moves); 0 where nothing was moved
    undone: bool  # moved back, or the noise taken off; else only painted over, or left where it is a cut


@dataclass(frozen=True)
class Undone:
    picture: np.ndarray  # float32 (H, W) 0..1: repaired
    damage: np.ndarray  # float32 (H, W) 0..1: how surely each pixel was damaged
    back: np.ndarray  # uint8 (H, W): with what was moved in its place again and known noise taken off, nothing painted
    found: Found


def repair(run: Run, picture: np.ndarray) -> Undone:
    """A print (H, W) uint8 at the networks' dpi."""
    kinds, guess = look(run, picture)
    kind = CLASSES[int(kinds.argmax())] if kinds[0] < 1 - ALTERED else "none"
    confidence = float(kinds[CLASSES.index(kind)])
    nothing = np.zeros(picture.shape, np.float32)
    if kind == "none":
        return Undone(picture.astype(np.float32) / 255, nothing, picture, Found(kind, confidence, {}, 0.0, False))
    best: Alteration | None
    best, placed = {"CR": placed_turn, "Zcut": placed_cut, "Obl": placed_blot}[kind](run, picture, guess)
    if kind == "Obl" and placed < SURE[kind]:  # no known noise: a disc whose rim is broad and white looks alike
        turn, sure_of_turn = placed_turn(run, picture, guess)
        if sure_of_turn >= INSTEAD:
            kind, best, placed = "CR", turn, sure_of_turn
    back, home, damaged = picture, np.zeros(picture.shape, bool), np.zeros(picture.shape, bool)
    sure = best is not None and placed >= SURE[kind]
    if best is not None and sure:
        made = best.map((picture.shape[0], picture.shape[1]))
        if isinstance(best, Obliteration):
            damaged = home = made.weight > 0
            whole = unblended(picture, made.weight, made.cover)
        else:
            damaged = made.moved
            whole, home = undo(picture, best)
        back = np.rint(whole).astype(np.uint8)
    repaired, wrong = _polished(run, picture, back, home)
    if kind == "Zcut" and not sure:  # its ridges lie elsewhere, and paint over its lines brings none of them back
        repaired = picture.astype(np.float32) / 255
    return Undone(repaired, np.maximum(wrong, damaged), back, Found(kind, confidence, _place(best), placed, sure))


def painted(run: Run, picture: np.ndarray) -> np.ndarray:
    """A print (H, W) uint8 painted over where it looks damaged, nothing found or undone: float32 (H, W), 0..1."""
    return _polished(run, picture, picture, np.zeros(picture.shape, bool))[0]


def _polished(run: Run, picture: np.ndarray, back: np.ndarray, moved: np.ndarray) -> list[np.ndarray]:
    height, width = picture.shape
    inputs = {name: padded(v.astype(np.uint8)) for name, v in (("altered", picture), ("undone", back), ("moved", moved))}
    return [v[0, 0, :height, :width] for v in run(["repaired", "wrong"], **inputs)]


def asked_of(session: Any) -> Run:
    """The networks of an ONNX Runtime session. It wants all inputs, whatever the outputs need: the others are nothing."""
    import onnxruntime

    only = onnxruntime.RunOptions()
    only.only_execute_path_to_fetches = True
    strips = {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in session.get_inputs() if i.type == "tensor(float)"}
    channels = {i.name: i.shape[1] for i in session.get_inputs() if i.name not in strips}

    def run(outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        sides = next((v.shape[2:] for v in inputs.values() if v.dtype == np.uint8), (2 * MULTIPLE, 2 * MULTIPLE))
        pictures = {name: np.zeros((1, count, *sides), np.uint8) for name, count in channels.items()}
        found: list[np.ndarray] = session.run(outputs, {**pictures, **strips, **inputs}, only)
        return found

    return run


def _place(best: Alteration | None) -> dict[str, Any]:
    if isinstance(best, Rotation):
        about = {"y": round(best.y, 2), "x": round(best.x, 2), "radius": round(best.radius, 1), "degrees": best.degrees}
        return {**about, "middle": tuple(round(v, 2) for v in best.middle)}
    if isinstance(best, ZCut):
        return {v: tuple(round(float(c), 2) for c in getattr(best, v)) for v in ("v0", "v1", "v2", "v3")}
    if isinstance(best, Obliteration):
        pixels = sum(end - first for _, first, end in best.runs)
        return {"y": round(best.y, 1), "x": round(best.x, 1), "pixels": pixels, "noise": best.noise}
    return {}
