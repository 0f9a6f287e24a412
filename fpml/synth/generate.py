"""Fingers to prints with all that is true of them, in memory.

from fpml.synth.generate import generate
prints = generate(fingers=10, impressions=8, sensor="fvc2002-db1", seed=7)
prints.pictures  # uint8 (80, 374, 388)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from fpml.base.errors import FpmlError
from fpml.synth.capture import CONDITIONS, Capture, draw_capture
from fpml.synth.field import CLASS_SHARES, Finger, draw_finger
from fpml.synth.impression import lay_creases, render
from fpml.synth.minutiae import find_minutiae
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import Sensor, sensor_named
from fpml.synth.truth import true_fields, true_minutiae


@dataclass(frozen=True)
class Prints:
    """N impressions on one sensor."""

    sensor: Sensor
    fingers: list[Finger]  # of each impression
    impressions: list[int]  # from 1
    captures: list[Capture]
    pictures: np.ndarray  # uint8 (N, H, W)
    masks: np.ndarray  # bool (N, H, W): where skin touched
    orientation: np.ndarray  # float32 (N, ceil(H / 8), ceil(W / 8)), radians in 0..pi
    period: np.ndarray  # float32, the same shape, pixels
    minutiae: list[pd.DataFrame]  # x, y, angle, type


def check(fingers: int, impressions: int, seed: int, condition: str, pattern: str | None) -> None:
    """Raises FpmlError for numbers and names that make no prints."""
    counts = (fingers, impressions, seed)
    if not all(isinstance(n, (int, np.integer)) for n in counts) or not (
        1 <= fingers <= 10_000_000 and 1 <= impressions <= 1000 and 0 <= seed < 2**32
    ):
        raise FpmlError(
            f"{fingers} fingers, {impressions} impressions, seed {seed}: there can be 1 to 10,000,000 fingers, "
            "1 to 1000 impressions of each, and a seed from 0 to 4294967295, in whole numbers"
        )
    if condition != "fvc" and condition not in CONDITIONS:
        raise FpmlError(f"unknown condition '{condition}'; allowed: fvc, {', '.join(CONDITIONS)}")
    if pattern is not None and pattern not in CLASS_SHARES:
        raise FpmlError(f"unknown pattern class '{pattern}'; allowed: {', '.join(CLASS_SHARES)}")


def pick_device(name: str) -> torch.device:
    """auto: the GPU if there is one. Raises FpmlError for a device that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise FpmlError(f"unknown device '{name}'; allowed: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise FpmlError("device cuda was asked for, and torch sees no CUDA device here; take --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def generate(
    fingers: int = 10, impressions: int = 8, sensor: str | Sensor = "fvc2002-db1", seed: int = 7,
    condition: str = "fvc", pattern: str | None = None, device: str = "auto",
) -> Prints:  # fmt: skip
    """The fingers 1 to `fingers` of the set `seed`, `impressions` of each, in memory at once.

    condition: "fvc" (the sessions of FVC's protocol in turn), or one of normal, displaced, rotated, dry, wet.
    pattern: one class for all; by default the natural shares. Raises FpmlError for what makes no prints."""
    check(fingers, impressions, seed, condition, pattern)
    sensor = sensor if isinstance(sensor, Sensor) else sensor_named(sensor)
    drawn = [draw_finger(seed, n, pattern) for n in range(1, fingers + 1)]
    parts = list(prints_of(drawn, impressions, [sensor], condition, pick_device(device)))
    lists = {k: [v for p in parts for v in getattr(p, k)] for k in ("fingers", "impressions", "captures", "minutiae")}
    arrays = ("pictures", "masks", "orientation", "period")
    merged = {k: np.concatenate([getattr(p, k) for p in parts]) for k in arrays}
    every: dict[str, Any] = {**lists, **merged}
    return Prints(sensor=sensor, **every)


@torch.inference_mode()
def prints_of(
    fingers: list[Finger], impressions: int, sensors: list[Sensor], condition: str, device: torch.device
) -> Iterator[Prints]:
    """All impressions of some fingers on some sensors, in parts of one sensor each. A finger is one on all of them.

    On a CPU one print at a time, which stays in its caches; on a GPU as many as fill it and fit."""
    cpu = device.type == "cpu"
    together = 1 if cpu else 16
    for start in range(0, len(fingers), together):
        some = fingers[start : start + together]
        masters = grow_masters(some, device)
        minutiae = find_minutiae(masters, some)
        skins = lay_creases(masters, some)
        rows = [(f, i) for f in range(len(some)) for i in range(1, impressions + 1)]
        for sensor in sensors:
            step = 1 if cpu else max(1, 16_000_000 // (sensor.height * sensor.width))
            for at in range(0, len(rows), step):
                yield _part(some, rows[at : at + step], skins, minutiae, sensor, condition)


def _part(
    fingers: list[Finger],
    rows: list[tuple[int, int]],
    skins: torch.Tensor,
    minutiae: list[Any],
    sensor: Sensor,
    condition: str,
) -> Prints:
    owners = [fingers[f] for f, _ in rows]
    captures = [draw_capture(fingers[f], i, sensor, condition) for f, i in rows]
    pictures, masks = render(skins[[f for f, _ in rows]], captures, sensor)
    theta, period = true_fields(owners, captures, sensor)
    touched = masks.cpu().numpy()
    return Prints(
        sensor=sensor, fingers=owners, impressions=[i for _, i in rows], captures=captures, pictures=pictures.cpu().numpy(),
        masks=touched, orientation=theta.numpy(), period=period.numpy(),
        minutiae=true_minutiae([minutiae[f] for f, _ in rows], captures, sensor, touched),
    )  # fmt: skip
