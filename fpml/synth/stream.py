"""Prints to train on, made as they are needed: every finger of its own kind, on sensors and in conditions drawn at random."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from fpml.synth.capture import draw_capture
from fpml.synth.field import DPI, Finger, draw_finger
from fpml.synth.impression import lay_creases, render
from fpml.synth.minutiae import Minutiae, find_minutiae
from fpml.synth.noise import seed_of
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import SENSORS, Sensor, random_sensor
from fpml.synth.truth import BLOCK, true_fields, true_minutiae

IMPRESSIONS = 4  # of each finger that is made for training, each on a sensor of its own
OF_NO_SENSOR = 0.75  # share of them on random sensors, which nobody built
STOCK = tuple(name for name, sensor in SENSORS.items() if sensor.dpi > 400)
CONDITIONS, SHARES = ("any", "hard", "distorted"), (0.6, 0.2, 0.2)
SCARRED = 0.35  # share of the fingers with more lasting lines across the skin
SEED = 31  # with the run's own: of fingers that no other set has


@dataclass(frozen=True)
class Example:
    """A print (H, W), H and W multiples of BLOCK, with its truth."""

    picture: np.ndarray  # uint8 (H, W)
    mask: np.ndarray  # bool (H, W): skin
    orientation: np.ndarray  # float16 (H / BLOCK, W / BLOCK), radians
    period: np.ndarray  # float16, the same shape, pixels
    minutiae: (
        np.ndarray
    )  # float32 (N, 7): x, y (pixels, y down), angle (ISO/IEC 19794-2), 1 for an ending, clarity, depth, number


def made_for(job: tuple[int, int]) -> list[Example]:
    """The prints of the finger `number` of the run's seed; the same whenever they are made."""
    seed, number = job
    torch.set_num_threads(1)  # the work of one print is too small to share
    rng = np.random.default_rng([SEED, seed, number])
    finger = draw_finger(seed_of(SEED, seed) % 2**32, number)
    if rng.random() < SCARRED:
        finger = replace(finger, creases=(*finger.creases, *(_crease(rng) for _ in range(rng.poisson(4)))))
    with torch.inference_mode():
        masters = grow_masters([finger])
        minutiae, skin = find_minutiae(masters, [finger]), lay_creases(masters, [finger])
        return [_print(finger, minutiae, skin, impression, rng) for impression in range(1, IMPRESSIONS + 1)]


def _crease(rng: np.random.Generator) -> tuple[float, ...]:
    """Angle, offset, middle, half length, half width, as a Finger has them."""
    low, high = (-1.6, -160, -60, 10, 0.5), (1.6, 160, 60, 80, 1.8)
    return tuple(float(v) for v in rng.uniform(low, high))


def _print(finger: Finger, minutiae: list[Minutiae], skin: torch.Tensor, impression: int, rng: np.random.Generator) -> Example:
    sensor = random_sensor(int(rng.integers(10**9))) if rng.random() < OF_NO_SENSOR else _at_500(str(rng.choice(STOCK)))
    capture = draw_capture(finger, impression, sensor, str(rng.choice(CONDITIONS, p=SHARES)))
    pictures, masks = render(skin, [capture], sensor)
    theta, period = true_fields([finger], [capture], sensor)
    table = true_minutiae(minutiae, [capture], sensor, masks.numpy())[0]
    height, width = (BLOCK * (side // BLOCK) for side in (sensor.height, sensor.width))
    columns = [
        table["x"],
        table["y"],
        table["angle"],
        table["type"] == "ending",
        *(table[c] for c in ("clarity", "depth", "number")),
    ]
    return Example(
        pictures[0].numpy()[:height, :width], masks[0].numpy()[:height, :width],
        theta[0].numpy()[: height // BLOCK, : width // BLOCK].astype(np.float16),
        period[0].numpy()[: height // BLOCK, : width // BLOCK].astype(np.float16),
        np.stack([np.asarray(c, np.float32) for c in columns], 1),
    )  # fmt: skip


def _at_500(name: str) -> Sensor:
    sensor = SENSORS[name]
    height, width = (round(side * DPI / sensor.dpi) for side in (sensor.height, sensor.width))
    return replace(sensor, dpi=DPI, height=height, width=width)
