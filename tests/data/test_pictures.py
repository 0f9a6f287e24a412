import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpml.data.pictures import BadPicture, pixel_hash, read_grey
from tests.conftest import make_print

LIMIT = 1_000_000
GREY = make_print(1)


def save(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_grey_is_unchanged(tmp_path: Path) -> None:
    assert np.array_equal(read_grey(save(tmp_path / "a.tif", Image.fromarray(GREY)), LIMIT), GREY)


def test_colour_by_luma(tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([GREY, GREY, GREY]))
    assert np.array_equal(read_grey(save(tmp_path / "a.png", image), LIMIT), GREY)


def test_transparent_is_white_paper(tmp_path: Path) -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:10] = 0
    image = Image.fromarray(np.dstack([GREY, GREY, GREY, alpha]))
    got = read_grey(save(tmp_path / "a.png", image), LIMIT)
    assert (got[:10] == 255).all()
    assert np.array_equal(got[10:], GREY[10:])


def test_16_bits_by_their_full_range(tmp_path: Path) -> None:
    dark = (GREY.astype(np.uint16) * 257) // 2  # its own maximum is not the range's
    got = read_grey(save(tmp_path / "a.png", Image.fromarray(dark)), LIMIT)
    assert np.abs(got.astype(float) - GREY / 2).max() <= 1


def test_1_bit_is_black_and_white(tmp_path: Path) -> None:
    got = read_grey(save(tmp_path / "a.tif", Image.fromarray(GREY > 128)), LIMIT)
    assert set(np.unique(got)) == {0, 255}
    assert np.array_equal(got == 255, GREY > 128)


def test_palette(tmp_path: Path) -> None:
    got = read_grey(save(tmp_path / "a.gif", Image.fromarray(GREY).convert("P")), LIMIT)
    assert np.abs(got.astype(int) - GREY).max() <= 2


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )
    with pytest.raises(BadPicture, match=r"too large"):
        read_grey(path, 25_000_000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"only text", "not a picture"), (gzip.compress(b"x", mtime=0), "not a picture")],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(BadPicture, match=reason):
        read_grey(tmp_path / "a.tif", LIMIT)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "jpg"])
def test_a_truncated_picture(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / f"a.{kind}", Image.fromarray(GREY))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadPicture):
        read_grey(path, LIMIT)


def test_the_same_pixels_have_the_same_hash(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"a.{kind}", Image.fromarray(GREY)) for kind in ("png", "bmp", "tif")]
    hashes = {pixel_hash(read_grey(p, LIMIT)) for p in paths}
    assert len(hashes) == 1
    assert pixel_hash(GREY.T) not in hashes


@pytest.mark.parametrize(
    ("values", "good"), [([0.0, 0.5, 1.0], True), ([0.0, 0.5, 200.0], False), ([0.0, float("nan"), 1.0], False)]
)
def test_fractions_count_from_0_to_1(tmp_path: Path, values: list[float], good: bool) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([values] * 3, np.float32)))
    if good:
        assert read_grey(path, LIMIT)[0].tolist() == [0, 128, 255]
    else:
        with pytest.raises(BadPicture, match="grey values"):
            read_grey(path, LIMIT)


def test_a_link_to_nothing_is_a_bad_picture(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to(tmp_path / "gone.tif")
    with pytest.raises(BadPicture):
        read_grey(tmp_path / "a.tif", LIMIT)
