from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from PIL import Image

from fpml.data import manifest
from fpml.data.pictures import BadPicture
from fpml.data.readers import polyu
from tests.conftest import make_print, run


def write_polyu(folder: Path) -> Path:
    """Two fingers, two sessions of two prints, of several sizes and colours."""
    folder.mkdir(parents=True)
    for finger in (1, 2):
        for session in (1, 2):
            for impression in (1, 2):
                picture = Image.fromarray(make_print(10 * finger + impression, 96 + 8 * session, 88))
                picture.convert("RGB" if session == 2 else "L").save(folder / f"{finger}_{session}_{impression}.jpg")
    return folder


def test_added_with_its_own_dpi(dvc_project: Path, fpml: Callable[..., Any]) -> None:
    write_polyu(dvc_project / "PolyU-HRF")
    said = fpml("data", "add", "polyu", "PolyU-HRF", "--reader", "polyu").out
    assert "8 prints of 2 fingers" in said
    assert "1200 dpi" in said
    run("fpml", "ingest", "polyu", cwd=dvc_project)
    frame = manifest.read(dvc_project / "data/manifest/polyu.parquet")
    assert (frame["status"] == manifest.OK).all()
    assert set(frame["session"]) == {1, 2}
    assert set(frame["height"]) == {104, 112}
    assert set(frame["finger_id"]) == {"polyu/1", "polyu/2"}


def test_names_and_doubles(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="not FINGER_SESSION_IMPRESSION"):
        polyu.describe(PurePosixPath("1_2.jpg"), "")
    row = polyu.describe(PurePosixPath("a/1_2_3.jpg"), "")
    rows = [{**row, "file": "a/1_2_3.jpg"}, {**row, "file": "b/1_2_3.jpg"}]
    assert "add each folder by itself" in polyu.conflict(rows)
    assert polyu.default_dpi("/x/other", ["x"]) == {}
