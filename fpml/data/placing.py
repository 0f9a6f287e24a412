"""A print on a recipe's canvas: found, cropped, brought to one dpi and one size.

The ridge period survives: resampling is isotropic, by dpi alone. `crop: none` keeps the whole picture, so that an
altered print lies where its real one does; `crop: squash` is the published plain resize to a rectangle.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from fpml.settings.recipe import Data

MARGIN = 0.02  # inches left around the print


def segment(grey: np.ndarray, dpi: float) -> np.ndarray:
    """The print's mask, (H, W) bool: where grey varies as ridges do, in one piece without holes.

    The local standard deviation over about two ridge periods, cut by Otsu's threshold (Otsu 1979) between
    plate and print, closed and opened over one period."""
    period = 9 * dpi / 500
    values = grey.astype(np.float32)
    side = max(3, round(2 * period))
    mean = ndimage.uniform_filter(values, side)
    deviation = np.sqrt(np.maximum(ndimage.uniform_filter(values**2, side) - mean**2, 0))
    mask = deviation > 0.8 * _otsu(deviation)
    times = max(1, round(period / 2))
    closed = ~_grown(~_grown(np.pad(mask, side), times), times)
    mask = _grown(~_grown(~closed, times), times)[side:-side, side:-side]
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.ones_like(mask)  # nothing stands out: the print fills the picture
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    # A print may fall into pieces at a crease; specks may not pass for prints.
    kept = (sizes >= 0.1 * sizes.max())[labels]
    empty = ndimage.label(np.pad(~kept, 1, constant_values=True))[0]
    return np.asarray(empty[1:-1, 1:-1] != empty[0, 0])  # what the plate round about doesn't reach: no holes


def _grown(mask: np.ndarray, times: int) -> np.ndarray:
    """What lies at most so many steps from the mask, up, down and sideways: as ndimage.binary_dilation, but faster."""
    for _ in range(times):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def _otsu(values: np.ndarray) -> float:
    counts, edges = np.histogram(values, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
    between = np.where((below > 0) & (above > 0), below * above * gap**2, -1.0)
    return float(middles[np.argmax(between)])


def _resize(grey: np.ndarray, height: int, width: int, method: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(grey).resize((width, height), method))


def place_print(grey: np.ndarray, dpi: float, data: Data) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], int | None]:
    """A grey picture (H, W) on the recipe's canvas.

    Returns the canvas and its mask (both uint8), the box of the canvas that the picture covers
    (top, bottom, left, right), and the grey of the empty plate (None where there is none to see)."""
    if data.crop == "none":
        rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        return *_lay(grey, np.ones(grey.shape, bool), dpi, data), int(np.median(rim))
    mask = segment(grey, dpi)
    outside = ~_grown(mask, max(1, round(dpi / 100)))
    plate = int(np.median(grey[outside])) if outside.mean() > 0.01 else None
    height, width = data.height, data.width
    if data.crop == "squash":
        canvas = _resize(grey, height, width, Image.Resampling.BILINEAR)
        small = _resize(mask.astype(np.uint8), height, width, Image.Resampling.NEAREST)
        return canvas, small, (0, height, 0, width), plate
    top, bottom, left, right = box_of(mask, dpi)
    return *_lay(grey[top:bottom, left:right], mask[top:bottom, left:right], dpi, data), plate


def whole_print(grey: np.ndarray, dpi: float, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The same as a recipe's network sees it: the canvas, with empty plate round the picture, and its mask."""
    canvas, mask, (top, bottom, left, right), plate = place_print(grey, dpi, data)
    whole = np.full_like(canvas, 255 if plate is None else plate)
    whole[top:bottom, left:right] = canvas[top:bottom, left:right]
    return whole, mask


def box_of(mask: np.ndarray, dpi: float) -> tuple[int, int, int, int]:
    """What of a picture is kept for its print, MARGIN round the mask: top, bottom, left, right."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    margin = round(MARGIN * dpi)
    top, bottom = max(rows[0] - margin, 0), min(rows[-1] + 1 + margin, mask.shape[0])
    return int(top), int(bottom), int(max(columns[0] - margin, 0)), int(min(columns[-1] + 1 + margin, mask.shape[1]))


def _lay(grey: np.ndarray, mask: np.ndarray, dpi: float, data: Data) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """A picture and its mask brought to the recipe's dpi and laid in the middle of its canvas; canvas, mask, box."""
    height, width = data.height, data.width
    scale = data.dpi / dpi
    size = max(1, round(grey.shape[0] * scale)), max(1, round(grey.shape[1] * scale))
    inner = grey if size == grey.shape else _resize(grey, *size, Image.Resampling.LANCZOS)
    inner_mask = _resize(mask.astype(np.uint8), *size, Image.Resampling.NEAREST)
    canvas, canvas_mask = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    # A print larger than the canvas is cut at its rim, a smaller one laid in the middle.
    cut = [max(0, (s - c) // 2) for s, c in zip(size, (height, width), strict=True)]
    lay = [max(0, (c - s) // 2) for s, c in zip(size, (height, width), strict=True)]
    high, wide = min(size[0], height), min(size[1], width)
    box = (lay[0], lay[0] + high, lay[1], lay[1] + wide)
    for target, source in ((canvas, inner), (canvas_mask, inner_mask)):
        target[box[0] : box[1], box[2] : box[3]] = source[cut[0] : cut[0] + high, cut[1] : cut[1] + wide]
    return canvas, canvas_mask, box
