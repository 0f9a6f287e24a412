from pathlib import Path
from pathlib import PurePosixPath as P

import numpy as np
import pytest

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture
from fpml.data.readers import folder, fvc, polyu, socofing


def test_fvc_names() -> None:
    assert fvc.describe(P("FVC2004/DB3_A/12_8.tif"), "") == {"sensor": "DB3", "finger": "12", "impression": 8}
    assert fvc.describe(P("Db1_b/101_1.png"), "")["sensor"] == "Db1"
    for bad in ("DB1_B/101.tif", "DB1_B/a_1.tif", "DB1_B/1_2_3.tif"):
        with pytest.raises(BadPicture, match="FINGER_IMPRESSION"):
            fvc.describe(P(bad), "")


def test_fvc_fingers_of_two_databases_are_two_people() -> None:
    one, two = (fvc.identity(fvc.describe(P(f"DB{n}_B/101_1.tif"), "")) for n in (1, 2))
    assert one != two
    assert one == fvc.identity(fvc.describe(P("DB1_A/101_2.tif"), ""))


def test_fvc_dpi_is_known_by_collection() -> None:
    assert fvc.default_dpi("/x/FVC2002", ["DB1", "DB2"]) == {"DB1": 500, "DB2": 569}
    assert fvc.default_dpi("/x/fvc2004/", ["DB3"]) == {"DB3": 512}
    assert fvc.default_dpi("/x/prints", ["DB2"]) == {}


@pytest.mark.parametrize(
    ("path", "name", "below", "dpi"),
    [
        ("fvc2004/FVC2002", "", "DB2_B", 569),  # not what a folder above says
        ("fvc2004/mine", "", "DB2_B", None),
        ("fvc2002", "", "DB2_B", 569),
        ("mine", "fvc-2002", "DB2_B", 569),
        ("fvc2004", "", "FVC2002/DB2_B", 569),  # the nearest wins
        ("mine", "", "FVC2002/DB2_B", 569),
        ("mine/.", "fvc2002", "DB2_B", 569),
    ],
)
def test_facts_are_the_datasets_own(tmp_path: Path, path: str, name: str, below: str, dpi: int | None) -> None:
    (tmp_path / path / below).mkdir(parents=True)
    (tmp_path / path / below / "1_1.tif").touch()
    (tmp_path / path / "readme.txt").touch()
    assert fvc.default_dpi(f"{tmp_path}/{path}", ["DB2"], name) == ({"DB2": dpi} if dpi else {})


def test_contradictions_are_asked_for(tmp_path: Path) -> None:
    for year, sensor in (("FVC2002", "DB1_A"), ("FVC2004", "DB3_A")):
        (tmp_path / "mine" / year / sensor).mkdir(parents=True)
        (tmp_path / "mine" / year / sensor / "1_1.tif").touch()
    for path, name in ((tmp_path / "mine", ""), (tmp_path / "fvc2002", "fvc2004")):
        with pytest.raises(FpmlError, match=r"tell of FVC2002 and FVC2004.*--dpi"):
            fvc.default_dpi(str(path), ["DB1", "DB3"], name)


def test_polyu_is_not_known_by_who_keeps_it() -> None:
    assert polyu.default_dpi("/home/polyu/prints", ["x"]) == {}
    assert polyu.default_dpi("/home/me/PolyU-HRF", ["x"]) == polyu.default_dpi("prints", ["x"], "polyu") == {"x": 1200}


def test_socofing_names() -> None:
    real = socofing.describe(P("Real/12__F_Right_ring_finger.BMP"), "")
    assert real == {"subject": "12", "sex": "F", "hand": "Right", "finger": "ring", "sensor": "real", "impression": 1}
    altered = socofing.describe(P("Altered/Altered-Hard/12__F_Right_ring_finger_Zcut.BMP"), "")
    assert (altered["alteration"], altered["level"], altered["source_stem"]) == ("Zcut", "Hard", "12__F_Right_ring_finger")
    assert socofing.identity(real) == socofing.identity(altered)


@pytest.mark.parametrize(
    "bad", ["Real/12__F_Right_ring_finger_CR.BMP", "Altered/Altered-Easy/12__F_Right_ring_finger.BMP", "Real/x.BMP"]
)
def test_socofing_names_that_do_not_match(bad: str) -> None:
    with pytest.raises(BadPicture):
        socofing.describe(P(bad), "")


def test_socofing_border_is_cut_from_the_small_size_only() -> None:
    assert socofing.crop(np.zeros((103, 96))).shape == (97, 90)
    assert socofing.crop(np.zeros((298, 241))).shape == (298, 241)


def test_folder_without_a_pattern_makes_every_picture_a_finger() -> None:
    assert folder.identity(folder.describe(P("a/b.png"), "")) != folder.identity(folder.describe(P("b.png"), ""))


def test_folder_with_a_pattern() -> None:
    pattern = r"(?P<subject>\d+)/(?P<finger>[a-z]+)-(?P<impression>\d+)\.png"
    columns = folder.describe(P("7/thumb-3.png"), pattern)
    assert columns == {"subject": "7", "finger": "thumb", "impression": 3}
    assert folder.identity(columns) == "7_thumb"
    with pytest.raises(BadPicture, match="does not match"):
        folder.describe(P("7/thumb.png"), pattern)


@pytest.mark.parametrize(
    ("pattern", "words"), [("(", "not a valid regular expression"), ("(?P<nail>x)", "nail"), ("x", "no group")]
)
def test_folder_patterns_that_make_no_sense(pattern: str, words: str) -> None:
    with pytest.raises(FpmlError, match=words):
        folder.compiled(pattern)
