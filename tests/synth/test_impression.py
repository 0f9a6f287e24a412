from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.synth.capture import CONDITIONS, FVC_SESSIONS, Capture, draw_capture, plate_axes, touch
from fpml.synth.field import Finger
from fpml.synth.impression import lay_creases, render
from fpml.synth.sensors import SENSORS, Sensor, sensor_named

STILL = {"rotation": 0.0, "shift_x": 0.0, "shift_y": 0.0, "push_x": 0.0, "push_y": 0.0, "twist": 0.0}


@pytest.fixture
def whorl(fingers: dict[str, Finger]) -> Finger:
    return fingers["whorl"]


def picture(masters: dict[str, Tensor], finger: Finger, capture: Capture, sensor: Sensor) -> tuple[Tensor, Tensor]:
    pictures, masks = render(lay_creases(masters["whorl"][None], [finger]), [capture], sensor)
    return pictures[0], masks[0]


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_makes_its_picture(name: str, masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = SENSORS[name]
    grey, mask = picture(masters, whorl, draw_capture(whorl, 1, sensor), sensor)
    assert grey.dtype == torch.uint8
    assert grey.shape == mask.shape == (sensor.height, sensor.width)
    assert 0.15 < mask.float().mean() < 0.95
    values = grey.float()
    assert values[mask].std() > 15
    assert values[mask].mean() < values[~mask & (values > 0)].mean() - 10  # ridges darken the plate


def test_impressions_differ_come_again_and_do_not_depend_on_the_batch(masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = SENSORS["fvc2002-db3"]
    captures = [draw_capture(whorl, i, sensor) for i in (1, 2, 3)]
    together, _ = render(lay_creases(masters["whorl"][None], [whorl]).expand(3, -1, -1, -1), captures, sensor)
    alone, _ = picture(masters, whorl, captures[1], sensor)
    assert (together[1].int() - alone.int()).abs().max() <= 1
    assert torch.equal(alone, picture(masters, whorl, captures[1], sensor)[0])
    assert (together[0].int() - together[2].int()).abs().float().mean() > 5


def test_conditions_are_what_they_say(masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = SENSORS["fvc2002-db1"]
    drawn = {name: [draw_capture(whorl, i, sensor, name) for i in range(1, 60)] for name in CONDITIONS}
    spread = {name: np.std([c.rotation for c in captures]) for name, captures in drawn.items()}
    shift = {name: np.std([c.shift_x for c in captures]) for name, captures in drawn.items()}
    assert spread["rotated"] > 2 * spread["normal"]
    assert shift["displaced"] > 2 * shift["normal"]
    assert max(abs(c.rotation) for c in drawn["rotated"]) <= np.deg2rad(35)
    greys = []
    for name in ("dry", "normal", "wet"):
        seen = [picture(masters, whorl, replace(c, **STILL, scratches=0), sensor) for c in drawn[name][:6]]
        greys.append(np.mean([float(grey.float()[mask].mean()) for grey, mask in seen]))
    assert greys[0] > greys[1] + 5
    assert greys[1] > greys[2] + 5
    assert [draw_capture(whorl, i, sensor).condition for i in range(1, 9)] == list(FVC_SESSIONS)


def test_on_some_sensors_fingers_are_laid_down_more_loosely(whorl: Finger) -> None:
    for condition, sensor in (("hard", "fvc2002-db3"), ("distorted", "fvc2002-db2")):
        much = CONDITIONS[condition].looser[sensor]
        for name in ("shift_x", "push_y", "twist"):
            spread = [
                np.std([getattr(draw_capture(whorl, i, SENSORS[s], condition), name) for i in range(1, 800)])
                for s in (sensor, "fvc2002-db1")
            ]
            assert spread[0] / spread[1] == pytest.approx(much, abs=0.08)


def test_the_pose_moves_the_print_as_is_said(masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = SENSORS["fvc2002-db1"]
    still = replace(draw_capture(whorl, 1, sensor), **STILL)

    def middle(**pose: float) -> np.ndarray:
        _, mask = picture(masters, whorl, replace(still, **pose), sensor)
        return np.argwhere(mask.numpy()).mean(0)

    row, column = middle()
    assert middle(shift_x=30.0)[1] == pytest.approx(column - 30, abs=4)  # to the left
    assert row + 8 < middle(shift_y=30.0)[0] < row + 32  # down, where a part of it leaves the picture
    x, y = plate_axes(sensor, "cpu")
    on_x, on_y = touch([replace(still, rotation=0.3)], sensor, x, y)
    turned = torch.atan2(on_y[0, 187, 250], on_x[0, 187, 250]) - torch.atan2(y[0, 187, 0], x[0, 0, 250])
    assert float(turned) == pytest.approx(-0.3, abs=0.02)  # the print turns counter-clockwise


def test_what_lies_on_the_plate_stays_and_the_rest_goes(masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = replace(SENSORS["low-cost"], grain=0.0, residue=0.0)
    away = {**STILL, "shift_y": 900.0, "residue": 0.0}  # a finger that touches nothing
    greys = [picture(masters, whorl, replace(draw_capture(whorl, i, sensor), **away), sensor)[0].float() for i in (1, 2)]
    plate = torch.minimum(greys[0], greys[1]).flatten(), torch.maximum(greys[0], greys[1]).flatten()
    assert torch.corrcoef(torch.stack([g.flatten() for g in greys]))[0, 1] > 0.8
    assert (plate[1] - plate[0]).max() > 10  # fresh specks


def test_the_ghost_of_the_impression_before(masters: dict[str, Tensor], whorl: Finger) -> None:
    sensor = SENSORS["fvc2002-db2"]
    capture = replace(draw_capture(whorl, 1, sensor), residue=0.0)
    bare, mask = picture(masters, whorl, capture, sensor)
    ghost, _ = picture(masters, whorl, replace(capture, residue=0.2), sensor)
    darker = (bare.float() - ghost.float())[~mask]
    assert darker.max() > 8
    assert darker.min() >= -1


def test_names_and_sizes_that_make_no_sense() -> None:
    with pytest.raises(FpmlError, match="unknown sensor 'camera'; allowed: fvc2002-db1"):
        sensor_named("camera")
    for change in ({"height": 8}, {"width": 100_000}, {"dpi": 5}, {"dpi": 50_000}, {"blur": 0.0}, {"border": 90}):
        with pytest.raises(FpmlError, match=r"from \d+.* to \d+"):
            replace(SENSORS["secugen"], **change)
