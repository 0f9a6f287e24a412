"""Prints of SOCOFing's size, in many looks: what networks that repair prints learn from."""

from dataclasses import replace

import numpy as np
import torch

from fpml.synth.capture import draw_capture
from fpml.synth.field import draw_finger
from fpml.synth.impression import lay_creases, render
from fpml.synth.noise import seed_of
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import SENSORS, Sensor

IMPRESSIONS = 4  # of each finger, each on a sensor of its own
LIKE_IT = 0.75  # share of the sensors that are close to SOCOFing's
SEED = 47  # with the run's own: of fingers that no other set has
CONDITIONS, SHARES = ("normal", "displaced", "dry", "wet", "any"), (0.45, 0.15, 0.15, 0.15, 0.1)


def made_small(job: tuple[int, int]) -> np.ndarray:
    """The prints (IMPRESSIONS, 97, 90) uint8 of the finger `number` of the run's seed, without the frame that SOCOFing's
    files have; the same whenever they are made."""
    seed, number = job
    torch.set_num_threads(1)  # the work of one print is too small to share
    rng = np.random.default_rng([SEED, seed, number])
    finger = draw_finger(seed_of(SEED, seed) % 2**32, number)
    with torch.inference_mode():
        masters = grow_masters([finger])
        skin = lay_creases(masters, [finger])
        prints = []
        for impression in range(1, IMPRESSIONS + 1):
            sensor = _sensor(rng)
            capture = draw_capture(finger, impression, sensor, str(rng.choice(CONDITIONS, p=SHARES)))
            prints.append(render(skin, [capture], sensor)[0][0].numpy()[2:-4, 2:-4])
    return np.stack(prints)


def _sensor(rng: np.random.Generator) -> Sensor:
    """The generator's SOCOFing, with what it does to a print drawn anew: most close to it, the others widely round it."""

    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def even(low: float, high: float) -> float:
        """Even in its logarithm."""
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    # As a print lies in SOCOFing's pictures: cut off below, by more or less, with a little space above.
    low, above = u(0, 160), u(8, 70)
    plate = SENSORS["socofing"].height / SENSORS["socofing"].dpi * 500
    laid = replace(SENSORS["socofing"], low=low, contact=(u(115, 150), plate / 2 + low - above))
    if rng.random() < LIKE_IT:
        return replace(
            laid, ridge=u(0, 3), sharpness=even(3, 7), unevenness=even(0.6, 1.6), response=u(0, 0.15), moist=u(0.05, 0.35),
            bridges=u(0.2, 1.2), blur=even(0.08, 0.25), grain=even(0.3, 4), dirt=even(0.02, 0.6), pores=u(0, 0.3),
            magnification=even(0.86, 1.04),
        )  # fmt: skip
    return replace(
        laid, background=u(225, 255), ridge=u(0, 50), sharpness=even(2.2, 12), unevenness=even(0.6, 2), response=u(0, 0.5),
        moist=u(0, 0.4), bridges=u(0, 1.2), blur=even(0.1, 0.8), grain=even(0.3, 8), dirt=even(0.02, 0.8), pores=u(0, 0.4),
        magnification=even(0.75, 1.2),
    )  # fmt: skip
