import json
import struct
from pathlib import Path

import numpy as np
import pytest

from fpml.base.errors import FpmlError
from fpml.matching import formats
from fpml.matching.template import Template, from_table
from tests.matching.conftest import Make

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "templates"


def same(a: Template, b: Template, place: float, angle: float) -> None:
    """Every minutia of one lies where one of the other does, and points the same way."""
    far = np.abs(a.table()[:, None, :2] - b.table()[:, :2]).max(2)
    nearest = far.argmin(1)
    assert len(set(nearest)) == len(a) == len(b)
    assert far.min(1).max() <= place
    assert np.abs(np.angle(np.exp(1j * (a.angle - b.angle[nearest])))).max() <= angle


@pytest.mark.parametrize(("kind", "place", "angle"), [("json", 0.006, 2e-4), ("fmr", 0.51, 0.0125), ("xyt", 0.51, 0.0088)])
def test_what_is_written_is_read_again(made: Make, tmp_path: Path, kind: str, place: float, angle: float) -> None:
    table = made(1).table() + np.array([0.3, 0.4, 0, 0, 0], np.float32)
    table[:, 4] = np.linspace(0.3, 0.99, len(table))
    whole = from_table(table, 340, 380).of_finger(7)
    formats.write(whole, tmp_path / f"a.{kind}")
    found = formats.read(tmp_path / f"a.{kind}")
    if kind == "xyt":  # says neither how large the picture was nor which types: heights are from its lowest minutia
        low = found.height - whole.height
        found = from_table(found.table() - np.array([0, low, 0, 0, 0], np.float32), whole.width, whole.height)
    same(whole, found, place, angle)
    assert np.abs(np.sort(found.quality) - np.sort(whole.quality)).max() < 0.006
    if kind != "xyt":
        assert (found.width, found.height, found.finger) == (340, 380, 7)
        assert ((np.sort(found.ending) > 0.5) == (np.sort(whole.ending) > 0.5)).all()


def test_a_record_by_the_standard() -> None:
    """Every byte, as ISO/IEC 19794-2:2005 has it: an ending at 12, 34 that points up, of quality 80."""
    template = from_table(np.array([[12, 34, np.pi / 2, 1, 0.8]]), 300, 400).of_finger(2)
    wanted = b"FMR\0 20\0" + struct.pack(">IHHHHHBB", 36, 0, 300, 400, 197, 197, 1, 0) + bytes([2, 0, 100, 1])
    wanted += struct.pack(">HHBB", 1 << 14 | 12, 34, 64, 80) + b"\0\0"
    assert formats.to_iso(template) == wanted


def test_another_resolution_is_brought_to_500_dpi() -> None:
    head = b"FMR\0 20\0" + struct.pack(">IHHHHHBB", 36, 0, 600, 800, 394, 394, 1, 0) + bytes([0, 0, 50, 1])
    found = formats.from_iso(head + struct.pack(">HHBB", 2 << 14 | 200, 100, 0, 0) + b"\0\0")
    assert found.x[0] == pytest.approx(100, abs=0.1)
    assert (found.width, found.ending[0], found.quality[0], found.print_quality) == (300, 0, 1, 0.5)


def test_at_most_255_minutiae_go_into_a_record() -> None:
    rows = np.column_stack([np.arange(300), np.arange(300), np.zeros(300), np.ones(300), np.linspace(0, 1, 300)])
    found = formats.from_iso(formats.to_iso(from_table(rows, 400, 400)))
    assert len(found) == 255
    assert found.x.min() == 45  # the least sure are left out


def record(made: Make) -> bytes:
    return formats.to_iso(made(1))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda c: c[:60], "cut short: it says 40 minutiae"),
        (lambda c: c[:20], "cut short: 20 bytes"),
        (lambda c: b"XXX" + c[3:], "does not begin with FMR"),
        (lambda c: c[:4] + b" 30\0" + c[8:], "version 30"),
        (lambda c: c[:22] + b"\0" + c[23:], "without a finger"),
        (lambda c: c[:18] + b"\0\0\0\0" + c[22:], "0 x 0 pixels a centimetre"),
        (lambda c: c[:14] + b"\0\1\0\1" + c[18:], "lie outside its picture of 1 x 1"),
    ],
)
def test_a_spoilt_record_is_refused_with_the_reason(made: Make, tmp_path: Path, spoil, why: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.fmr"
    path.write_bytes(spoil(record(made)))
    with pytest.raises(FpmlError, match=r"a\.fmr") as error:
        formats.read(path)
    assert why in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": "other"}', '{"format": "fpml-minutiae-1"}', '{"format": "fpml-minutiae-1", "minutiae": 3}'],
)
def test_json_that_is_no_template(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(FpmlError, match=r"a\.json"):
        formats.read(tmp_path / "a.json")


def test_numbers_that_are_none(tmp_path: Path, made: Make) -> None:
    record = json.loads(formats.to_json(made(1)))
    record["minutiae"][0]["x"] = float("nan")
    (tmp_path / "a.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(FpmlError, match="no list of 40 numbers"):
        formats.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("width", 10**9, "pixels at 500 dpi; allowed: 1 to 10000"),
        ("dpi", 0, "not a template in JSON"),
        ("dpi", "500", "lie outside"),
        ("finger", 99, "its finger is from 0 to 10"),
        ("print_quality", 7, "qualities from 0 to 1"),
        ("width", None, "not a template in JSON"),
    ],
)
def test_json_out_of_range(tmp_path: Path, made: Make, key: str, value: object, why: str) -> None:
    record = json.loads(formats.to_json(made(1)))
    record[key] = value
    if value == "500":
        record["width"] = 10
    (tmp_path / "a.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(FpmlError, match=r"a\.json") as error:
        formats.read(tmp_path / "a.json")
    assert why in str(error.value)


def test_json_of_another_dpi_is_brought_to_500(tmp_path: Path, made: Make) -> None:
    record = json.loads(formats.to_json(made(1)))
    record["dpi"] = 1000
    (tmp_path / "a.json").write_text(json.dumps(record), encoding="utf-8")
    found = formats.read(tmp_path / "a.json")
    np.testing.assert_allclose(found.x, made(1).x / 2, atol=0.01)
    assert (found.width, found.height) == (170, 190)


@pytest.mark.parametrize("text", ["1 2\n", "a b c d\n", "1 2 3 4\n5\n"])
def test_xyt_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xyt").write_text(text, encoding="ascii")
    with pytest.raises(FpmlError, match=r"not an \.xyt file"):
        formats.read(tmp_path / "a.xyt")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared sample templates are not here")
def test_templates_of_others() -> None:
    from fpml.matching.cylinders import cylinders
    from fpml.matching.match import match

    probe, mate, stranger = (
        cylinders(formats.read(SAMPLES / f"iso-{name}.dat")) for name in ("probe", "matching", "nonmatching")
    )
    assert match(probe, mate).score > 0.5 > 0.1 > match(probe, stranger).score
