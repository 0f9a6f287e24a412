import os
import subprocess
from pathlib import Path

import pytest

from fpml.base.files import home, new_file, new_folder, root, state_folder


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"

    def fails() -> None:
        with new_file(target) as path:
            path.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert list(target.parent.iterdir()) == []
    with new_file(target) as path:
        path.write_text("whole", encoding="utf-8")
    with pytest.raises(RuntimeError):
        fails()
    assert target.read_text(encoding="utf-8") == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    mine, other = f".a.txt.{os.getppid()}.part", f".other.{gone}.part"
    left = [tmp_path / name for name in (f".a.txt.{gone}.part", f".out.{gone}.old.part", mine, other)]
    for path in left:
        path.mkdir() if "out" in path.name else path.write_text("half", encoding="utf-8")
    with new_file(tmp_path / "a.txt") as file, new_folder(tmp_path / "out"):
        file.write_text("whole", encoding="utf-8")
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "out", mine, other}


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for text in ("one", "two"):
        with new_folder(target) as folder:
            (folder / text).write_text(text, encoding="utf-8")
    assert [p.name for p in target.iterdir()] == ["two"]

    def fails() -> None:
        with new_folder(target) as folder:
            (folder / "three").write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert [p.name for p in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_root_is_dvcs_or_the_nearest_with_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert root() == tmp_path
    assert state_folder() == tmp_path / ".fpml"
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    monkeypatch.setenv("FPML_STATE", "/state")
    assert (root(), home(), state_folder()) == (tmp_path, Path("/elsewhere"), Path("/state"))
