"""Figures show what they are of."""

import io

import numpy as np
from PIL import Image

from fpml.drawing import figures


def test_a_small_share_is_seen_where_it_lies_and_nowhere_else() -> None:
    """A map of at most 3 % is red on its left half, and grey on its right."""
    share = np.zeros((1, 40, 40))
    share[:, :, :20] = 0.03
    file = io.BytesIO()
    figures.overlays(np.full((1, 40, 40), 128, np.uint8), {"lost": share}, "t", file)
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    lower = pixels[height // 2 :, : int(0.7 * width)]  # the map's row, without its colour bar
    red = lower[..., 0] - lower[..., 2] > 60
    grey = (np.ptp(lower, axis=2) < 5) & (np.abs(lower[..., 0] - 128) < 20)
    assert red.sum() > 1000
    assert 0.8 < red.sum() / grey.sum() < 1.25
    assert np.nonzero(red)[1].max() < np.nonzero(grey)[1].max()
