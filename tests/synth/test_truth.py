from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.synth.capture import Capture, draw_capture, plate_axes, touch
from fpml.synth.field import Finger
from fpml.synth.generate import generate
from fpml.synth.impression import lay_creases, render
from fpml.synth.minutiae import Minutiae, find_minutiae
from fpml.synth.sensors import SENSORS, Sensor
from fpml.synth.truth import Truth, true_fields, true_minutiae
from fpml.synth.write import Plan, write_prints


def finger_place(capture: Capture, sensor: Sensor, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where on the finger the pixels x, y of a picture lie, by the axes that the picture was drawn with."""
    scale = 500 / sensor.dpi
    across, upwards = (axis.flatten()[0].item() for axis in plate_axes(sensor, "cpu"))  # of the first pixel inside the border
    right = across + (x - sensor.border) * scale
    up = upwards - (y - sensor.border) * scale
    places = (torch.tensor(v, dtype=torch.float32)[None, None] for v in (right, up))
    a, b = touch([capture], sensor, *places)
    return a[0, 0].numpy(), b[0, 0].numpy()


@pytest.mark.parametrize("name", ["fvc2002-db1", "fvc2002-db4", "thermal-sweep", "low-cost", "socofing"])
def test_minutiae_lie_where_the_plate_touches_them(name: str, fingers: dict[str, Finger], masters: dict[str, Tensor]) -> None:
    """Each carried minutia, looked up again through the forward map, is the finger's own; so is its direction."""
    finger, sensor = fingers["whorl"], SENSORS[name]
    (own,) = find_minutiae(masters["whorl"][None], [finger])
    capture = replace(draw_capture(finger, 5, sensor), push_x=7.0, push_y=-9.0, twist=0.06)
    masks = np.ones((1, sensor.height, sensor.width), bool)
    (table,) = true_minutiae([own], [capture], sensor, masks)
    assert len(table) > 15
    x, y, angle = (table[c].to_numpy(float) for c in ("x", "y", "angle"))
    at_x, at_y = finger_place(capture, sensor, x, y)
    apart = np.hypot(at_x[:, None] - own.x, at_y[:, None] - own.y)
    nearest = apart.argmin(1)
    assert np.median(apart.min(1)) < 0.1
    assert np.quantile(apart.min(1), 0.9) < 2.5  # a sweep leaves gaps between its frames
    assert len(set(nearest)) >= 0.9 * len(table)
    step = 3 * sensor.dpi / 500
    ahead = finger_place(capture, sensor, x + step * np.cos(angle), y - step * np.sin(angle))
    turned = np.arctan2(ahead[1] - at_y, ahead[0] - at_x)
    off = np.abs(np.angle(np.exp(1j * (turned - own.angle[nearest]))))
    assert np.median(off) < 0.1
    assert np.array_equal(table["type"] == "ending", own.ending[nearest])


def test_a_border_moves_picture_and_truth_alike(fingers: dict[str, Finger], masters: dict[str, Tensor]) -> None:
    finger, bare = fingers["whorl"], SENSORS["secugen"]
    framed = replace(bare, border=8, height=bare.height + 24, width=bare.width + 24)
    capture = draw_capture(finger, 1, bare)
    (own,) = find_minutiae(masters["whorl"][None], [finger])
    skin = lay_creases(masters["whorl"][None], [finger])
    (picture, mask), (bare_picture, bare_mask) = (render(skin, [capture], s) for s in (framed, bare))
    assert torch.equal(picture[0, 8:-16, 8:-16], bare_picture[0])
    for inside, outside in zip(*(true_fields([finger], [capture], s) for s in (bare, framed)), strict=True):
        rows, columns = bare.height // 8, bare.width // 8
        assert torch.allclose(outside[0, 1 : rows + 1, 1 : columns + 1], inside[0, :rows, :columns], atol=1e-4)
    (a,), (b,) = (true_minutiae([own], [capture], s, m.numpy()) for s, m in ((framed, mask), (bare, bare_mask)))
    assert np.allclose(a[["x", "y"]], b[["x", "y"]] + 8, atol=1e-3)


def test_fields_are_those_of_the_picture() -> None:
    """The true orientation against the structure tensor of the rendered grey, the period against its spectrum."""
    prints = generate(2, 3, "fvc2002-db1", 4, "rotated")
    off, ratio = [], []
    for k, picture in enumerate(prints.pictures):
        grey = picture.astype(float)
        gy, gx = ndimage.gaussian_filter(grey, 1, (1, 0)), ndimage.gaussian_filter(grey, 1, (0, 1))
        xx, yy, xy = (ndimage.gaussian_filter(v, 7) for v in (gx * gx, gy * gy, gx * gy))
        seen = (0.5 * np.arctan2(-2 * xy, xx - yy) + np.pi / 2) % np.pi  # rows go down, angles go up
        inner = ndimage.binary_erosion(prints.masks[k], iterations=16)
        coherent = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9) > 0.6
        blocks = np.argwhere((inner & coherent)[4::8, 4::8])
        for r, c in blocks:
            gap = prints.orientation[k, r, c] - seen[8 * r + 4, 8 * c + 4]
            off.append(abs((gap + np.pi / 2) % np.pi - np.pi / 2))
        window, frequency = np.outer(np.hanning(64), np.hanning(64)), np.hypot(*np.meshgrid(*[np.fft.fftfreq(256)] * 2))
        for r, c in blocks[::7]:
            top, left = 8 * r + 4 - 32, 8 * c + 4 - 32
            if top < 0 or left < 0 or not inner[top : top + 64, left : left + 64].all():
                continue
            block = grey[top : top + 64, left : left + 64]
            power = np.abs(np.fft.fft2((block - block.mean()) * window, (256, 256))) ** 2
            power *= (frequency > 1 / 16) & (frequency < 1 / 5)
            near = power * (np.abs(frequency - frequency.flat[power.argmax()]) < 0.015)
            ratio.append(near.sum() / (near * frequency).sum() / prints.period[k, r, c])
    assert len(off) > 1000
    assert np.rad2deg(np.median(off)) < 4
    assert np.quantile(off, 0.9) < np.deg2rad(20)
    assert len(ratio) > 5
    assert np.median(ratio) == pytest.approx(1, abs=0.04)


def test_fields_follow_the_sensor(fingers: dict[str, Finger]) -> None:
    finger = fingers["left-loop"]
    fine = replace(SENSORS["secugen"], dpi=1000, height=600, width=520)
    coarse = SENSORS["secugen"]
    capture = draw_capture(finger, 1, coarse, "normal")
    (_, twice), (_, once) = (true_fields([finger], [capture], s) for s in (fine, coarse))
    assert float(twice.median() / once.median()) == pytest.approx(2, abs=0.05)
    turned = replace(capture, rotation=capture.rotation + 0.3)
    a, b = (true_fields([finger], [c], coarse)[0][0, 18, 16] for c in (capture, turned))
    assert abs(float(a - b)) > 0.05


def test_a_folder_tells_what_is_true_of_its_prints(tmp_path: Path) -> None:
    sensors = (SENSORS["fvc2002-db3"], SENSORS["thermal-sweep"])
    write_prints(tmp_path / "o", Plan(5, 12, 2, sensors, "synth"), 1)
    truth = Truth(tmp_path / "o")
    assert len(truth.fingers) == 12
    assert len(truth.impressions) == 48
    for sensor in sensors:
        prints = generate(12, 2, sensor, 5)
        k = 21  # in the second shard
        file = f"{sensor.name}/11_2.png"
        assert np.array_equal(truth.mask(file), prints.masks[k])
        assert np.allclose(truth.orientation(file), prints.orientation[k], atol=2e-3)
        assert np.allclose(truth.period(file), prints.period[k], rtol=1e-3)
        pd.testing.assert_frame_equal(truth.minutiae(file), prints.minutiae[k].reset_index(drop=True))
        assert truth.impressions.loc[file, "rotation"] == prints.captures[k].rotation
    assert {"name", "dpi", "background"} <= set(pd.read_parquet(tmp_path / "o" / "truth" / "sensors.parquet"))
    with pytest.raises(FpmlError, match="'nothing' is not a picture"):
        truth.mask("nothing")
    with pytest.raises(FpmlError, match="has no truth"):
        Truth(tmp_path)


def test_a_finger_has_the_same_minutiae_on_every_sensor() -> None:
    """Two sensors see two parts of one finger: what both see lies at the same places of the skin."""
    places = []
    for name in ("fvc2002-db2", "secugen"):
        prints = generate(1, 1, name, 9, "normal")
        x, y = (prints.minutiae[0][c].to_numpy(float) for c in ("x", "y"))
        places.append(np.stack(finger_place(prints.captures[0], prints.sensor, x, y), 1))
    apart = np.hypot(*(places[0][:, None] - places[1][None]).transpose(2, 0, 1)).min(0)
    assert len(apart) > 10
    assert (apart < 0.5).mean() > 0.8


def test_depth_is_how_far_inside_the_print_a_minutia_lies() -> None:
    prints = generate(2, 1, "fvc2002-db1", 4, "normal")
    for mask, table in zip(prints.masks, prints.minutiae, strict=True):
        exact = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        at = np.rint(table[["y", "x"]].to_numpy(float)).astype(int)
        off = np.abs(exact[tuple(at.T)] - table["depth"])
        assert off.median() < 3
        assert off.max() < 16  # every fourth pixel is looked at
        assert table["clarity"].between(0, 1).all()
        assert table["clarity"].max() > 0.5


def test_no_minutiae_at_all(fingers: dict[str, Finger]) -> None:
    none = Minutiae(*(np.zeros(0, t) for t in (np.float32, np.float32, np.float32, bool, np.float32)))
    sensor = SENSORS["secugen"]
    capture = draw_capture(fingers["arch"], 1, sensor)
    (table,) = true_minutiae([none], [capture], sensor, np.ones((1, sensor.height, sensor.width), bool))
    assert list(table.columns) == ["x", "y", "angle", "type", "clarity", "depth", "number"]
    assert table.empty
