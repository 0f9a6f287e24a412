from pathlib import Path

import pytest

from fpml.files import home, new_file, new_folder, root, state_folder


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"

    def fails() -> None:
        with new_file(target) as path:
            path.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert list(target.parent.iterdir()) == []
    with new_file(target) as path:
        path.write_text("whole")
    with pytest.raises(RuntimeError):
        fails()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for text in ("one", "two"):
        with new_folder(target) as folder:
            (folder / text).write_text(text)
    assert [p.name for p in target.iterdir()] == ["two"]

    def fails() -> None:
        with new_folder(target) as folder:
            (folder / "three").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert [p.name for p in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_the_root_is_dvcs_or_the_nearest_with_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert root() == tmp_path
    assert state_folder() == tmp_path / ".fpml"
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    monkeypatch.setenv("FPML_STATE", "/state")
    assert (root(), home(), state_folder()) == (tmp_path, Path("/elsewhere"), Path("/state"))
