"""The ridges on both sides of a seam, laid straight as a candidate says: where it is right, they run through."""

import numpy as np

from fpml.alteration.apply import bilinear
from fpml.alteration.kinds import ZCut
from fpml.alteration.traces import Turn

ACROSS = np.arange(-6.5, 6.6)  # pixels from the seam, inside negative
FARTHER = np.arange(-9.5, 9.6)  # where a rim is white, what lies farther off tells how the ridges run
COLUMNS = 120  # along a rim
ALONG = 48  # columns along each of a cut's seams


def turn_strips(picture: np.ndarray, candidates: list[Turn], radius: float, across: np.ndarray = ACROSS) -> np.ndarray:
    """(n, 2, len(across), 120) float32: for each candidate the ridges round its disc's rim, those inside turned back, grey 0..1
    (white beyond the picture); and the disc's radius. picture: (H, W) 0..255; radius: pixels."""
    places = np.array([(t.y, t.x, t.degrees, *t.middle) for t in candidates], float)
    about_y, about_x, degrees, y, x = places.T[:, :, None, None]
    distance = np.maximum(radius + across, 0.3)[:, None]
    angle = np.arange(COLUMNS) * 2 * np.pi / COLUMNS
    dy, dx = y + distance * np.sin(angle) - about_y, x + distance * np.cos(angle) - about_x
    turned = (across < 0)[:, None] * np.deg2rad(degrees)
    c, s = np.cos(turned), np.sin(turned)
    at_y, at_x = about_y + c * dy + s * dx, about_x + c * dx - s * dy
    return _strips(picture, at_y, at_x, np.full(len(candidates), radius / 32 - 0.6))


def cut_strips(picture: np.ndarray, candidates: list[ZCut]) -> np.ndarray:
    """(n, 2, 14, 240), as turn_strips, of the seams of an undone ZCut, 48 columns each; and the length of its base. Two of
    them, V1V2 and V0V3, were never cut: nothing is scarred there, and ridges run through only if both lines are where the
    candidate has them."""
    v0, v1, v2 = (np.array([getattr(z, name) for z in candidates]) for name in ("v0", "v1", "v2"))
    v3, base = v0 + v2 - v1, v2 - v1
    ys, xs = [], []
    for start, end in ((v1, v0), (v2, v3), (v1, v3), (v1, v2), (v0, v3)):
        along = end - start
        length = np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1)
        normal = np.stack([along[:, 1], -along[:, 0]], 1) / length
        share = (np.arange(ALONG) + 0.5) / ALONG
        point = start[:, None, :] + share[None, :, None] * along[:, None, :]
        point = point[:, None] + ACROSS[None, :, None, None] * normal[:, None, None]
        ys.append(point[..., 0])
        xs.append(point[..., 1])
    y, x = np.concatenate(ys, 2), np.concatenate(xs, 2)  # of the undone picture
    side = v0 - v1
    determinant = (base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0])[:, None, None]
    qy, qx = y - v1[:, 0, None, None], x - v1[:, 1, None, None]
    alpha = (qy * side[:, 1, None, None] - qx * side[:, 0, None, None]) / determinant
    beta = (base[:, 0, None, None] * qx - base[:, 1, None, None] * qy) / determinant
    moved = (alpha >= 0) & (alpha <= 1) & (beta >= 0) & (beta <= 1)
    shift = np.where(moved, np.where(alpha >= beta, -beta, 1 - beta), 0)
    return _strips(picture, y + shift * base[:, 0, None, None], x + shift * base[:, 1, None, None], np.hypot(*base.T) / 32 - 1)


def of_circle(columns: int) -> np.ndarray:
    """(columns, 3): by how much a rim's columns move outwards where its centre moves down or right, or its radius grows."""
    angle = np.arange(columns) * 2 * np.pi / columns
    return np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], 1)


def _strips(picture: np.ndarray, y: np.ndarray, x: np.ndarray, measure: np.ndarray) -> np.ndarray:
    height, width = picture.shape
    seen = bilinear(picture.astype(np.float32), y, x) / 255
    seen = np.where((y < 0) | (y > height - 1) | (x < 0) | (x > width - 1), 1.0, seen)
    return np.stack([seen, np.broadcast_to(measure[:, None, None], seen.shape)], 1).astype(np.float32)
