"""Fingers to prints with all that is true of them, in memory.

from fpml.synth.generate import generate
prints = generate(fingers=10, impressions=8, sensor="fvc2002-db1", seed=7)
prints.pictures  # uint8 (80, 374, 388)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
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

TRIES = 10  # draws of an impression that is not accepted
ANEW = 8000  # numbers from one draw of an impression to the next: more than there are, and of the same of FVC's sessions


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
    passports: list[dict[str, Any]]  # what was found out of each, where somebody wants to know; else empty


Examine = Callable[[Prints], list[dict[str, Any]]]  # a passport of each print, with 'accepted': whether it may stay


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
    return _together(parts)


def _together(parts: list[Prints]) -> Prints:
    """Parts of one sensor as one."""
    names = [f.name for f in fields(Prints) if f.name != "sensor"]
    every = {name: [getattr(p, name) for p in parts] for name in names}
    joined: dict[str, Any] = {
        name: np.concatenate(of) if isinstance(of[0], np.ndarray) else [v for one in of for v in one]
        for name, of in every.items()
    }
    return Prints(parts[0].sensor, **joined)


def _taken(part: Prints, row: int) -> Prints:
    """One print of a part."""
    names = [f.name for f in fields(Prints) if f.name != "sensor"]
    only: dict[str, Any] = {name: getattr(part, name)[row : row + 1] for name in names}
    return Prints(part.sensor, **only)


@torch.inference_mode()
def prints_of(
    fingers: list[Finger], impressions: int, sensors: list[Sensor], condition: str, device: torch.device,
    examine: Examine | None = None,
) -> Iterator[Prints]:  # fmt: skip
    """All impressions of some fingers on some sensors, in parts of one sensor each. A finger is one on all of them.

    examine: gives passports; what it does not accept is drawn anew, TRIES times at most, of which the last stays.
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
                drawn = partial(_part, some, skins=skins, minutiae=minutiae, sensor=sensor, condition=condition)
                part = drawn(rows[at : at + step])
                yield part if examine is None else _accepted(part, rows[at : at + step], drawn, examine)


def _accepted(part: Prints, rows: list[tuple[int, int]], drawn: Callable[..., Prints], examine: Examine) -> Prints:
    """A part with its passports, and with other impressions in the place of those that are not accepted."""
    part = replace(part, passports=[{"drawn": 1, **row} for row in examine(part)])
    for attempt in range(1, TRIES):
        failed = [k for k, passport in enumerate(part.passports) if not passport["accepted"]]
        if not failed:
            break
        again = drawn([rows[k] for k in failed], attempt=attempt)
        again = replace(again, passports=[{"drawn": attempt + 1, **row} for row in examine(again)])
        new = dict(zip(failed, range(len(failed)), strict=True))
        part = _together([_taken(again, new[k]) if k in new else _taken(part, k) for k in range(len(rows))])
    return part


def _part(
    fingers: list[Finger],
    rows: list[tuple[int, int]],
    skins: torch.Tensor,
    minutiae: list[Any],
    sensor: Sensor,
    condition: str,
    attempt: int = 0,
) -> Prints:
    owners = [fingers[f] for f, _ in rows]
    captures = [draw_capture(fingers[f], i + ANEW * attempt, sensor, condition) for f, i in rows]
    pictures, masks = render(skins[[f for f, _ in rows]], captures, sensor)
    theta, period = true_fields(owners, captures, sensor)
    touched = masks.cpu().numpy()
    return Prints(
        sensor=sensor, fingers=owners, impressions=[i for _, i in rows], captures=captures, pictures=pictures.cpu().numpy(),
        masks=touched, orientation=theta.numpy(), period=period.numpy(),
        minutiae=true_minutiae([minutiae[f] for f, _ in rows], captures, sensor, touched), passports=[],
    )  # fmt: skip
