"""The altered copies of a generated print: each kind at each level, as fpml/alteration draws and applies them."""

from collections.abc import Iterator

import numpy as np

from fpml.alteration.apply import apply
from fpml.alteration.draw import DRAWN, LEVELS, draw
from fpml.alteration.kinds import Alteration
from fpml.synth.noise import seed_of


def altered_copies(picture: np.ndarray, seed: int, finger: int, dpi: float) -> Iterator[tuple[str, Alteration, np.ndarray]]:
    """Level, alteration and altered copy, of each level and kind, of a uint8 print (H, W).

    A copy is drawn by the names of its level and kind, not by their places: another kind or level changes no other's copies."""
    for level in LEVELS:
        for kind in DRAWN:
            rng = np.random.default_rng(seed_of(seed, finger, *f"{level} {kind}".encode()))
            alteration = draw(picture, kind, level, rng, dpi)
            yield level, alteration, apply(picture, alteration)[0]
