"""How SOCOFing's obliterations were blended: with one of three pictures of noise, by a law without chance.

Registered on their real prints, altered ones show the same three pictures each time, pixel by pixel at the same place of the
frame; and a weight that depends on nothing but how deep in the covered region a pixel lies (docs/scripts/measure_noise.py,
which makes noise.npy). So who knows the region and the picture takes the noise off again, down to what rounding left.
"""

from functools import cache
from pathlib import Path

import numpy as np

STEEP, MIDDLE = 6.0, 0.3  # of the weight's logistic, over the depth in the region, 0 at its edge and 1 where it is deepest
WHITENED = 1 / 3  # that middle where a rim is covered with white
KNOWN = 3  # pictures of noise, numbered from 0; a higher number is the seed of a made up one
MEAN, GRAIN = 126.0, (0.75, 4.0)  # grey; pixels, standard deviation of the Gaussian that made up bumps come from
SPREAD = (48.0, 44.0)  # grey, their standard deviation: at a grain of 1 pixel, and what each e-fold of it adds


@cache
def pictures() -> np.ndarray:
    """(3, 97, 90) uint8: coarse, middle and fine noise, as it lies in the frame of SOCOFing's prints."""
    return np.asarray(np.load(Path(__file__).with_name("noise.npy"), allow_pickle=False))


def cover(number: int, shape: tuple[int, int], darkest: float, scale: float = 1.0) -> np.ndarray:
    """The noise that covers a picture (H, W), grey, float64: from the print's darkest grey to white. scale: pixels of it for
    each of SOCOFing's."""
    return np.asarray(darkest + _noise(number, shape, scale) * (1 - darkest / 255))


def _noise(number: int, shape: tuple[int, int], scale: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter, zoom

    if number >= KNOWN:
        rng = np.random.default_rng(number)
        grain = float(np.exp(rng.uniform(*np.log(GRAIN))))
        bumps = gaussian_filter(rng.standard_normal(shape), scale * grain)
        spread = SPREAD[0] + SPREAD[1] * max(np.log(grain), 0)
        return np.asarray(np.clip(MEAN + spread * bumps / max(float(bumps.std()), 1e-9), 0, 255))
    one: np.ndarray = pictures()[number].astype(np.float64)
    if scale != 1:
        one = np.asarray(zoom(one, scale, order=1))
    beyond = [(0, max(side - has, 0)) for side, has in zip(shape, one.shape, strict=True)]
    return np.asarray(np.pad(one, beyond, mode="symmetric")[: shape[0], : shape[1]])


def weights(covered: np.ndarray, middle: float = MIDDLE) -> np.ndarray:
    """How much of a pixel is noise, 0..1, of a region (H, W) bool; 0 outside. Beyond the picture nothing is covered."""
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(covered, 1), "chessboard")[1:-1, 1:-1]
    return np.where(covered, 1 / (1 + np.exp(-STEEP * (depth / max(int(depth.max()), 1) - middle))), 0.0)


def largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a region (H, W) bool, diagonals included."""
    from scipy.ndimage import label

    parts, count = label(region, np.ones((3, 3)))
    return np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])) if count > 1 else region


def unblended(picture: np.ndarray, weight: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The grey that lay under the noise, float64 (H, W), 0..255. Rounding is off by half a grey, and here by 1 / (1 - weight)
    times as much; what noise and print made too white or too black to be told apart stays too white or black."""
    return np.asarray(((picture - weight * noise) / (1 - weight)).clip(0, 255))
