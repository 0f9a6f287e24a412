import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpml.data import manifest
from fpml.data.sources import idx


def write_idx(path: Path, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def digits(project: Path, change_params: Callable[..., None]) -> Path:
    """Made pictures in idx files: 30 to train on, 10 to test on, four classes; one picture has nothing on it."""
    folder = project / "raw" / "digits"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, count in (("train", 30), ("t10k", 10)):
        labels = np.arange(count) % 4
        images = rng.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[4 + 5 * label : 8 + 5 * label] = 250
        images[5] = 0
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels)
    change_params("datasets.digits", {"path": "raw/digits", "reader": "idx", "dpi": 100, "pattern": ""})
    idx.pictures.cache_clear()
    return folder


def test_a_row_for_every_picture(
    digits: Path, project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    fpml("ingest", "digits")
    frame = manifest.read(project / "data/manifest/digits.parquet")
    ok = frame[frame["status"] == manifest.OK]
    assert len(ok) == 38
    assert (frame["reason"] == "constant: every pixel has the same grey").sum() == 2
    assert ok["image_id"].is_unique
    assert sorted(ok["category"].unique()) == ["0", "1", "2", "3"]
    assert ok.groupby("sensor").size().to_dict() == {"test": 9, "train": 29}
    change_params("recipes.compress.data", {
        "train": ["digits"], "test": [], "height": 28, "width": 28, "dpi": 100, "crop": "none",
    })  # fmt: skip
    change_params("recipes.compress.split.by", "given")
    change_params("run", {"compress": {"task": "compress", "model": "small"}})
    fpml("prepare", "compress")
    from fpml.data.store import open_prepared

    prints = open_prepared(project / "data/prepared/compress")
    row = prints.index.iloc[20]
    picture = idx.read(project / row["file"], 3)[row["index"]]
    assert np.array_equal(prints.take(np.array([20]))[0], picture)
    fpml("split", "compress")
    sides = pd.read_parquet(project / "data/split/compress.parquet")["side"]
    assert (sides == "train").sum() == 29
    assert ((sides == "validation") == (prints.index["sensor"] == "test")).all()


def test_a_set_without_a_division_of_its_own(prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.split.by", "given")
    assert "have the sensors DB1, DB2, not train and test" in prepared("split", "reconstruct", code=2).err


def test_damage_is_named(digits: Path, fpml: Callable[..., Any]) -> None:
    images = digits / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    images.write_bytes(whole[:-200])
    assert "truncated or damaged gzip" in fpml("ingest", "digits", code=2).err
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-5]))
    assert "is cut short or damaged: 23515 bytes for 30 x 28 x 28" in fpml("ingest", "digits", code=2).err
    images.write_bytes(gzip.compress(b"hello, world"))
    assert "is no idx file" in fpml("ingest", "digits", code=2).err
    images.write_bytes(whole)
    write_idx(digits / "train-labels-idx1-ubyte", np.zeros(29))
    assert "has 29 labels, train-images-idx3-ubyte.gz 30 images" in fpml("ingest", "digits", code=2).err


def test_fashion_has_names(tmp_path: Path) -> None:
    folder = tmp_path / "fashion"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte", np.arange(784 * 2).reshape(2, 28, 28) % 251)
    write_idx(folder / "train-labels-idx1-ubyte", np.array([9, 0]))
    rows = idx.rows(Path("train-images-idx3-ubyte"), folder)  # type: ignore[arg-type]
    assert [r["category"] for r in rows or []] == ["ankle boot", "T-shirt"]
