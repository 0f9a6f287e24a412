"""What was moved, moved back: the pixels that an alteration was interpolated from are solved for.

An altered pixel is a known mean of four real ones, so that the altered picture is a sparse linear system for the real one.
Solved by least squares from a cubic interpolation back, it keeps what a second interpolation would blur."""

import numpy as np

from fpml.alteration.kinds import Map, Rotation, ZCut

DAMPING = 0.03  # of the least squares: what the system does not say stays as interpolated
STEPS = 25


def undo(picture: np.ndarray, alteration: Rotation | ZCut) -> tuple[np.ndarray, np.ndarray]:
    """The picture with all that was moved in its place again, float64 (H, W) in 0..255, and which pixels were brought there: a
    disc that was not turned about its middle left a narrow crescent of others, which are lost.

    picture: (H, W), grey 0..255. What covers it is not taken off."""
    from scipy.ndimage import map_coordinates

    altered = picture.astype(np.float64)
    shape = (picture.shape[0], picture.shape[1])
    back_y, back_x, home = alteration.back(shape)
    made = alteration.map(shape)
    home &= made.moved  # what lies beside was never changed
    if not (home.any() and made.moved.any()):  # all of it lies outside the picture
        return altered, home
    start = altered.copy()
    start[home] = map_coordinates(altered, [back_y[home], back_x[home]], order=3, mode="nearest").clip(0, 255)
    return solved(altered, made, home, start), home


def solved(altered: np.ndarray, made: Map, home: np.ndarray, start: np.ndarray) -> np.ndarray:
    """`start` with its pixels at `home` changed, so that interpolating at `made`'s places gives the altered picture."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import lsqr

    height, width = altered.shape
    rows = np.flatnonzero(made.moved)
    y, x = np.clip(made.from_y.ravel()[rows], 0, height - 1), np.clip(made.from_x.ravel()[rows], 0, width - 1)
    top, left = np.minimum(y.astype(np.intp), height - 2), np.minimum(x.astype(np.intp), width - 2)
    down, right = y - top, x - left
    shares = np.concatenate([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    corners = top * width + left
    columns = np.concatenate([corners, corners + 1, corners + width, corners + width + 1])
    system = csr_matrix((shares, (np.tile(np.arange(len(rows)), 4), columns)), shape=(len(rows), height * width))
    out = start.ravel().copy()
    missing = altered.ravel()[rows] - system @ out
    free = np.flatnonzero(home)
    out[free] += lsqr(system.tocsc()[:, free], missing, damp=DAMPING, iter_lim=STEPS)[0]
    return np.asarray(out.reshape(height, width).clip(0, 255))
