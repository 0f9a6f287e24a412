"""How a finger was laid down this time, and where on it each place of the plate touches.

Everything works on many impressions at once: B of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.synth.field import DPI, Finger
from fpml.synth.noise import normal, seed_of
from fpml.synth.sensors import Sensor

FRAME = 8.0  # pixels at 500 dpi that a sweep sensor sees at once


@dataclass(frozen=True)
class Condition:
    """How the finger is held: the quality levels of FVC's sessions (Maio et al. 2002)."""

    rotation: float  # degrees, standard deviation
    shift: float  # pixels at 500 dpi, standard deviation across the finger; 1.4 times as much along it
    moisture: float = 0.0  # mean wetness
    uneven: float = 0.12  # wetness, standard deviation
    driest: float = 0.6  # wetness, the largest of either sign
    most_turned: float = 35  # degrees, the largest rotation, as FVC asked
    push: float = 7.0  # pixels at 500 dpi, standard deviation of the skin's traction across the finger; 9/7 as much along it
    twist: float = 3.0  # degrees, standard deviation of the skin's torsion
    breaks: float = 1.0  # mean of how grainy and broken the ridges are
    scratches: float = 0.4  # mean number
    # Times as much rotation, shift, push and twist on some sensors: volunteers and operators differ from database to database.
    looser: Mapping[str, float] = field(default_factory=dict)


CONDITIONS = {
    "normal": Condition(rotation=6, shift=13),
    "displaced": Condition(rotation=8, shift=42),
    "rotated": Condition(rotation=18, shift=16),
    "dry": Condition(rotation=6, shift=15, moisture=-0.4),
    "wet": Condition(rotation=6, shift=15, moisture=0.4),
    # To measure with: NIST's matcher errs as often as on FVC2002's four databases, and as on deliberately distorted prints.
    "hard": Condition(
        rotation=12,
        shift=34,
        uneven=0.25,
        driest=0.7,
        push=11,
        twist=5,
        scratches=0.8,
        looser={"fvc2002-db2": 0.93, "fvc2002-db3": 0.9},
    ),
    "distorted": Condition(
        rotation=12, shift=16, uneven=0.15, push=25, twist=9, looser={"fvc2002-db2": 1.15, "fvc2002-db3": 0.76}
    ),
    # Whatever may come: to train on, not to measure with.
    "any": Condition(rotation=18, shift=32, uneven=0.3, driest=0.75, most_turned=60, push=11, twist=5, scratches=0.8),
}
# FVC2002 asked its volunteers for these; which of the twelve captures became the eight of a finger is not published.
FVC_SESSIONS = ("normal", "normal", "displaced", "displaced", "rotated", "rotated", "dry", "wet")


@dataclass(frozen=True)
class Capture:
    """The drawn circumstances of one impression; lengths in pixels at 500 dpi, angles in radians.

    A place p of the plate (origin in its middle, or below it where fingers lie low, y up) touches the finger at
    R(-rotation) skin(p) + shift: a positive rotation turns the print counter-clockwise, a positive shift_x moves it to the
    left, a positive shift_y down."""

    seed: int
    condition: str  # one of CONDITIONS
    rotation: float  # normal, of the condition
    shift_x: float  # normal, of the condition
    shift_y: float  # normal, of the condition
    wetness: float  # normal, round the condition's, the finger's and the sensor's; below 0 dry, above 0 wet
    pressure: float  # normal, 1, within 2: the larger, the wider the contact and the thicker the ridges
    push_x: float  # normal, of the condition: skin distortion by traction
    push_y: float  # normal, of the condition
    twist: float  # normal, of the condition: skin distortion by torsion
    breaks: float  # gamma, shape 3, mean of the condition, at most twice that: how grainy and broken the ridges are
    pores: float  # uniform 0-1: how open they are
    scratches: int  # Poisson, of the condition
    residue: float  # 0, or uniform 0.06-0.22 in the sensor's share of impressions: the ghost of the one before


def draw_capture(finger: Finger, impression: int, sensor: Sensor, condition: str = "fvc") -> Capture:
    """The circumstances of an impression (from 1) on a sensor; "fvc" goes through FVC's sessions in turn.

    Raises FpmlError for an unknown condition."""
    name = FVC_SESSIONS[(impression - 1) % len(FVC_SESSIONS)] if condition == "fvc" else condition
    if name not in CONDITIONS:
        raise FpmlError(f"unknown condition '{name}'; allowed: fvc, {', '.join(CONDITIONS)}")
    held = CONDITIONS[name]
    much = held.looser.get(sensor.name, 1.0)
    seed = seed_of(finger.seed, finger.number, impression, *sensor.name.encode(), *name.encode())
    rng = np.random.default_rng(seed)
    moisture = held.moisture + finger.moisture + sensor.moist
    return Capture(
        seed=seed,
        condition=name,
        rotation=float(np.deg2rad(np.clip(rng.normal(0, much * held.rotation), -held.most_turned, held.most_turned))),
        shift_x=float(rng.normal(0, much * held.shift)),
        shift_y=float(rng.normal(0, 1.4 * much * held.shift)),
        wetness=float(np.clip(rng.normal(moisture, held.uneven), -held.driest, held.driest)),
        pressure=float(np.clip(rng.normal(0, 1), -2, 2)),
        push_x=float(rng.normal(0, much * held.push)),
        push_y=float(rng.normal(0, 9 / 7 * much * held.push)),
        twist=float(rng.normal(0, much * np.deg2rad(held.twist))),
        breaks=float(held.breaks * min(2.0, rng.gamma(3, 1 / 3))),
        pores=float(rng.uniform(0, 1)),
        scratches=int(rng.poisson(held.scratches)),
        residue=float((rng.uniform() < sensor.residue) * rng.uniform(0.06, 0.22)),
    )


def column(captures: list[Capture], name: str, device: torch.device | str) -> Tensor:
    return torch.tensor([float(getattr(c, name)) for c in captures], device=device, dtype=torch.float32)[:, None, None]


def plate_axes(sensor: Sensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """x (1, 1, W) and y (1, H, 1) of the sensor's pixels inside its border: pixels at 500 dpi from the middle of the
    plate, x to the right, y up."""
    scale = DPI / sensor.dpi
    height, width = sensor.height - 3 * sensor.border, sensor.width - 3 * sensor.border
    x = ((torch.arange(width, device=device) + 0.5 - width / 2) * scale)[None, None, :]
    y = ((height / 2 - torch.arange(height, device=device) - 0.5) * scale)[None, :, None]
    return x, y


def touch(captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where on the finger each place of the plate touches: x and y, broadcast to (B, H, W), of plate and of finger."""
    return pressed(captures, sensor, *swept(captures, sensor, x, y))


def swept(captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The places of the plate where a sweep sensor's frames were really taken: each is shifted as a whole, since the
    finger wanders while it is drawn across."""
    device = x.device
    if sensor.sweep:
        height = sensor.height * DPI / sensor.dpi
        frames = int(np.ceil(height / FRAME)) + 1
        steps = normal([seed_of(c.seed, 1) for c in captures], 2, frames, device) * sensor.sweep
        wander = steps.cumsum(-1) - steps.cumsum(-1).mean(-1, keepdim=True)
        frame = ((height / 2 - y) / FRAME).clamp(0, frames - 1).long().expand(len(captures), *y.shape[1:])
        flat = frame.flatten(1)
        x = x + 0.7 * steps[:, 0].gather(1, flat).view_as(frame)
        y = y + wander[:, 1].gather(1, flat).view_as(frame) * 0.6
    return x, y


def pressed(captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """From the plate to the finger, which may lie low on it: a view at a slant, then the skin by Cappelli's distortion model,
    then the pose.

    Inside an ellipse skin sticks (rigid); outside it slides with traction and torsion, the more the farther from it,
    up to the full displacement about one ellipse further out."""
    device = x.device
    if sensor.keystone:
        x = x * (1 + sensor.keystone * (y / (sensor.height * DPI / sensor.dpi) + 0.5))
    x, y = x / sensor.magnification, (y + sensor.low) / sensor.magnification
    a, b = (0.45 * c / sensor.magnification for c in sensor.contact)
    far = torch.sqrt((x / a).square() + (y / b).square()) - 1
    slide = 0.5 * (1 - torch.cos((torch.pi / 1.2) * far.clamp(0, 1.2)))
    twist = column(captures, "twist", device)
    x, y = (
        x + slide * (column(captures, "push_x", device) - y * twist),
        y + slide * (column(captures, "push_y", device) + x * twist),
    )
    turn = column(captures, "rotation", device)
    c, s = turn.cos(), turn.sin()
    return c * x + s * y + column(captures, "shift_x", device), c * y - s * x + column(captures, "shift_y", device)
