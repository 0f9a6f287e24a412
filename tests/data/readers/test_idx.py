import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpml.base.errors import FpmlError
from fpml.data import manifest
from fpml.data.readers import idx
from fpml.data.walk import find_files


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
    assert "is not an idx file" in fpml("ingest", "digits", code=2).err
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


def counted(folder: Path) -> dict[str, tuple[int, set[str]]]:
    """Of each sensor the number of pictures, and their categories."""
    idx.pictures.cache_clear()
    out: dict[str, tuple[int, set[str]]] = {}
    for file in find_files(folder):
        found = idx.rows(file, folder)
        for row in found if isinstance(found, list) else []:
            number, labels = out.get(row["sensor"], (0, set()))
            out[row["sensor"]] = number + 1, labels | {row.get("category", "")}
    return out


IMAGES = {"train": np.arange(6 * 16).reshape(6, 4, 4), "test": np.arange(2 * 16).reshape(2, 4, 4) + 9}
LABELS = {"train": np.arange(6) % 3, "test": np.array([1, 2])}


def family(folder: Path, *names: str) -> Path:
    """Files with what their names promise."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        side = "train" if "train" in name.lower() else "test"
        write_idx(folder / name, (IMAGES if "images" in name.lower() else LABELS)[side])
    return folder


PLAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.mark.parametrize(
    "names",
    [
        PLAIN,
        [f"{name}.gz" for name in PLAIN],
        [f"{name}/{name}" for name in PLAIN],
        [*PLAIN, *(f"{name}.gz" for name in PLAIN)],
        [*(f"{name}/{name}" for name in PLAIN), *(name.replace("-idx", ".idx") for name in PLAIN)],
        [name.replace("-", ".") for name in PLAIN],
        [name.upper() for name in PLAIN],
        [f"{name.upper()}.GZ" for name in PLAIN],
        [f"emnist-letters-{name.replace('t10k', 'test')}.gz" for name in PLAIN],
        [f"images/{name}" if "images" in name else f"labels/{name}" for name in PLAIN],
        ["train-images.idx3-ubyte", *PLAIN[1:]],
    ],
)
def test_the_familys_names(tmp_path: Path, names: list[str]) -> None:
    assert counted(family(tmp_path, *names)) == {"train": (6, {"0", "1", "2"}), "test": (2, {"1", "2"})}


def test_qmnists_labels_are_numbers_in_rows_of_eight(tmp_path: Path) -> None:
    for side in ("train", "test"):
        write_idx(tmp_path / f"qmnist-{side}-images-idx3-ubyte.gz", IMAGES[side])
        labels = np.column_stack([LABELS[side], *[np.full(len(LABELS[side]), 70_000)] * 7])
        head = bytes([0, 0, 12, 2]) + len(labels).to_bytes(4, "big") + (8).to_bytes(4, "big")
        (tmp_path / f"qmnist-{side}-labels-idx2-int.gz").write_bytes(gzip.compress(head + labels.astype(">i4").tobytes()))
    assert counted(tmp_path) == {"train": (6, {"0", "1", "2"}), "test": (2, {"1", "2"})}


def test_an_ending_does_not_make_a_gzip(tmp_path: Path) -> None:
    family(tmp_path, *PLAIN)
    for name in PLAIN:  # as browsers leave it
        (tmp_path / name).rename(tmp_path / f"{name}.gz")
    assert counted(tmp_path) == {"train": (6, {"0", "1", "2"}), "test": (2, {"1", "2"})}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["extra-images-idx3-ubyte"], "extra-images-idx3-ubyte is an idx file, and its name does not say of what"),
        (["train-images-idx3-ubyte (1).gz"], "its name does not say of what"),
        (["train-labels-idx1-ubyte-old"], "its name does not say of what"),
        (["emnist-letters-train-images-idx3-ubyte"], "several sets: MNIST's own names, emnist-letters"),
        (["test/test-labels-idx1-ubyte"], ""),
    ],
)
def test_names_that_leave_something_open(tmp_path: Path, more: list[str], words: str) -> None:
    family(tmp_path, *PLAIN, *more)
    if words:
        with pytest.raises(FpmlError, match=re.escape(words)):
            counted(tmp_path)
    else:
        assert counted(tmp_path)["test"] == (2, {"1", "2"})


def test_one_name_with_other_pictures_or_labels(tmp_path: Path) -> None:
    family(tmp_path, *PLAIN)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", IMAGES["train"] + 1)
    with pytest.raises(FpmlError, match="have one name and other pictures"):
        counted(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", LABELS["train"] + 1)
    with pytest.raises(FpmlError, match="have other labels for the same pictures"):
        counted(tmp_path)


def test_labels_are_not_lost(tmp_path: Path) -> None:
    family(tmp_path, "train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
    assert counted(tmp_path) == {"train": (6, {""}), "test": (2, {""})}  # there are none
    family(tmp_path, "train-labels-idx1-ubyte")
    with pytest.raises(FpmlError, match="t10k-images-idx3-ubyte has no labels, and there are train-labels-idx1-ubyte"):
        counted(tmp_path)


def test_fashion_is_told_by_the_dataset_that_stays(dvc_project: Path, fpml: Callable[..., Any], tmp_path: Path) -> None:
    family(tmp_path / "fashion" / "mine", *PLAIN)
    (tmp_path / "fashion" / "mine" / "preview.png").write_bytes(b"a picture beside them is none of theirs")
    images = np.random.default_rng(0).integers(0, 255, (6, 28, 28))
    write_idx(tmp_path / "fashion" / "mine" / PLAIN[0], images)
    write_idx(tmp_path / "fashion" / "mine" / PLAIN[2], images[:2])
    fpml("data", "add", "digits", str(tmp_path / "fashion" / "mine"), "--reader", "idx")
    fpml("ingest", "digits")
    categories = manifest.read(dvc_project / "data/manifest/digits.parquet")["category"].dropna()
    assert set(categories) == {"0", "1", "2"}
    (tmp_path / "fashion" / "mine").rename(tmp_path / "fashion-mnist")
    said = fpml("data", "add", "clothes", str(tmp_path / "fashion-mnist"), "--reader", "idx", code=2).err
    assert "call it fashion-clothes" in said
    fpml("data", "add", "fashion", str(tmp_path / "fashion-mnist"), "--reader", "idx")
    fpml("ingest", "fashion")
    assert "trouser" in set(manifest.read(dvc_project / "data/manifest/fashion.parquet")["category"].dropna())
