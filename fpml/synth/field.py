"""The finger: its class, singularities, orientation field and ridge-period map.

Coordinates are pixels at 500 dpi with the origin in the middle of the master, x to the right and y up.
An orientation is an angle in radians from the x axis, counter-clockwise, modulo pi.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

HEIGHT, WIDTH = 560, 416  # pixels at 500 dpi: 28 mm x 21 mm, a whole rolled fingertip
DPI = 500

# Natural shares of the five classes (Cappelli, SFinGe; the figures are those of NIST's counts).
CLASS_SHARES = {"arch": 0.037, "tented-arch": 0.029, "left-loop": 0.338, "right-loop": 0.317, "whorl": 0.279}
KNOTS = 8  # pieces of the piecewise-linear correction (Vizcaya and Gerhardt 1996)


@dataclass(frozen=True)
class Finger:
    """What identifies one finger; everything else of it grows from these numbers."""

    seed: tuple[int, int]  # (seed of the set, number of the finger)
    pattern: str
    loops: tuple[tuple[float, float], ...]  # pixels at 500 dpi
    deltas: tuple[tuple[float, float], ...]
    knots: tuple[tuple[float, ...], ...]  # one row of KNOTS angles (radians) for each loop, then each delta
    arch: float  # slope of the arch component
    arch_top: float  # pixels: where the arch component is strongest
    tilt: float  # radians
    period: float  # mean ridge period, pixels at 500 dpi


def draw_finger(seed: int, number: int, pattern: str | None = None) -> Finger:
    """The finger `number` of the set `seed`; the same numbers whatever else is drawn.

    Raises ValueError for an unknown pattern class."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
    natural = str(rng.choice(list(CLASS_SHARES), p=np.array(list(CLASS_SHARES.values())) / sum(CLASS_SHARES.values())))
    pattern = natural if pattern is None else pattern
    if pattern not in CLASS_SHARES:
        raise ValueError(f"unknown pattern class {pattern!r}; allowed: {', '.join(CLASS_SHARES)}")

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    core = np.array([u(-12, 12), u(10, 55)])
    loops: list[Any] = []
    deltas: list[Any] = []
    if pattern == "tented-arch":
        loops, deltas = [core], [core + np.array([u(-6, 6), -u(60, 110)])]
    elif pattern in ("left-loop", "right-loop"):
        side = 1 if pattern == "left-loop" else -1  # a left loop opens to the left: its delta is on the right
        loops, deltas = [core], [core + np.array([side * u(70, 125), -u(85, 150)])]
    elif pattern == "whorl":
        half = np.array([u(-14, 14), u(12, 42)])
        loops = [core + half, core - half]
        deltas = [core + np.array([side * u(85, 140), -u(95, 160)]) for side in (-1, 1)]
    knots = [tuple(rng.normal(0, 0.12, KNOTS)) for _ in range(len(loops) + len(deltas))]
    return Finger(
        seed=(seed, number),
        pattern=pattern,
        loops=tuple((float(a), float(b)) for a, b in loops),
        deltas=tuple((float(a), float(b)) for a, b in deltas),
        knots=tuple(tuple(float(v) for v in row) for row in knots),
        arch=u(0.9, 1.7) if pattern == "arch" else u(0.25, 0.6),
        arch_top=u(-30, 40),
        tilt=float(rng.normal(0, 0.05)),
        period=float(np.clip(rng.normal(8.6, 0.55), 7.4, 10.0)),
    )


def axes(height: int, width: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """x (1, width) and y (height, 1) in pixels at 500 dpi, for a grid laid over the whole master."""
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * (WIDTH / width) - WIDTH / 2
    y = HEIGHT / 2 - (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * (HEIGHT / height)
    return x[None, :], y[:, None]


def _corrected_angle(dx: Tensor, dy: Tensor, knots: tuple[float, ...]) -> Tensor:
    """arg(dx + i dy) plus its piecewise-linear correction, continuous around the singularity."""
    angle = torch.atan2(dy, dx)
    place = (angle / (2 * torch.pi) + 0.5) * KNOTS
    low = place.floor().clamp(0, KNOTS - 1)
    table = torch.tensor([*knots, knots[0]], device=dx.device)
    index = low.long()
    return angle + table[index] + (place - low) * (table[index + 1] - table[index])


def orientation(finger: Finger, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """The orientation field, (height, width) in radians, over the whole master.

    Sherlock and Monro's zero-pole model, theta = 1/2 [sum over loops - sum over deltas] of the angle seen
    from each, with piecewise-linear corrections; an arch component bends the ridges round the fingertip
    (and makes the arches, which have no singularity: a sinusoidal slope, as in SFinGe).
    """
    x, y = axes(height, width, device)
    theta = torch.full((height, width), finger.tilt, device=device)
    for number, (px, py) in enumerate((*finger.loops, *finger.deltas)):
        sign = 0.5 if number < len(finger.loops) else -0.5
        theta = theta + sign * _corrected_angle(x - px, y - py, finger.knots[number])
    envelope = torch.sigmoid((y - finger.arch_top + 130) / 45)
    if finger.pattern == "arch":
        envelope = torch.exp(-(((y - finger.arch_top) / 150) ** 2)) + 0.35 * envelope
    slope = finger.arch * envelope * -torch.sin(torch.pi * (x / WIDTH).clamp(-0.5, 0.5))
    return theta + torch.atan(slope)


def period_map(finger: Finger, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """The ridge period, (height, width) in pixels at 500 dpi: coarser below the deltas and above the loops."""
    _, y = axes(height, width, device)
    lowest = min((p[1] for p in finger.deltas), default=-90.0)
    topmost = max((p[1] for p in finger.loops), default=30.0)
    below = torch.sigmoid((lowest - 10 - y) / 22)
    above = torch.sigmoid((y - topmost - 70) / 30)
    rng = np.random.default_rng(np.random.SeedSequence([*finger.seed, 1]))
    coarse = torch.from_numpy(rng.normal(0, 1, (1, 1, 7, 6)).astype(np.float32)).to(device)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0, 0]
    return (finger.period * (1 + 0.16 * below + 0.06 * above + 0.045 * smooth)).clamp(7.0, 12.5)
