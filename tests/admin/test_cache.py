import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpml.admin.cache import cache_folder, mend
from tests.conftest import run, write_fvc


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, once_under_dvc: Path) -> Path:
    """A project prepared by DVC, with a dataset under DVC."""
    folder = tmp_path_factory.mktemp("built") / "project"
    shutil.copytree(once_under_dvc, folder)
    write_fvc(folder / "source", fingers=2)
    run("fpml", "data", "add", "mine", "source", "--reader", "fvc", "--dpi", "500", cwd=folder)
    run("dvc", "repro", "prepare@reconstruct", cwd=folder)
    return folder


@pytest.fixture
def cached(project: Path, built: Path) -> Path:
    """A copy of what was built, for one test."""
    shutil.copytree(built, project, dirs_exist_ok=True)
    return project


def damage(project: Path, content: bytes) -> Path:
    (path,) = [p for p in (cache_folder(project) / "files/md5").glob("??/*") if p.read_bytes() == content]
    path.chmod(0o644)
    path.write_bytes(content[:-3] + bytes(3))
    path.chmod(0o444)
    return path


def test_what_is_whole_in_the_workspace_is_copied_back(cached: Path) -> None:
    assert mend(cached) == []
    for file in ("data/raw/mine/DB1_B/1_1.tif", "data/prepared/reconstruct/images-000.npy"):
        content = (cached / file).read_bytes()
        path = damage(cached, content)
        ((well, said),) = mend(cached)
        assert well
        assert "copied back from" in said
        assert path.read_bytes() == content
        assert (cached / file).read_bytes() == content


def test_what_was_restored_damaged_is_made_anew(cached: Path, fpml: Callable[..., Any]) -> None:
    shard = cached / "data/prepared/reconstruct/images-000.npy"
    whole = shard.read_bytes()
    path = damage(cached, whole)
    shard.write_bytes(path.read_bytes())  # as DVC would restore it
    fpml("split", "reconstruct")
    assert "fpml doctor --cache, then dvc repro" in fpml("train", "reconstruct", code=2).err
    said = run("fpml", "doctor", "--cache", cwd=cached).stdout
    assert "damaged, removed with data/prepared/reconstruct; dvc repro" in said
    assert not shard.exists()
    run("dvc", "repro", "prepare@reconstruct", cwd=cached)
    assert shard.read_bytes() == whole
    assert mend(cached) == []


def test_no_file_of_a_dataset_is_ever_removed(cached: Path) -> None:
    raw = cached / "data/raw/mine"
    files = {p: p.read_bytes() for p in raw.rglob("*.tif")}
    pointer = yaml.safe_load((cached / "data/raw/mine.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    listing = cache_folder(cached) / "files/md5" / pointer[:2] / pointer[2:]
    damage(cached, listing.read_bytes())
    ((well, said),) = mend(cached)
    assert not well
    assert "dvc pull data/raw/mine.dvc, or, where the files there are whole, dvc add data/raw/mine" in said
    run("dvc", "add", "data/raw/mine", cwd=cached)  # as it says
    assert mend(cached) == []
    damage(cached, files[raw / "DB1_B/1_1.tif"])
    (raw / "DB1_B/1_1.tif").unlink()
    ((well, said),) = mend(cached)
    assert not well
    assert {p: p.read_bytes() for p in raw.rglob("*.tif")} == {
        p: c for p, c in files.items() if p.name != "1_1.tif" or "DB2" in str(p)
    }


def test_a_cache_elsewhere_is_found(cached: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shared = tmp_path_factory.mktemp("shared")
    run("dvc", "cache", "dir", str(shared), cwd=cached)
    assert cache_folder(cached) == shared
    run("dvc", "cache", "dir", "--local", "../other", cwd=cached)
    assert cache_folder(cached) == (cached / "../other").resolve()
