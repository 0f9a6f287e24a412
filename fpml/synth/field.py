"""The finger: its class, singularities, orientation field and ridge-period map.

Coordinates are pixels at 500 dpi with the origin in the middle of the master, x to the right and y up.
An orientation is an angle in radians from the x axis, counter-clockwise, modulo pi.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.synth.noise import normal, seed_of

HEIGHT, WIDTH = 560, 416  # pixels at 500 dpi: 28 mm x 21 mm, a whole fingertip
DPI = 500

# Natural shares of the five classes (Cappelli, SFinGe; the figures are those of NIST's counts).
CLASS_SHARES = {"arch": 0.037, "tented-arch": 0.029, "left-loop": 0.338, "right-loop": 0.317, "whorl": 0.279}
KNOTS = 8  # pieces of the piecewise-linear correction (Vizcaya and Gerhardt 1996)
SWAY = 0.13  # radians, standard deviation at the nodes of a grid of about 90 pixels
ROUND_WITHIN = 110.0  # pixels round a loop in which its ridges are bent round

Point = tuple[float, float]


@dataclass(frozen=True)
class Finger:
    """What identifies one finger; everything else of it grows from these numbers."""

    seed: int  # of the set
    number: int  # of the finger in its set
    pattern: str  # one of CLASS_SHARES
    loops: tuple[Point, ...]  # pixels at 500 dpi
    deltas: tuple[Point, ...]
    knots: tuple[tuple[float, ...], ...]  # one row of KNOTS angles (radians) for each loop, then each delta
    opens: tuple[float, ...]  # for each loop, the direction in which it opens, radians
    roundness: float  # 0: the ridges of a loop are parabolas; 1: half circles with straight legs
    spiral: float  # radians: turn of the ridges round the core of a whorl
    arch: float  # slope of the arch component
    arch_top: float  # pixels: where the arch component is strongest
    tilt: float  # radians
    period: float  # mean ridge period, pixels at 500 dpi
    moisture: float  # how much wetter than the mean its skin is
    creases: tuple[tuple[float, ...], ...]  # lasting lines across the skin: angle, offset, middle, half length, half width


def draw_finger(seed: int, number: int, pattern: str | None = None) -> Finger:
    """The finger `number` of the set `seed`; the same numbers whatever else is drawn.

    Raises FpmlError for an unknown pattern class."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
    natural = str(rng.choice(list(CLASS_SHARES), p=np.array(list(CLASS_SHARES.values())) / sum(CLASS_SHARES.values())))
    pattern = natural if pattern is None else pattern
    if pattern not in CLASS_SHARES:
        raise FpmlError(f"unknown pattern class '{pattern}'; allowed: {', '.join(CLASS_SHARES)}")

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    core = np.array([u(-16, 16), u(0, 60)])
    loops: list[Any] = []
    deltas: list[Any] = []
    if pattern == "tented-arch":
        loops, deltas = [core], [core + np.array([u(-6, 6), -u(55, 105)])]
    elif pattern in ("left-loop", "right-loop"):
        side = 1 if pattern == "left-loop" else -1  # a left loop opens to the left: its delta is on the right
        loops, deltas = [core], [core + np.array([side * u(55, 130), -u(70, 155)])]
    elif pattern == "whorl":
        half = np.array([float(rng.normal(0, 14)), u(8, 42)])
        loops = [core + half, core - half]
        deltas = [core + np.array([side * u(75, 145), -u(85, 165)]) for side in (-1, 1)]
    finger = Finger(
        seed=seed,
        number=number,
        pattern=pattern,
        loops=tuple((float(a), float(b)) for a, b in loops),
        deltas=tuple((float(a), float(b)) for a, b in deltas),
        knots=tuple(tuple(float(v) for v in rng.normal(0, 0.15, KNOTS)) for _ in range(len(loops) + len(deltas))),
        opens=(0.0,) * len(loops),
        roundness=0.0 if pattern == "tented-arch" else u(0.55, 1.0),
        spiral=float(rng.normal(0, 0.22)) if pattern == "whorl" else 0.0,
        arch=u(0.9, 1.7) if pattern == "arch" else u(0.25, 0.6),
        arch_top=u(-30, 40),
        tilt=float(rng.normal(0, 0.05)),
        period=float(np.clip(rng.normal(8.1, 0.5), 7.0, 9.6)),
        moisture=float(rng.normal(0, 0.1)),
        creases=(
            (float(rng.normal(0, 0.06)), u(-270, -205), 0.0, 220.0, u(2, 5)),  # where the fingertip bends
            *((u(-0.7, 0.7), u(-160, 160), u(-60, 60), u(15, 90), u(0.6, 1.6)) for _ in range(int(rng.poisson(0.8)))),
        ),
    )
    return replace(finger, opens=tuple(opening(finger, number) for number in range(len(loops))))


def opening(finger: Finger, loop: int) -> float:
    """The direction in which a loop opens: there its own half angle and the rest of the field lie along the ray."""
    rest = replace(
        finger,
        loops=tuple(p for n, p in enumerate(finger.loops) if n != loop),
        knots=tuple(k for n, k in enumerate(finger.knots) if n != loop),
        opens=tuple(a for n, a in enumerate(finger.opens) if n != loop),
        roundness=0.0,
    )
    x, y = finger.loops[loop]
    return 2 * float(orientation([rest], torch.tensor([[[x]]]), torch.tensor([[[y]]]))[0, 0, 0])


def grid(height: int, width: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """x (1, 1, width) and y (1, height, 1) in pixels at 500 dpi, for a grid laid over the whole master."""
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * (WIDTH / width) - WIDTH / 2
    y = HEIGHT / 2 - (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * (HEIGHT / height)
    return x[None, None, :], y[None, :, None]


def _column(values: list[float], device: torch.device | str) -> Tensor:
    return torch.tensor(values, device=device, dtype=torch.float32)[:, None, None]


def orientation(fingers: list[Finger], x: Tensor, y: Tensor) -> Tensor:
    """The orientation fields, (B, H, W) in radians (not reduced modulo pi), at x and y in finger coordinates.

    x and y broadcast to (B, H, W). Sherlock and Monro's zero-pole model, theta = 1/2 [sum over loops - sum over
    deltas] of the angle seen from each, with piecewise-linear corrections (Vizcaya and Gerhardt). Two parts of it
    have names of their own: the correction that rounds a loop, and the arch component, a sinusoidal slope that
    bends the ridges round the fingertip and makes the arches, which have no singularity (SFinGe)."""
    device = x.device
    theta = _column([f.tilt for f in fingers], device) + torch.zeros_like(x + y)
    for kind, sign in (("loops", 0.5), ("deltas", -0.5)):
        for index in range(max(len(getattr(f, kind)) for f in fingers)):
            has = [index < len(getattr(f, kind)) for f in fingers]
            at = [getattr(f, kind)[index] if there else (0.0, 0.0) for f, there in zip(fingers, has, strict=True)]
            rows = [index + (len(f.loops) if kind == "deltas" else 0) for f in fingers]
            knots = [f.knots[row] if there else (0.0,) * KNOTS for f, row, there in zip(fingers, rows, has, strict=True)]
            dx, dy = x - _column([p[0] for p in at], device), y - _column([p[1] for p in at], device)
            angle = torch.atan2(dy, dx)
            part = sign * (angle + _correction(angle, torch.tensor(knots, device=device)))
            if kind == "loops":
                opening = _column([f.opens[index] if there else 0.0 for f, there in zip(fingers, has, strict=True)], device)
                bend = _column([f.roundness * torch.pi / 4 for f in fingers], device)
                part = part - bend * torch.sin(angle - opening) / (1 + (dx.square() + dy.square()) / ROUND_WITHIN**2)
            theta = theta + (part if all(has) else part * _column([float(there) for there in has], device))
    if any(f.spiral for f in fingers):
        middle = [np.mean(f.loops or [(0.0, 0.0)], 0) for f in fingers]
        far = (x - _column([m[0] for m in middle], device)).square() + (y - _column([m[1] for m in middle], device)).square()
        theta = theta + _column([f.spiral for f in fingers], device) * torch.exp(-far / (2 * 60.0**2))
    top = y - _column([f.arch_top for f in fingers], device)
    # What no singular point explains: ridges sway a little, another way in every finger.
    sway = look_up(normal([seed_of(f.seed, f.number, 5) for f in fingers], 6, 5, device)[:, None], x, y, "bicubic")[:, 0]
    theta = theta + SWAY * sway
    envelope = torch.sigmoid((top + 130) / 45)
    arches = _column([float(f.pattern == "arch") for f in fingers], device)
    envelope = torch.where(arches > 0, torch.exp(-((top / 150) ** 2)) + 0.35 * envelope, envelope)
    return theta - torch.atan(_column([f.arch for f in fingers], device) * envelope * torch.sin(torch.pi * x / WIDTH))


def _correction(angle: Tensor, knots: Tensor) -> Tensor:
    """Piecewise-linear in the angle (B, H, W), continuous around the singularity; knots (B, KNOTS) in radians."""
    place = (angle / (2 * torch.pi) + 0.5) * KNOTS
    low = place.floor().clamp(0, KNOTS - 1)
    table = torch.cat([knots, knots[:, :1]], 1)
    index = low.long().flatten(1)
    here, there = table.gather(1, index).view_as(low), table.gather(1, index + 1).view_as(low)
    return here + (place - low) * (there - here)


def look_up(values: Tensor, x: Tensor, y: Tensor, mode: str = "bilinear") -> Tensor:
    """values (B, C, h, w), spread over the whole master, at x and y in finger coordinates: (B, C, H, W)."""
    shape = np.broadcast_shapes(x.shape, y.shape, (len(values), 1, 1))
    places = torch.stack([(x / (WIDTH / 2)).expand(shape), (y / (-HEIGHT / 2)).expand(shape)], -1)
    return F.grid_sample(values, places, mode=mode, padding_mode="border", align_corners=False)


def period_map(fingers: list[Finger], x: Tensor, y: Tensor) -> Tensor:
    """The ridge periods, (B, H, W) in pixels at 500 dpi, at x and y in finger coordinates (broadcast to (B, H, W)):
    coarser below the lowest delta and above the topmost loop, and a little uneven everywhere."""
    device = x.device
    lowest = _column([min((p[1] for p in f.deltas), default=-90.0) for f in fingers], device)
    topmost = _column([max((p[1] for p in f.loops), default=30.0) for f in fingers], device)
    below = torch.sigmoid((lowest - 10 - y) / 22)
    above = torch.sigmoid((y - topmost - 70) / 30)
    coarse = normal([seed_of(f.seed, f.number, 1) for f in fingers], 7, 6, device)
    uneven = look_up(coarse[:, None], x, y, "bicubic")[:, 0]
    return (_column([f.period for f in fingers], device) * (1 + 0.16 * below + 0.06 * above + 0.045 * uneven)).clamp(7.0, 12.5)
