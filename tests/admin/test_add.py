import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY, run, write_fvc


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fvc(tmp_path_factory.mktemp("mine") / "FVC2002", ("DB1_B", "DB2_B"), 3)


def status(project: Path) -> str:
    return run("git", "status", "--porcelain", "--untracked-files=all", cwd=project).stdout


def test_add_and_use(dvc_project: Path, fpml: Callable[..., Any], outside: Path) -> None:
    text = (dvc_project / "params.yaml").read_text(encoding="utf-8")
    (dvc_project / "params.yaml").write_text(text.replace("ingest:", "# a remark of mine\ningest:"), encoding="utf-8")
    said = fpml("data", "add", "mine", str(outside), "--reader", "fvc", "--use", "reconstruct:train").out
    assert "12 prints of 6 fingers on 2 sensor(s)" in said
    params = yaml.safe_load((dvc_project / "params.yaml").read_text(encoding="utf-8"))
    assert params["datasets"]["mine"] == {
        "path": "data/raw/mine",
        "reader": "fvc",
        "dpi": {"DB1": 500, "DB2": 569},
        "pattern": "",
    }
    assert params["recipes"]["reconstruct"]["data"]["train"] == ["prints", "mine"]
    assert "# a remark of mine" in (dvc_project / "params.yaml").read_text(encoding="utf-8")
    assert (dvc_project / "data/raw/mine.dvc").exists()
    assert "12 prints" in fpml("ingest", "mine").out
    assert "reconstruct:train" in next(
        line for line in fpml("data", "list").out.splitlines() if line.startswith("  mine") or " mine " in line
    )
    changed = {line[3:] for line in status(dvc_project).splitlines()}
    assert changed == {"params.yaml", "data/raw/.gitignore", "data/raw/mine.dvc"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mine", "absent", "--reader", "fvc"], "absent is not a folder"),
        (["Mine", "{outside}", "--reader", "fvc"], "'Mine' can't be a dataset's name"),
        (["prints", "{outside}", "--reader", "fvc"], "has a dataset 'prints' already"),
        (["mine", "{outside}", "--reader", "socofing", "--dpi", "500"], "12 of 12 pictures can't be used"),
        (["mine", "{outside}", "--reader", "folder"], "give --dpi N"),
        (["mine", "{outside}", "--reader", "fvc", "--dpi", "3"], "--dpi is 3"),
        (["mine", "{outside}", "--reader", "fvc", "--pattern", "x"], "--pattern is for --reader folder"),
        (["mine", "{outside}", "--reader", "folder", "--dpi", "500", "--pattern", "("], "not a valid regular expression"),
        (["mine", "{outside}", "--reader", "fvc", "--use", "reconstruct"], "RECIPE:train or RECIPE:test"),
        (["mine", "{outside}", "--reader", "fvc", "--use", "absent:train"], "no recipe 'absent'"),
    ],
)
def test_on_any_failure_all_is_as_it_was(
    dvc_project: Path, fpml: Callable[..., Any], outside: Path, arguments: list[str], words: str
) -> None:
    before = status(dvc_project)
    said = fpml("data", "add", *(a.format(outside=outside) for a in arguments), code=2)
    assert words in said.err
    assert status(dvc_project) == before


def test_a_failure_after_dvc_add_is_undone(
    dvc_project: Path, fpml: Callable[..., Any], outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fpml.admin.add as module

    def fails(*arguments: Any) -> None:
        assert (dvc_project / "data/raw/mine.dvc").exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_yaml", fails)
    before = status(dvc_project)
    assert "disk is full" in fpml("data", "add", "mine", str(outside), "--reader", "fvc", code=2).err
    assert status(dvc_project) == before
    assert not (dvc_project / "data/raw/mine").exists()


def test_dvc_knows_the_prints_and_keeps_them(dvc_project: Path, fpml: Callable[..., Any], outside: Path) -> None:
    """A folder that git ignores as a whole is none to DVC: it once took the prints for litter and deleted them."""
    fpml("data", "add", "mine", str(outside), "--reader", "fvc", "--use", "reconstruct:test")
    run("git", "add", "-A", cwd=dvc_project)
    run("git", "commit", "-qm", "mine", cwd=dvc_project)
    run("dvc", "exp", "run", "-S", "ingest.max_quarantined=0.2", "ingest@mine", cwd=dvc_project)
    assert len(list((dvc_project / "data/raw/mine").rglob("*.tif"))) == 12
    assert "data/raw/mine.dvc" in run("dvc", "dag", cwd=dvc_project).stdout
    run("dvc", "gc", "-w", "-f", cwd=dvc_project)
    shutil.rmtree(dvc_project / "data/raw/mine")
    run("dvc", "checkout", "data/raw/mine.dvc", cwd=dvc_project)
    assert len(list((dvc_project / "data/raw/mine").rglob("*.tif"))) == 12


def test_comments_stay_with_their_sections(dvc_project: Path, fpml: Callable[..., Any], outside: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", dvc_project / "params.yaml")
    before = (dvc_project / "params.yaml").read_text(encoding="utf-8").splitlines()
    fpml("data", "add", "mine", str(outside), "--reader", "fvc")
    after = (dvc_project / "params.yaml").read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    assert added == ["  mine:", "    path: data/raw/mine", "    dpi: {DB1: 500, DB2: 569}"]
    start = after.index("  mine:")
    assert [*after[:start], *after[start + 5 :]] == before


def test_new_prints_are_taken_into_a_dataset(
    dvc_project: Path, fpml: Callable[..., Any], outside: Path, tmp_path: Path
) -> None:
    fpml("data", "add", "mine", str(outside), "--reader", "fvc")
    before = (dvc_project / "data/raw/mine.dvc").read_text(encoding="utf-8")
    new = write_fvc(tmp_path / "new", ("DB1_B",), 5)  # three fingers that are there, two that are not
    for finger in (1, 2, 3):
        for impression in (1, 2):
            shutil.copy(outside / "DB1_B" / f"{finger}_{impression}.tif", new / "DB1_B")
    assert "mine: 4 new files" in fpml("data", "extend", "mine", str(new)).out
    assert (dvc_project / "data/raw/mine/DB1_B/5_2.tif").exists()
    assert (dvc_project / "data/raw/mine.dvc").read_text(encoding="utf-8") != before
    assert run("dvc", "status", "data/raw/mine.dvc", cwd=dvc_project).stdout.strip().endswith("up to date.")
    assert "nothing new" in fpml("data", "extend", "mine", str(new)).out
    (tmp_path / "empty").mkdir()
    assert "nothing new" in fpml("data", "extend", "mine", str(tmp_path / "empty")).out


def test_prints_that_can_not_be_taken_in_change_nothing(
    dvc_project: Path, fpml: Callable[..., Any], outside: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fpml("data", "add", "mine", str(outside), "--reader", "fvc")
    before = status(dvc_project), sorted((dvc_project / "data/raw/mine").rglob("*"))
    other = tmp_path_factory.mktemp("other") / "DB1_B"
    other.mkdir(parents=True)
    shutil.copy(outside / "DB1_B" / "2_1.tif", other / "1_1.tif")
    assert "is another picture than" in fpml("data", "extend", "mine", str(other.parent), code=2).err
    (other / "1_1.tif").rename(other / "whose.tif")
    assert "can't be used" in fpml("data", "extend", "mine", str(other.parent), code=2).err
    assert "is not under DVC by itself" in fpml("data", "extend", "prints", str(other.parent), code=2).err
    assert "no dataset 'nobody'" in fpml("data", "extend", "nobody", str(other.parent), code=2).err
    assert (status(dvc_project), sorted((dvc_project / "data/raw/mine").rglob("*"))) == before
