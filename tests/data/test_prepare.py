import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from fpml.data import prepare as module
from fpml.data import store
from fpml.data.placing import _grown, place_print, segment
from fpml.settings.recipe import Data
from tests.conftest import make_print


def data(**more: Any) -> Data:
    return Data(**{"train": ["x"], "test": [], "height": 256, "width": 256, "dpi": 500.0, "crop": "print", **more})


def ridge_period(picture: np.ndarray) -> float:
    """Pixels between ridges along the middle row, by its strongest frequency."""
    row = picture[picture.shape[0] // 2].astype(float)
    row = (row - row.mean()) * np.hanning(len(row))
    power = np.abs(np.fft.rfft(row, 4096))
    power[: 4096 // 40] = 0
    return 4096 / float(np.argmax(power))


def grating(period: float, height: int = 300, width: int = 260) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    inside = ((y - height / 2) / 130) ** 2 + ((x - width / 2) / 110) ** 2 < 1
    return np.where(inside, 128 - 110 * np.cos(2 * np.pi * x / period), 240).astype(np.uint8)


@pytest.mark.parametrize(("source", "target"), [(500, 500), (569, 500), (1000, 500), (500, 250)])
def test_the_ridge_period_survives(source: float, target: float) -> None:
    picture = grating(9 * source / 500, 500, 460)
    canvas, *_ = place_print(picture, source, data(dpi=target))
    assert ridge_period(canvas) == pytest.approx(9 * target / 500, rel=0.05)


def test_a_tall_print_is_not_squeezed_unless_asked() -> None:
    picture = np.full((500, 250), 240, np.uint8)
    picture[100:400, 20:230] = grating(9, 300, 210)
    *_, box, _ = place_print(picture, 500, data(dpi=250))
    high, wide = box[1] - box[0], box[3] - box[2]
    assert high / wide == pytest.approx(1.2, abs=0.15)
    squashed, _, box, _ = place_print(picture, 500, data(crop="squash"))
    assert box == (0, 256, 0, 256)
    assert (
        np.abs(squashed.astype(int) - np.asarray(Image.fromarray(picture).resize((256, 256), Image.Resampling.BILINEAR))).max()
        == 0
    )


def test_segmentation_finds_the_print_and_no_speck() -> None:
    picture = np.full((300, 300), 235, np.uint8)
    y, x = np.mgrid[:300, :300]
    truth = ((y - 150) / 90) ** 2 + ((x - 140) / 70) ** 2 < 1
    picture[truth] = (128 - 110 * np.cos(2 * np.pi * x / 9))[truth].astype(np.uint8)
    picture[5:15, 280:290] = 0
    picture[125:175, 120:160] = 235  # a dry part, which is the print's all the same
    mask = segment(picture, 500)
    overlap = (mask & truth).sum() / (mask | truth).sum()
    assert overlap > 0.8  # the mask goes about half a ridge beyond the print
    assert not mask[:20, 270:].any()
    assert mask[125:175, 120:160].all()


@pytest.mark.parametrize("times", [1, 4])
def test_a_mask_grows_as_by_dilation(times: int) -> None:
    mask = np.random.default_rng(0).random((40, 30)) < 0.02
    np.testing.assert_array_equal(_grown(mask, times), ndimage.binary_dilation(mask, iterations=times))


def test_padding_has_the_grey_of_the_sensors_plate(project: Path, prepared: Callable[..., Any]) -> None:
    prints = store.open_prepared(project / "data" / "prepared" / "reconstruct")
    assert prints.images[0].dtype == np.uint8
    assert isinstance(prints.images[0], np.memmap)
    corners = prints.images[0][:, 0, 0]
    assert (np.abs(corners.astype(int) - 250) < 12).all()
    assert (prints.index["plate"] > 230).all()
    assert 0.2 < prints.masks[0].mean() < 0.95


def test_same_input_same_bytes_and_shards_join(
    project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / "data" / "prepared" / "reconstruct"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    whole = store.open_prepared(folder).take(np.arange(23))
    prepared("prepare", "reconstruct")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    monkeypatch.setattr(store, "SHARD_BYTES", 5 * 32 * 32)
    prepared("prepare", "reconstruct")
    sharded = store.open_prepared(folder)
    assert [len(s) for s in sharded.images] == [5, 5, 5, 5, 3]
    assert np.array_equal(sharded.take(np.array([22, 0, 7])), whole[[22, 0, 7]])


def test_the_whole_picture_is_kept_where_it_lies() -> None:
    picture = make_print(1, 97, 90, 4)
    canvas, mask, box, plate = place_print(picture, 180, data(height=100, width=100, dpi=180, crop="none"))
    assert box == (1, 98, 5, 95)
    assert np.array_equal(canvas[1:98, 5:95], picture)
    assert mask.sum() == 97 * 90
    assert plate == pytest.approx(250, abs=2)  # the rim's median


def test_a_full_disk_leaves_nothing(project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project / "data" / "prepared"
    before = (folder / "reconstruct" / "meta.json").read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "masks-000.npy")

    monkeypatch.setattr(module.np, "save", full)
    assert "the disk is full (masks-000.npy)" in prepared("prepare", "reconstruct", code=2).err
    assert [p.name for p in folder.iterdir()] == ["reconstruct"]
    assert (folder / "reconstruct" / "meta.json").read_bytes() == before


def test_a_picture_that_changed_after_ingest_stops_it(project: Path, prepared: Callable[..., Any]) -> None:
    Image.fromarray(make_print(99)).save(project / "raw" / "prints" / "DB1_B" / "1_1.tif")
    assert "has changed since it was ingested" in prepared("prepare", "reconstruct", code=2).err


def test_an_entry_that_selects_nothing(prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.data.train", ["prints/DB9"])
    assert "'prints/DB9' selects no prints; prints has the sensors: DB1, DB2" in prepared("prepare", "reconstruct", code=2).err


def test_a_missing_or_damaged_folder_is_named(project: Path, prepared: Callable[..., Any]) -> None:
    folder = project / "data" / "prepared" / "reconstruct"
    pd.read_parquet(folder / "index.parquet").iloc[:3].to_parquet(folder / "index.parquet")
    assert "damaged" in prepared("split", "reconstruct", code=2).err
    (folder / "meta.json").unlink()
    assert "run: fpml prepare reconstruct" in prepared("split", "reconstruct", code=2).err


def test_no_torch_and_no_mlflow(project: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from fpml.cli.main import main; "
        "assert main(['ingest', 'prints']) == 0 and main(['ingest', 'other']) == 0; "
        "assert main(['prepare', 'reconstruct']) == 0 and main(['split', 'reconstruct']) == 0; "
        "assert not {'torch', 'mlflow', 'prefect', 'dvc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
