from pathlib import Path

import pytest
from ruamel.yaml import YAMLError

from fpml.project import identity, locked

LOCK = """schema: '2.0'
stages:
  ingest@prints:
    cmd: fpml ingest prints
    deps:
    - path: data/synth/fvc
      md5: 4a8a08f09d37b73795649038408b5f33.dir
    outs:
    - path: data/manifest/prints.parquet
  ingest@others:
    cmd: fpml ingest others
    outs:
    - path: data/manifest/others.parquet
"""
PARTS = [
    "stages: {torn",
    "stages:\n  torn",
    "",
    "sche",
    LOCK[: LOCK.index("  ingest@prints")],
    LOCK[: LOCK.index("@others")],
    LOCK[: LOCK.rindex("outs")],
]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "dvc.lock"


@pytest.mark.parametrize("part", PARTS)
def test_a_lock_that_is_being_written_is_read_again(lock: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    lock.write_text(part, encoding="utf-8")
    monkeypatch.setattr(locked.time, "sleep", lambda _: lock.write_text(LOCK, encoding="utf-8"))
    assert set(locked.locked(lock, ["ingest@others"])) == {"ingest@prints", "ingest@others"}


def test_what_never_comes_is_not_waited_for_without_end(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(locked.time, "sleep", waits.append)
    assert locked.locked(lock) == {}
    lock.write_text(LOCK, encoding="utf-8")
    assert "ingest@prints" in locked.locked(lock)
    assert not waits
    assert "ingest@prints" in locked.locked(lock, ["train@prints"])
    assert len(waits) == locked.TRIES
    lock.write_text("stages: {torn", encoding="utf-8")
    with pytest.raises(YAMLError):
        locked.locked(lock)


def test_a_dataset_has_the_digest_of_the_lock_that_is_whole(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "root", lambda: tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@some")
    lock.write_text(LOCK[: LOCK.index("    deps")], encoding="utf-8")
    monkeypatch.setattr(locked.time, "sleep", lambda _: lock.write_text(LOCK, encoding="utf-8"))
    (found,) = identity.dataset_digests(["prints"], {"prints": "data/synth/fvc"}, tmp_path)
    assert found == {
        "name": "prints", "digest": "4a8a08f09d37b73795649038408b5f33.dir", "digest_from": "dvc", "source": "data/synth/fvc",
    }  # fmt: skip
