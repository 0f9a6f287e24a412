import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.data import manifest
from fpml.data.ingest import ingest, summary
from fpml.settings.sections import Dataset, Ingest
from tests.conftest import make_print, write_fvc, write_socofing

SETTINGS = Ingest(max_pixels=1_000_000, max_quarantined=0.5)


def fvc(path: Path, **more: Any) -> Dataset:
    return Dataset(str(path), "fvc", more.get("dpi", 500.0), "")


def test_fvc(tmp_path: Path) -> None:
    frame = ingest("set", fvc(write_fvc(tmp_path / "raw"), dpi={"DB1": 500.0, "DB2": 569.0}), SETTINGS, tmp_path)
    assert len(frame) == 20
    assert frame["finger_id"].nunique() == 10  # 5 fingers on each of two sensors, of other people
    assert frame["image_id"].is_unique
    assert set(zip(frame["sensor"], frame["dpi"], strict=True)) == {("DB1", 500), ("DB2", 569)}
    assert list(frame.columns) == list(manifest.COLUMNS)
    assert frame["truth"].isna().all()


def test_socofing_altered_copies_know_their_source(tmp_path: Path) -> None:
    write_socofing(tmp_path / "raw")
    (tmp_path / "raw" / "Real" / "2__M_Left_thumb_finger.BMP").unlink()
    frame = ingest("s", Dataset("raw", "socofing", 180.0, ""), SETTINGS, tmp_path)
    altered = frame[frame["alteration"].notna()].set_index("image_id")
    assert (
        altered.loc["s/Altered/Altered-Easy/1__M_Left_index_finger_CR.BMP", "source_id"] == "s/Real/1__M_Left_index_finger.BMP"
    )
    assert pd.isna(altered.loc["s/Altered/Altered-Easy/2__M_Left_thumb_finger_CR.BMP", "source_id"])
    assert (frame.groupby("finger_id").size() <= 2).all()


def test_bad_files_are_kept_with_their_reasons(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", ("DB1_B",), 10)
    (raw / "DB1_B" / "11_1.tif").write_text("no picture", encoding="utf-8")
    (raw / "DB1_B" / "11_2.tif").write_bytes(b"")
    Image.new("L", (90, 90), 7).save(raw / "DB1_B" / "11_3.tif")
    Image.fromarray(make_print(1)).save(raw / "DB1_B" / "left.tif")
    Image.fromarray(make_print(1, 1200, 1200)).save(raw / "DB1_B" / "11_4.tif")
    (raw / "notes.txt").write_text("by hand", encoding="utf-8")
    frame = ingest("set", fvc(raw), SETTINGS, tmp_path).set_index("file")
    reasons = {Path(str(f)).name: (row["status"], row["reason"]) for f, row in frame[frame["status"] != "ok"].iterrows()}
    assert {k: v[0] for k, v in reasons.items()} == {
        "11_1.tif": "quarantined", "11_2.tif": "quarantined", "11_3.tif": "quarantined", "11_4.tif": "quarantined",
        "left.tif": "quarantined", "notes.txt": "ignored",
    }  # fmt: skip
    for name, word in {
        "11_1.tif": "not a picture",
        "11_2.tif": "0 bytes",
        "11_3.tif": "constant",
        "11_4.tif": "too large",
    }.items():
        assert word in reasons[name][1]
    assert "FINGER_IMPRESSION" in reasons["left.tif"][1]


def test_too_many_bad_files_stop_it(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", ("DB1_B",), 1)
    (raw / "DB1_B" / "2_1.tif").write_text("no picture", encoding="utf-8")
    with pytest.raises(FpmlError, match=r"1 of 3 pictures can't be used, ingest.max_quarantined allows 10%.*2_1.tif"):
        ingest("set", fvc(raw), Ingest(max_pixels=1_000_000, max_quarantined=0.1), tmp_path)


def test_identical_pictures_share_a_hash_whatever_their_names(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", ("DB1_B",), 2)
    Image.open(raw / "DB1_B" / "1_1.tif").save(raw / "DB1_B" / "9_1.png")
    frame = ingest("set", fvc(raw), SETTINGS, tmp_path)
    assert frame["sha256"].nunique() == len(frame) - 1


@pytest.mark.parametrize("what", ["absent", "empty", "file", "no-pictures"])
def test_folders_that_hold_no_prints(tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "no-pictures").mkdir()
    (tmp_path / "no-pictures" / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FpmlError, match=what):
        ingest("set", fvc(tmp_path / what), SETTINGS, tmp_path)


def test_a_sensor_without_dpi_is_named(tmp_path: Path) -> None:
    with pytest.raises(FpmlError, match=r"datasets.set.dpi has no sensor 'DB2'"):
        ingest("set", fvc(write_fvc(tmp_path / "raw"), dpi={"DB1": 500.0}), SETTINGS, tmp_path)


def test_truth_is_not_read_as_prints_and_marks_generated_ones(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", ("DB1_B",), 2)
    (raw / "truth").mkdir()
    Image.fromarray(make_print(3)).save(raw / "truth" / "1_1.png")
    (raw / "truth" / "synth.json").write_text("[]", encoding="utf-8")
    (raw / "truth" / "impressions").mkdir()
    classes = pd.DataFrame({"file": ["DB1_B/1_2.tif"], "pattern": ["whorl"]})
    classes.to_parquet(raw / "truth" / "impressions" / "0.parquet")
    frame = ingest("set", fvc(raw), SETTINGS, tmp_path)
    assert len(frame) == 4
    assert frame.set_index("image_id")["pattern"].dropna().to_dict() == {"set/DB1_B/1_2.tif": "whorl"}
    assert manifest.is_synthetic(frame).all()


def test_same_input_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", fingers=20, impressions=4)
    for workers in (1, 2):
        manifest.write(ingest("set", fvc(raw), SETTINGS, tmp_path, workers), tmp_path / f"{workers}.parquet")
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_the_command_leaves_nothing_half_written(project: Path, fpml: Callable[..., Any]) -> None:
    assert "20 prints of 10 fingers" in fpml("ingest", "prints").out
    before = (project / "data" / "manifest" / "prints.parquet").read_bytes()
    for picture in (project / "raw" / "prints").rglob("*.tif"):
        picture.write_bytes(b"")
    assert "can't be used" in fpml("ingest", "prints", code=2).err
    assert (project / "data" / "manifest" / "prints.parquet").read_bytes() == before
    assert [p.name for p in (project / "data" / "manifest").iterdir()] == ["prints.parquet"]
    assert "no dataset 'x'" in fpml("ingest", "x", code=2).err


def test_no_permission_is_one_line(project: Path, fpml: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied", "data/manifest/prints.parquet")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)  # a test may run as root, whom no folder refuses
    assert "no permission (data/manifest/prints.parquet)" in fpml("ingest", "prints", code=2).err


def test_two_collections_in_one_folder_are_refused(tmp_path: Path) -> None:
    for year in (2002, 2004):
        write_fvc(tmp_path / "raw" / f"FVC{year}", ("DB1_A",), 2)
    with pytest.raises(
        FpmlError, match=r"sensor DB1 stands in FVC2002 and in FVC2004|have the same sensor, finger and impression"
    ):
        ingest("set", fvc(tmp_path / "raw"), SETTINGS, tmp_path)


def test_set_a_and_set_b_are_one_sensor(tmp_path: Path) -> None:
    write_fvc(tmp_path / "raw", ("DB1_A",), 2)
    (tmp_path / "raw" / "DB1_B").mkdir()
    Image.fromarray(make_print(77)).save(tmp_path / "raw" / "DB1_B" / "101_1.tif")
    assert set(ingest("set", fvc(tmp_path / "raw"), SETTINGS, tmp_path)["sensor"]) == {"DB1"}


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    raw = write_fvc(tmp_path / "raw", ("DB1_A",), 2)
    Image.fromarray(make_print(78)).save(raw / "DB1_A" / "1_1.png")
    with pytest.raises(FpmlError, match="same sensor, finger and impression"):
        ingest("set", fvc(raw), SETTINGS, tmp_path)


@pytest.mark.parametrize("name", ["a+b_1.png", "x_20240101123000.png"])
def test_names_that_later_stages_could_not_carry_are_quarantined(tmp_path: Path, name: str) -> None:
    (tmp_path / "raw").mkdir()
    for good in ("p_1.png", "q_1.png"):
        Image.fromarray(make_print(1)).save(tmp_path / "raw" / good)
    Image.fromarray(make_print(2)).save(tmp_path / "raw" / name)
    pattern = r"(?P<sensor>(?P<finger>[^_]+))_(?P<impression>\d+)\.png"
    frame = ingest("set", Dataset("raw", "folder", 500.0, pattern), SETTINGS, tmp_path).set_index("file")
    assert frame.loc[f"raw/{name}", "status"] == "quarantined"


def test_a_pattern_that_takes_two_people_for_one_is_refused(tmp_path: Path) -> None:
    for number, folder in enumerate(("A", "B")):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        Image.fromarray(make_print(number)).save(tmp_path / "raw" / folder / "101_1.png")
    name = r"(?P<finger>\d+)_(?P<impression>\d+)\.png"
    with pytest.raises(FpmlError, match=r"A/101_1.png and .*B/101_1.png are the same sensor, finger and impression"):
        ingest("set", Dataset("raw", "folder", 500.0, name), SETTINGS, tmp_path)
    two = ingest("set", Dataset("raw", "folder", 500.0, r"(?P<subject>[AB])/" + name), SETTINGS, tmp_path)
    assert two["finger_id"].nunique() == 2


@pytest.mark.parametrize("ending", [".wsq", ".raw", ".heic", ".dcm", ".an2", ".eft"])
def test_pictures_that_are_not_read_count(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsq", None)
    (tmp_path / "raw").mkdir()
    Image.fromarray(make_print(1)).save(tmp_path / "raw" / "1.png")
    (tmp_path / "raw" / f"2{ending.upper()}").write_bytes(b"\xff\xa0" + bytes(50))
    (tmp_path / "raw" / "notes.txt").write_text("by hand")
    (tmp_path / "raw" / "LICENCE").write_text("by hand")
    data = Dataset("raw", "folder", 500.0, "")
    frame = ingest("set", data, SETTINGS, tmp_path)
    assert f"1 quarantined (1 {ending}), 2 other files ignored (1 without an ending, 1 .txt)" in summary(frame)
    with pytest.raises(FpmlError, match=r"1 of 2 pictures can't be used, ingest.max_quarantined allows 10%"):
        ingest("set", data, Ingest(max_pixels=1_000_000, max_quarantined=0.1), tmp_path)


@pytest.mark.parametrize("where", ["file", "folder"])
def test_one_name_in_two_unicode_forms_is_one_finger(tmp_path: Path, where: str) -> None:
    for impression, form in enumerate(("NFC", "NFD"), 1):
        name = unicodedata.normalize(form, "Zoë")
        path = tmp_path / "raw" / (f"{name}_{impression}.png" if where == "file" else f"{name}/{impression}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_print(impression)).save(path)
    pattern = r"(?P<finger>\w+)" + ("_" if where == "file" else "/") + r"(?P<impression>\d+)\.png"
    frame = ingest("set", Dataset("raw", "folder", 500.0, pattern), SETTINGS, tmp_path)
    assert (frame["status"] == manifest.OK).all()
    assert frame["finger_id"].unique().tolist() == ["set/Zoë"]
    assert all((tmp_path / str(file)).exists() for file in frame["file"])  # as it is called on disk


@pytest.mark.parametrize(("reader", "words"), [("fvc", r"is a picture \(.*\.tif"), ("idx", "is an idx file of pictures")])
def test_what_the_reader_takes_is_told(tmp_path: Path, reader: str, words: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_text("x")
    with pytest.raises(FpmlError, match=words) as error:
        ingest("set", Dataset("raw", reader, 500.0, ""), SETTINGS, tmp_path)  # type: ignore[arg-type]
    assert (".tif" in str(error.value)) == (reader == "fvc")


def test_one_bad_file_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for number in range(4):
        Image.fromarray(make_print(number)).save(tmp_path / "raw" / f"{number}.png")
    Image.fromarray(make_print(5)).save(tmp_path / "raw" / "5.eps")
    (tmp_path / "raw" / "5.eps").rename(tmp_path / "raw" / "5.png")
    frame = ingest("set", Dataset("raw", "folder", 500.0, ""), SETTINGS, tmp_path)
    assert frame["status"].tolist() == ["ok"] * 4 + ["quarantined"]


ROWS = """
import resource, sys
from pathlib import Path
from fpml.settings.sections import Dataset
from fpml.data import manifest, store
from fpml.data.ingest import assemble
count = int(sys.argv[1])
def rows():
    for n in range(count):
        yield {"file": f"s{n % 8}/{n // 8 % 1000:05d}/{n}.png", "status": "ok", "sensor": f"s{n % 8}", "finger": str(n // 10),
               "impression": n % 10, "height": 300, "width": 300, "sha256": f"{n:064x}"}
frame = assemble("big", Dataset("raw", "folder", 500, ""), rows(), None)
manifest.write(frame, Path(sys.argv[2]))
each, sizes = store.shard_sizes(len(frame), 224, 224)
assert len(frame) == sum(sizes) == count and frame["image_id"].is_monotonic_increasing
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_million_rows_in_bounded_memory(tmp_path: Path) -> None:
    """Dictionaries of a million rows alone would be 1.6 GB (1.6 kB each, as Python keeps them)."""
    done = subprocess.run(
        [sys.executable, "-c", ROWS, "1000000", str(tmp_path / "big.parquet")], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2000, f"{done.stdout} MiB"
    assert pd.read_parquet(tmp_path / "big.parquet", columns=["image_id"])["image_id"].is_unique
