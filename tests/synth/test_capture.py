from dataclasses import replace

import pytest
import torch

from fpml.synth.capture import draw_capture, plate_axes, touch
from fpml.synth.field import Finger
from fpml.synth.sensors import SENSORS

STILL = {"rotation": 0.0, "shift_x": 0.0, "shift_y": 0.0, "push_x": 0.0, "push_y": 0.0, "twist": 0.0}


@pytest.fixture
def whorl(fingers: dict[str, Finger]) -> Finger:
    return fingers["whorl"]


def test_a_still_finger_is_not_moved_and_the_middle_sticks(whorl: Finger) -> None:
    sensor = SENSORS["fvc2002-db1"]
    capture = replace(draw_capture(whorl, 1, sensor), **STILL)
    x, y = plate_axes(sensor, "cpu")
    on_x, on_y = touch([capture], sensor, x, y)
    assert torch.allclose(on_x[0, 0], x[0, 0], atol=1e-4)
    assert torch.allclose(on_y[0, :, 0], y[0, :, 0], atol=1e-4)
    pushed_x, _ = touch([replace(capture, push_x=6.0)], sensor, x, y)
    moved = (pushed_x - on_x)[0]
    middle = sensor.height // 2, sensor.width // 2
    assert moved[middle] == pytest.approx(0, abs=1e-4)
    assert moved[middle[0], 5] == pytest.approx(6, abs=0.5)  # outside it slides all the way


def test_a_sweep_shifts_frame_by_frame(whorl: Finger) -> None:
    sensor = SENSORS["thermal-sweep"]
    capture = replace(draw_capture(whorl, 1, sensor), **STILL)
    on_x, _ = touch([capture], sensor, *plate_axes(sensor, "cpu"))
    column = on_x[0, :, 150]
    assert 20 < int((column.diff().abs() > 1e-3).sum()) < 80  # steps between frames, none inside
    assert float(column.std()) > 0.2
