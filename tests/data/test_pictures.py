import gzip
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fpml.data.pictures import EXTENSIONS, BadPicture, pixel_hash, read_grey
from tests.conftest import make_print
from tests.data.odd_files import bmp, png, tiff

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


def written(folder: Path, content: bytes, name: str = "a.tif") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def off(got: np.ndarray, expected: np.ndarray) -> int:
    assert got.dtype == np.uint8
    assert got.shape == expected.shape
    return int(np.abs(got.astype(int) - expected).max())


WIDE = GREY.astype(np.uint16) * 257


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_tiff_of_every_depth_and_both_ways_of_grey(tmp_path: Path, bits: int, photometric: int, zipped: bool) -> None:
    top = 2**bits - 1
    numbers = (GREY[:, 1:].astype(np.uint32) * top + 127) // 255  # of odd width: a row of 12 bits ends within a byte
    path = written(tmp_path, tiff(numbers if photometric else top - numbers, bits, photometric, zipped=zipped))
    if (bits, photometric) == (12, 0):
        with pytest.raises(BadPicture, match="a damaged TIFF, or one of a kind that is not read"):
            read_grey(path, LIMIT)
    else:
        assert off(read_grey(path, LIMIT), np.round(numbers * 255 / top)) == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(WIDE >> 4, 16), "no number over 4... of 65535: fewer bits than the 16"),
        (tiff(WIDE >> 2, 16), "fewer bits"),
        (tiff(WIDE >> 4, 16, 0), "fewer bits"),
        (png(WIDE >> 4, 16, 0), "fewer bits"),
        (tiff(WIDE, 16, tags={281: (3, [60_000])}), ""),  # the largest that occurs is no depth
        (tiff(WIDE >> 4, 16, tags={281: (3, [4095])}), ""),
        (tiff(WIDE >> 6, 16, tags={281: (3, [1023])}), ""),
        (b"P5 88 96 4095\n" + (WIDE >> 4).astype(">u2").tobytes(), ""),
        (b"P5 88 96 65535\n" + (WIDE >> 4).astype(">u2").tobytes(), "fewer bits"),
        (b"P2 88 96 4095\n" + " ".join(map(str, (WIDE >> 4).ravel())).encode(), ""),
        (tiff(WIDE >> 2, 14), "whole numbers of 14 bits; read are 1, 2, 4, 8, 12, 16"),
        (tiff(WIDE >> 6, 10), "whole numbers of 10 bits"),
        (tiff(WIDE.astype(np.uint32) << 16, 32), "whole numbers of 32 bits"),
        (tiff(WIDE.astype(np.int32) - 9, 16, tags={339: (3, [2])}), "signed"),
        (tiff(WIDE.astype(np.int32) - 9, 32, tags={339: (3, [2])}), "signed"),
        (tiff(GREY.astype(np.int16) - 128, 8, tags={339: (3, [2])}), "signed"),
        (tiff(GREY / np.float64(255), 64, tags={339: (3, [3])}), "fractions of 64 bits; read are 32"),
        (tiff(GREY / np.float32(255), 32, tags={339: (3, [3])}), ""),
        (tiff(1 - GREY / np.float32(255), 32, 0, tags={339: (3, [3])}), ""),
        (tiff(GREY.astype(np.float32), 32, tags={339: (3, [3])}), r"grey values from .*; allowed in this format: 0 to 1"),
        (tiff(GREY, 8, None), "does not say whether 0 is black or white"),
        (tiff(GREY, 8, 32_803), "photometric interpretation 32803"),
        (tiff(GREY, 8, 8), "photometric interpretation 8"),
        (tiff(GREY, 8, tags={254: (4, [1])}), "smaller copy"),
        (tiff(GREY, 8, pages=3), "3 pages"),
        (tiff(255 - GREY, 8, 0, tags={284: (3, [2])}), "in planes"),
        (tiff(GREY, 8, tags={284: (3, [2])}), ""),
        (tiff(WIDE, 16, order=">"), ""),
    ],
)  # fmt: skip
def test_what_a_file_declares_is_kept_to_or_it_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = written(tmp_path, content)
    if reason:
        with pytest.raises(BadPicture, match=reason):
            read_grey(path, LIMIT)
    else:
        assert off(read_grey(path, LIMIT), GREY) <= 1


TURNS = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].T, 8: lambda a: np.rot90(a),
}  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", ["tif", "tif 16", "tif lzw", "png", "webp", "jpg"])
def test_turned_as_the_file_says(tmp_path: Path, kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"a.{kind[:4].strip()}"
    image = Image.fromarray(WIDE if kind == "tif 16" else GREY)
    if kind.startswith("tif"):
        image.save(path, tiffinfo={274: turn}, compression="tiff_lzw" if kind == "tif lzw" else None)
    else:
        image.save(path, exif=exif, **({"quality": 97} if kind == "jpg" else {"lossless": True}))
    assert off(read_grey(path, LIMIT), TURNS[turn](GREY)) <= (9 if kind == "jpg" else 0)


def test_damaged_exif_does_not_say_which_side_is_up(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=b"Exif\0\0no header")
    with pytest.raises(BadPicture, match="damaged EXIF"):
        read_grey(tmp_path / "a.png", LIMIT)


PLATE = GREY > 240
INK = np.where(PLATE, 0, np.maximum(GREY, 64))  # where the plate is transparent, 0 lies below
ALPHA = np.where(PLATE, 0, 255)
WIDE_INK, WIDE_ALPHA = INK.astype(np.uint16) * 257, ALPHA.astype(np.uint16) * 257
SEEN = np.where(PLATE, 255, INK)
FEW = {bits: np.where(PLATE, 255, (INK >> (8 - bits)) * (255 // (2**bits - 1))) for bits in (1, 2, 4)}
GREYS = {bits: b"".join(bytes([grey * 255 // (2**bits - 1)] * 3) for grey in range(2**bits)) for bits in (2, 4, 8)}
KEY = (b"tRNS", b"\0\0")
COLOURS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(WIDE_INK, 16, 0, KEY), SEEN),
        (png(np.dstack([WIDE_INK, WIDE_ALPHA]), 16, 4), SEEN),
        (png(np.dstack([*[WIDE_INK] * 3, WIDE_ALPHA]), 16, 6), SEEN),
        (png(INK, 8, 0, KEY), SEEN),
        (png(INK >> 4, 4, 0, KEY), FEW[4]),
        (png(np.where(PLATE, 1, INK >> 4), 4, 0, (b"tRNS", b"\0\1")), FEW[4]),
        (png(np.where(PLATE, 1, 3 * (INK >> 7)), 2, 0, (b"tRNS", b"\0\1")), np.where(PLATE | (INK > 127), 255, 0)),
        (png(1 - (INK >> 7), 1, 0, (b"tRNS", b"\0\1")), np.where(PLATE | (INK < 128), 255, 0)),
        (png(INK, 8, 3, (b"PLTE", GREYS[8]), (b"tRNS", b"\0")), SEEN),
        (png(INK >> 4, 4, 3, (b"PLTE", GREYS[4]), (b"tRNS", b"\0")), FEW[4]),
        (png(INK >> 6, 2, 3, (b"PLTE", GREYS[2]), (b"tRNS", b"\0\xff\xff\xff")), FEW[2]),
        (tiff(np.dstack([INK, ALPHA]), 8, tags={338: (3, [1])}), SEEN),
        (tiff(np.dstack([INK, ALPHA]), 8, tags={338: (3, [2])}), SEEN),
        (tiff(np.dstack([INK, ALPHA]), 8, tags={338: (3, [0])}), INK),  # a second number of no known meaning
        (tiff(np.dstack([*[WIDE_INK] * 3, WIDE_ALPHA]), 16, 2, tags={338: (3, [1])}), SEEN),
        (tiff(np.dstack([*[WIDE_INK] * 3, WIDE_ALPHA]), 16, 2, tags={338: (3, [2])}), SEEN),
        (bmp(np.dstack([*[INK] * 3, ALPHA]), 32, masks=COLOURS), SEEN),
        (bmp(np.dstack([*[INK] * 3, 0 * ALPHA]), 32, masks=COLOURS), INK),
        (bmp(np.dstack([*[INK] * 3, 0 * ALPHA]), 32), INK),
    ],
)  # fmt: skip
def test_transparent_is_white_paper_at_every_depth(tmp_path: Path, content: bytes, expected: np.ndarray) -> None:
    assert off(read_grey(written(tmp_path, content), LIMIT), expected) == 0


INVERTED = b"".join(bytes([255 - grey] * 3 + [0]) for grey in range(256))
FOUR = np.repeat(np.arange(16) * 17, 4).astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bmp(255 - GREY, 8, INVERTED), GREY),
        (bmp(INK >> 4, 4, FOUR), (INK >> 4) * 17),
        (bmp(GREY >> 7, 1, b"\xff\xff\xff\0\0\0\0\0"), np.where(GREY < 128, 255, 0)),
        (bmp(GREY >> 7, 1, b"\0\0\0\0\xff\xff\xff\0"), np.where(GREY < 128, 0, 255)),
        (bmp(GREY >> 7, 8, b"\0\0\0\0\xff\xff\xff\0"), "BMP of 8 bits with a short palette"),
        (bmp(GREY >> 7, 4, b"\0\0\0\0\xff\xff\xff\0"), "BMP of 4 bits with a short palette"),
        (png(GREY, 8, 0, (b"gAMA", struct.pack(">I", 45_455))), GREY),
        (png(GREY, 8, 0, (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")), GREY),
        (png(GREY, 8, 0, (b"gAMA", struct.pack(">I", 100_000))), "PNG of gamma 1"),
        (png(np.dstack([WIDE] * 3), 16, 2), GREY),
        (png(np.dstack([WIDE] * 3), 16, 2, (b"tRNS", b"\0" * 6)), "16-bit colours of which one is transparent"),
        (png(GREY >> 4, 4, 0), (GREY >> 4) * 17),
        (png(GREY >> 6, 2, 0), (GREY >> 6) * 85),
        (tiff(np.dstack([WIDE] * 3), 16, 2, ">"), GREY),
        (tiff(np.dstack([0 * GREY] * 3 + [255 - GREY]), 8, 5), GREY),
        (b"P5 88 96 15\n" + (GREY >> 4).tobytes(), (GREY >> 4) * 17),
        (b"P5 88 96 255\n" + GREY.tobytes(), GREY),
    ],
)  # fmt: skip
def test_palettes_colours_and_gamma(tmp_path: Path, content: bytes, expected: np.ndarray | str) -> None:
    path = written(tmp_path, content)
    if isinstance(expected, str):
        with pytest.raises(BadPicture, match=expected):
            read_grey(path, LIMIT)
    else:
        assert off(read_grey(path, LIMIT), expected) == 0


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_one_of_several_pages_is_not_guessed(tmp_path: Path, kind: str) -> None:
    first, second, third = (Image.fromarray(make_print(number)) for number in (1, 2, 3))
    first.save(tmp_path / f"a.{kind}", save_all=True, append_images=[second, third])
    with pytest.raises(BadPicture, match=r"^3 pages, of which any may be the print"):
        read_grey(tmp_path / f"a.{kind}", LIMIT)


def test_pages_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    content = tiff(GREY, 8)
    path = written(tmp_path, content[:-4] + content[4:8])  # the page after the first is the first
    assert off(read_grey(path, LIMIT), GREY) == 0


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_jpeg_2000_by_its_depth(tmp_path: Path, bits: int) -> None:
    Image.fromarray(GREY if bits <= 8 else WIDE).save(tmp_path / "a.j2k", irreversible=False)
    content = bytearray((tmp_path / "a.j2k").read_bytes())
    content[42] = bits - 1  # in the codestream's own header
    path = written(tmp_path, bytes(content), "b.j2k")
    if bits < 8:
        with pytest.raises(BadPicture, match="JPEG 2000"):
            read_grey(path, LIMIT)
    else:
        assert off(read_grey(path, LIMIT), GREY) <= 1


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.j2k", "a.jpx", "a.dib", "a.pnm", "a.apng", "a.JFIF"])
def test_other_endings_of_what_is_read(tmp_path: Path, name: str) -> None:
    kind = {".j2k": "jpeg2000", ".jpx": "jpeg2000", ".dib": "bmp", ".pnm": "ppm", ".apng": "png"}.get(name[1:], "jpeg")
    Image.fromarray(GREY).save(tmp_path / name, kind, **({"quality": 97} if kind == "jpeg" else {}))
    assert (tmp_path / name).suffix.lower() in EXTENSIONS
    assert off(read_grey(tmp_path / name, LIMIT), GREY) <= 9


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.raw", "without a header"),
        ("a.heic", "save it as PNG"),
        ("a.DCM", "record"),
        ("a.eft", "record"),
        ("a.dng", "camera"),
    ],
)
def test_endings_of_what_is_not_read(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        read_grey(written(tmp_path, GREY.tobytes(), name), LIMIT)


def test_no_decoder_that_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*arguments: object, **more: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    Image.fromarray(GREY).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(BadPicture, match="not a picture"):
        read_grey(tmp_path / "a.png", LIMIT)


class _Fails(Image.Image):
    def __init__(self, *arguments: object) -> None:
        raise ZeroDivisionError("in a decoder")


def test_whatever_a_decoder_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setitem(Image.OPEN, "PNG", (_Fails, Image.OPEN["PNG"][1]))
    with pytest.raises(BadPicture, match="in a decoder"):
        read_grey(tmp_path / "a.png", LIMIT)


WSQ = b"\xff\xa0\xff\xa8" + bytes(200)


def test_wsq_says_how_to_get_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsq", None)
    with pytest.raises(BadPicture, match=r"pip install -c constraints.txt '.\[wsq\]'"):
        read_grey(written(tmp_path, WSQ, "a.wsq"), LIMIT)


def test_wsq_where_its_decoder_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wsq")
    Image.fromarray(GREY).save(tmp_path / "a.wsq")
    assert np.abs(read_grey(tmp_path / "a.wsq", LIMIT).astype(int) - GREY).mean() < 12
    with pytest.raises(BadPicture, match="damaged"):
        read_grey(written(tmp_path, WSQ, "b.wsq"), LIMIT)


def _made(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    return file.getvalue()


ORIGINALS = [
    *map(_made, ("PNG", "BMP", "TIFF", "JPEG", "GIF", "WEBP", "JPEG2000", "PPM")),
    tiff(WIDE >> 4, 12), tiff(WIDE, 16, 0), tiff(GREY, 8, pages=2), tiff(GREY / np.float32(255), 32, tags={339: (3, [3])}),
    tiff(np.dstack([INK, ALPHA]), 8, tags={338: (3, [1])}), png(WIDE_INK, 16, 0, KEY), png(INK >> 4, 4, 3, (b"PLTE", GREYS[4])),
    bmp(np.dstack([*[INK] * 3, ALPHA]), 32, masks=COLOURS), bmp(INK >> 4, 4, FOUR), WSQ,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_damaged_files_are_pictures_or_bad_pictures(tmp_path: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    for _ in range(40):
        content = bytearray(ORIGINALS[number])
        for _ in range(rng.choice([1, 4, 16])):
            near = min(len(content), 200)  # most of what a file declares is at its beginning or its end
            place = rng.choice([rng.integers(near), len(content) - 1 - rng.integers(near), rng.integers(len(content))])
            content[place] = rng.integers(256)
        try:
            grey = read_grey(written(tmp_path, bytes(content[: rng.choice([len(content), rng.integers(len(content))])])), LIMIT)
        except BadPicture:
            continue
        assert grey.dtype == np.uint8
        assert grey.ndim == 2
