"""The minutiae of a master: the places where the phase of its ridges winds once round.

A ridge pattern is the cosine of a phase. Round an ordinary point the phase comes back to itself; round a
minutia it gains or loses one whole period (Larkin and Fletcher 2007), which is found for all pixels at once.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fpml.synth.field import HEIGHT, WIDTH, Finger, grid, look_up, orientation, period_map


@dataclass(frozen=True)
class Minutiae:
    """The minutiae of one finger, N of each."""

    x: np.ndarray  # float32, pixels at 500 dpi from the middle of the master, to the right
    y: np.ndarray  # float32, up
    angle: np.ndarray  # float32, radians in 0..2 pi, counter-clockwise: along an ending's ridge, into a bifurcation's valley
    ending: np.ndarray  # bool; False: a bifurcation
    clarity: np.ndarray  # float32 in 0..1: how clear it is which of the two; near 0 a little pressure changes it


QUADRATURE = ((-0.75, -0.33), (-0.25, 0.75), (0.25, -0.75), (0.75, 0.33))  # a sine of one period under a Gaussian
LEVEL = ((-0.5, -0.42), (0.5, -0.42))  # with the middle: the cosine
NEAR = 1.3  # ridge periods: a pair closer than this, winding to and fro, is a flaw in a ridge, not two minutiae


def find_minutiae(masters: Tensor, fingers: list[Finger]) -> list[Minutiae]:
    """The minutiae of each master, (B, HEIGHT, WIDTH), to about a pixel; those at the singular points are left out."""
    x, y = grid(HEIGHT, WIDTH, masters.device)
    theta, period = orientation(fingers, x, y), period_map(fingers, x, y)
    across_x, across_y = -torch.sin(theta), torch.cos(theta)
    even = look_up(masters[:, None], x, y)[:, 0]
    odd = torch.zeros_like(even)
    for place, weight in LEVEL:
        even = even + weight * look_up(masters[:, None], x + place * period * across_x, y + place * period * across_y)[:, 0]
    for place, weight in QUADRATURE:
        odd = odd + weight * look_up(masters[:, None], x + place * period * across_x, y + place * period * across_y)[:, 0]

    # The phase gained on the way round each square of four pixels. The direction across the ridges is known
    # but for its sign: each corner is brought to the sign of the first, which turns its phase about.
    rows, columns = slice(None, -1), slice(None, -1)
    corners = [(rows, columns), (slice(1, None), columns), (slice(1, None), slice(1, None)), (rows, slice(1, None))]
    first_x, first_y = (v[:, rows, columns] for v in (across_x, across_y))
    phases = []
    for r, c in corners:  # counter-clockwise as seen with y up: down the left side, along the bottom, up again
        same = across_x[:, r, c] * first_x + across_y[:, r, c] * first_y
        phases.append(torch.atan2(odd[:, r, c] * same.sign(), even[:, r, c]))
    gained = torch.zeros_like(phases[0])
    for here, there in zip(phases, [*phases[1:], phases[0]], strict=True):
        gained = gained + torch.remainder(there - here + torch.pi, 2 * torch.pi) - torch.pi
    winds = torch.round(gained / (2 * torch.pi)).long()

    found = []
    where = torch.nonzero(winds)
    for number, finger in enumerate(fingers):
        row, column = where[where[:, 0] == number][:, 1:].T
        at_x = x[0, 0, column] + 0.5
        at_y = y[0, row, 0] - 0.5
        sign = winds[number, row, column].float()
        # On the side where the phase gains a period a ridge or a valley begins: which one tells the type.
        turn_x, turn_y = sign * first_y[number, row, column], -sign * first_x[number, row, column]
        reach = 0.25 * period[number, row, column]
        ahead, behind = (
            look_up(masters[number, None, None], (at_x + r * turn_x)[None, None], (at_y + r * turn_y)[None, None])[0, 0, 0]
            for r in (reach, -reach)
        )
        keep = _lasting(at_x, at_y, sign, period[number, row, column], finger)
        angle = torch.remainder(torch.atan2(turn_y, turn_x), 2 * torch.pi)
        columns_of = (at_x, at_y, angle, ahead > behind, (ahead - behind).abs() / 2)
        found.append(Minutiae(*(v[keep].cpu().numpy() for v in columns_of)))
    return found


def _lasting(x: Tensor, y: Tensor, sign: Tensor, period: Tensor, finger: Finger) -> Tensor:
    """Which of the windings are minutiae: not one of a close pair that cancels, and not at a singular point."""
    keep = torch.ones_like(x, dtype=torch.bool)
    if len(x):
        apart = torch.hypot(x[:, None] - x, y[:, None] - y)
        apart = torch.where(sign[:, None] * sign < 0, apart, torch.inf)
        for _ in range(2):  # what lay between two may have hidden them from each other
            nearest = apart.argmin(1)
            mutual = nearest[nearest] == torch.arange(len(x), device=x.device)
            keep &= ~(mutual & (apart.amin(1) < NEAR * period))
            apart = torch.where(keep[:, None] & keep, apart, torch.inf)
    for px, py in (*finger.loops, *finger.deltas):
        keep &= torch.hypot(x - px, y - py) > 0.6 * period
    return keep
