import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.data.walk import find_files
from fpml.inference.place import find_pictures
from tests.conftest import make_print, run, write_fvc

LITTER = ["._1_1.png", ".DS_Store", "__MACOSX/1_1.png", "@eaDir/1_1.png", "Thumbs.db", "desktop.ini", "sub/Desktop.INI"]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_no_command_takes_what_systems_leave(tmp_path: Path) -> None:
    touch(tmp_path / "b.png", tmp_path / "sub" / "a.tif", tmp_path / "notes.txt", *(tmp_path / name for name in LITTER))
    assert [str(f) for f in find_files(tmp_path)] == ["b.png", "notes.txt", "sub/a.tif"]
    assert find_pictures([tmp_path]) == [tmp_path / "b.png", tmp_path / "sub" / "a.tif"]


def test_litter_alone_is_nothing(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in LITTER))
    with pytest.raises(FpmlError, match="has no files"):
        find_files(tmp_path)
    with pytest.raises(FpmlError, match="has no pictures"):
        find_pictures([tmp_path])
    assert find_files(tmp_path, may_be_empty=True) == []


def test_pictures_that_are_not_read_are_met_all_the_same(tmp_path: Path) -> None:
    touch(tmp_path / "a.wsq", tmp_path / "b.heic", tmp_path / "c.png", tmp_path / "d.txt")
    assert [p.name for p in find_pictures([tmp_path])] == ["a.wsq", "b.heic", "c.png"]


LINKS = {
    "folder": ("more", "../elsewhere"),
    "file": ("3_1.tif", "../elsewhere/1_1.tif"),
    "loop": ("loop", "."),
    "to itself": ("self.tif", "self.tif"),
    "dangling": ("4_1.tif", "gone.tif"),
}


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("walk", [find_files, lambda folder: find_pictures([folder])])
def test_links_are_refused_by_name(tmp_path: Path, kind: str, walk: Callable[..., Any]) -> None:
    touch(tmp_path / "elsewhere" / "1_1.tif", tmp_path / "prints" / "1_1.tif")
    name, target = LINKS[kind]
    (tmp_path / "prints" / name).symlink_to(target)
    missing = ", which is missing" if kind in ("to itself", "dangling") else ";"
    with pytest.raises(FpmlError, match=re.escape(f"{tmp_path}/prints/{name} is a link to {target}{missing}")):
        walk(tmp_path / "prints")


@pytest.mark.parametrize("kind", ["folder", "dangling"])
def test_every_way_in_refuses_links(dvc_project: Path, fpml: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    name, _ = LINKS[kind]
    outside = write_fvc(tmp_path / "outside" / "FVC2002", ("DB1_B", "DB2_B"), 2)
    fpml("data", "add", "mine", str(outside), "--reader", "fvc")
    (outside / name).symlink_to(outside / "DB1_B" if kind == "folder" else outside / "gone.tif")
    (dvc_project / "raw" / "prints" / name).symlink_to(dvc_project / "raw" / ("other" if kind == "folder" else "gone"))
    for command in (["data", "add", "two", str(outside), "--reader", "fvc"], ["data", "extend", "mine", str(outside)],
                    ["ingest", "prints"]):  # fmt: skip
        assert f"{name} is a link to " in fpml(*command, code=2).err


def test_links_into_dvcs_cache_are_no_one_elses(dvc_project: Path, fpml: Callable[..., Any], tmp_path: Path) -> None:
    run("dvc", "config", "cache.type", "symlink", cwd=dvc_project)
    outside = write_fvc(tmp_path / "outside" / "FVC2002", ("DB1_B",), 2)
    fpml("data", "add", "mine", str(outside), "--reader", "fvc")
    assert (dvc_project / "data/raw/mine/DB1_B/1_1.tif").is_symlink()
    assert "4 prints of 2 fingers" in fpml("ingest", "mine").out


def test_a_pipe_would_be_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1_1.png")
    with pytest.raises(FpmlError, match=r"1_1.png is neither a file nor a folder"):
        find_files(tmp_path)


@pytest.mark.parametrize(
    "walk", [find_files, lambda folder: find_pictures([folder]), lambda folder: find_pictures(list(folder.iterdir()))]
)
def test_names_in_no_encoding(tmp_path: Path, walk: Callable[..., Any]) -> None:
    touch(tmp_path / "a.png", Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")))
    with pytest.raises(FpmlError, match=r"has a name that is not UTF-8: 'caf\\udce9.png'; rename it"):
        walk(tmp_path)


@pytest.mark.parametrize("name", ["José.png", "José/1_1.png"])
def test_one_name_in_two_forms_is_no_two_files(tmp_path: Path, name: str) -> None:
    touch(*(tmp_path / unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    with pytest.raises(FpmlError, match="are one name in two Unicode forms"):
        find_files(tmp_path)


def test_new_prints_in_another_form_of_a_name(dvc_project: Path, fpml: Callable[..., Any], tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        (tmp_path / form).mkdir()
        Image.fromarray(make_print(1)).save(tmp_path / form / unicodedata.normalize(form, "José.png"))
    fpml("data", "add", "mine", str(tmp_path / "NFC"), "--reader", "folder", "--dpi", "500")
    assert "in another Unicode form" in fpml("data", "extend", "mine", str(tmp_path / "NFD"), code=2).err
    assert len(list((dvc_project / "data/raw/mine").iterdir())) == 1
