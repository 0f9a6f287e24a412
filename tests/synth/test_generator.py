from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fpml.config import Dataset, Ingest, Synth
from fpml.data.ingest import ingest
from fpml.errors import FpmlError
from fpml.synth.alter import ALTERATIONS, LEVELS, alter
from fpml.synth.field import CLASS_SHARES, DPI, HEIGHT, WIDTH, draw_finger, orientation
from fpml.synth.impression import draw_capture, render
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import SENSORS
from fpml.synth.write import write_embedded, write_sensor


@pytest.fixture(scope="module")
def masters() -> dict[str, torch.Tensor]:
    fingers = [draw_finger(3, n, pattern) for n, pattern in enumerate(CLASS_SHARES)]
    with torch.inference_mode():
        return dict(zip(CLASS_SHARES, grow_masters(fingers), strict=True))


def winding(finger_class: str, kind: str) -> float:
    """How often the orientation turns, in half circles, on a small circle round a singularity."""
    finger = draw_finger(3, 1, finger_class)
    (x, y), *_ = finger.loops if kind == "loop" else finger.deltas
    theta = orientation(finger, HEIGHT, WIDTH).numpy()
    angles = np.linspace(0, 2 * np.pi, 200)
    rows = np.round(HEIGHT / 2 - (y + 8 * np.sin(angles))).astype(int)
    columns = np.round(WIDTH / 2 + x + 8 * np.cos(angles)).astype(int)
    steps = np.diff(theta[rows, columns])
    return float(np.sum((steps + np.pi / 2) % np.pi - np.pi / 2) / np.pi)


@pytest.mark.parametrize("pattern", ["tented-arch", "left-loop", "right-loop"])
def test_singularities_have_their_poincare_index(pattern: str) -> None:
    assert winding(pattern, "loop") == pytest.approx(1, abs=0.1)
    assert winding(pattern, "delta") == pytest.approx(-1, abs=0.1)


def test_left_and_right_loops_open_to_their_side() -> None:
    for pattern, side in (("left-loop", 1), ("right-loop", -1)):
        finger = draw_finger(3, 5, pattern)
        assert np.sign(finger.deltas[0][0] - finger.loops[0][0]) == side
    assert (len(draw_finger(3, 5, "whorl").loops), len(draw_finger(3, 5, "arch").loops)) == (2, 0)


def test_ridges_have_the_period_of_their_finger(masters: dict[str, torch.Tensor]) -> None:
    for number, (pattern, master) in enumerate(masters.items()):
        assert master.shape == (HEIGHT, WIDTH)
        assert master.abs().max() <= 1
        window = master[180:436, 80:336].numpy() * np.outer(np.hanning(256), np.hanning(256))
        power = np.abs(np.fft.fft2(window, (512, 512))) ** 2
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(512), np.fft.fftfreq(512)))
        band = (frequency > 0.04) & (frequency < 0.25)
        period = 1 / ((power * frequency)[band].sum() / power[band].sum())
        assert period == pytest.approx(draw_finger(3, number, pattern).period, rel=0.15)


def test_a_finger_is_the_same_in_any_batch() -> None:
    fingers = [draw_finger(11, n) for n in range(3)]
    with torch.inference_mode():
        together, alone = grow_masters(fingers), grow_masters(fingers[1:2])
    assert torch.allclose(together[1], alone[0], atol=1e-4)
    assert draw_finger(11, 1) == fingers[1]
    assert draw_finger(12, 1) != fingers[1]


def test_classes_have_their_natural_shares() -> None:
    drawn = pd.Series([draw_finger(5, n).pattern for n in range(4000)]).value_counts(normalize=True)
    for pattern, share in CLASS_SHARES.items():
        assert drawn[pattern] == pytest.approx(share, abs=0.025)


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_makes_its_picture(name: str, masters: dict[str, torch.Tensor]) -> None:
    sensor = SENSORS[name]
    picture, mask = render(masters["whorl"], draw_capture(draw_finger(3, 4, "whorl"), 1, 0), sensor)
    assert picture.dtype == torch.uint8
    assert picture.shape == mask.shape == (sensor.height, sensor.width)
    assert mask.float().mean() > 0.1
    grey = picture.float()
    assert grey[mask].std() > 15 * (1 if sensor.ridge < 60 else 0.5)
    assert grey[mask].mean() < grey[~mask & (grey > 0)].mean()  # ridges darken the plate


def test_impressions_differ_and_come_again(masters: dict[str, torch.Tensor]) -> None:
    finger, sensor = draw_finger(3, 4, "whorl"), SENSORS["fvc2002-db3"]
    one, two, again = (render(masters["whorl"], draw_capture(finger, i, 0), sensor)[0] for i in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def test_alterations_change_a_part_that_grows_with_the_level(masters: dict[str, torch.Tensor]) -> None:
    finger = draw_finger(3, 4, "whorl")
    picture = render(masters["whorl"], draw_capture(finger, 1, 0), SENSORS["socofing"])[0].numpy()[2:-4, 2:-4]
    for kind in ALTERATIONS:
        shares = [(alter(picture, kind, level, np.random.default_rng(4)) != picture).mean() for level in LEVELS]
        assert 0.01 < shares[0] < shares[1] < shares[2] < 0.6


def test_the_embedded_data_reads_as_real_sets_do(tmp_path: Path) -> None:
    settings = Synth(seed=3, fvc_fingers=2, fvc_impressions=2, unseen_prints=1, socofing_subjects=1)
    write_embedded(settings, tmp_path / "synth")
    limits = Ingest(max_pixels=1_000_000, max_quarantined=0)
    fvc = ingest("f", Dataset("synth/fvc", "fvc", 500.0, ""), limits, tmp_path)
    assert fvc["sensor"].value_counts().to_dict() == {"DB1": 4, "DB2": 4, "DB3": 4, "DB4": 4}
    assert fvc["truth"].eq("synth/fvc/truth").all()
    assert fvc["sha256"].is_unique
    soco = ingest("s", Dataset("synth/socofing", "socofing", 180.0, ""), limits, tmp_path)
    assert len(soco) == 100
    assert soco["source_id"].notna().sum() == 90
    assert len(ingest("u", Dataset("synth/secugen", "folder", 500.0, ""), limits, tmp_path)) == 1
    truth = pd.read_parquet(tmp_path / "synth" / "fvc" / "truth" / "impressions.parquet")
    assert set(truth["file"]) == {f.removeprefix("synth/fvc/") for f in fvc["file"]}


def test_same_seed_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    for name, workers in (("a", 1), ("b", 2)):
        write_sensor(tmp_path / name, 2, 2, "fvc2002-db3", 9, workers)
    assert len(list((tmp_path / "a").glob("*.png"))) == 4
    for file in sorted(p.name for p in (tmp_path / "a").rglob("*.png")):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_bad_input(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    assert "not an empty folder" in fpml("synth", "--out", str(tmp_path / "full"), code=2).err
    assert "unknown sensor 'camera'" in fpml("synth", "--out", str(tmp_path / "o"), "--sensor", "camera", code=2).err
    assert "--fingers 0" in fpml("synth", "--out", str(tmp_path / "o"), "--fingers", "0", code=2).err
    assert not (tmp_path / "o").exists()
    with pytest.raises(FpmlError):
        write_sensor(tmp_path / "o", 1, 0, "fvc2002-db1", 1)
    with pytest.raises(ValueError, match="unknown pattern class"):
        draw_finger(1, 1, "spiral")
    assert DPI == 500
