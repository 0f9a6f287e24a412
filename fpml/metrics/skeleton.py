"""The textbook way to find minutiae: threshold, thin, look for ends and forks. What a trained network stands beside."""

import numpy as np
from scipy import ndimage

from fpml.data.placing import segment

REACH = 10  # pixels along the thinned ridge that tell a minutia's direction
RIM = 12  # pixels from the print's edge in which ends of ridges are no minutiae
APART = 6.0  # pixels: two so close are a break or a spur


def skeleton_minutiae(grey: np.ndarray) -> np.ndarray:
    """float32 (N, 4): x, y (pixels), angle (radians, ISO/IEC 19794-2), 1 for an ending, of a print (H, W) uint8 at 500 dpi.

    By crossing numbers (Rutovitz 1966) of the thinned ridges (Zhang and Suen 1984)."""
    from skimage.morphology import skeletonize

    values = grey.astype(np.float32)
    mask = segment(grey, 500)
    ridge = ndimage.gaussian_filter(values, 1.5) < ndimage.gaussian_filter(values, 8)
    thin = skeletonize(ridge & mask)
    count = ndimage.convolve(thin.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") - 1
    inner = ndimage.binary_erosion(np.pad(mask, 1), iterations=RIM)[1:-1, 1:-1]
    rows = []
    for y, x in np.argwhere(thin & inner & ((count == 1) | (count == 3))):
        ending = count[y, x] == 1
        angle = _direction(thin, y, x, bool(ending))
        if angle is not None:
            rows.append((x, y, angle, ending))
    table = np.array(rows, np.float32).reshape(-1, 4)
    near = np.hypot(table[:, None, 0] - table[:, 0], table[:, None, 1] - table[:, 1]) < APART
    alone: np.ndarray = table[near.sum(1) == 1]
    return alone


def _direction(thin: np.ndarray, y: int, x: int, ending: bool) -> float | None:
    """Along an ending's ridge; into the valley of a fork, which lies opposite the branch that differs most from the others.
    None where the branches are too short to tell."""
    top, left = max(0, y - REACH), max(0, x - REACH)
    window = thin[top : y + REACH + 1, left : x + REACH + 1].copy()
    window[max(0, y - top - 1) : y - top + 2, max(0, x - left - 1) : x - left + 2] = False
    labels, branches = ndimage.label(window, np.ones((3, 3)))
    ways = []
    for branch in range(1, branches + 1):
        down, right = np.nonzero(labels == branch)
        dy, dx = down + top - y, right + left - x
        if np.abs([dy, dx]).max(0).min() == 2 and len(dy) >= REACH // 2:  # it begins beside the point
            ways.append(np.arctan2(-dy.mean(), dx.mean()))
    if ending:
        return float(ways[0]) if len(ways) == 1 else None
    if len(ways) != 3:
        return None
    towards = np.exp(1j * np.array(ways))
    alone = int(np.argmin([(np.conj(towards[k]) * (towards.sum() - towards[k])).real for k in range(3)]))
    return float(np.angle(towards.sum() - towards[alone]))
