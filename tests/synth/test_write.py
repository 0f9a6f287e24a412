import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.data.ingest import ingest
from fpml.settings.sections import Dataset, Ingest, Synth
from fpml.synth import write
from fpml.synth.field import draw_finger
from fpml.synth.generate import generate
from fpml.synth.sensors import SENSORS
from fpml.synth.write import Plan, write_embedded, write_prints

DB3 = SENSORS["fvc2002-db3"]
LIMITS = Ingest(max_pixels=1_000_000, max_quarantined=0)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_embedded_data_reads_as_real_sets_do(tmp_path: Path) -> None:
    settings = Synth(seed=3, fvc_fingers=2, fvc_impressions=2, unseen_prints=1, socofing_subjects=1, minutiae_fingers=4)
    write_embedded(settings, tmp_path / "synth")
    fvc = ingest("f", Dataset("synth/fvc", "fvc", 500.0, ""), LIMITS, tmp_path)
    assert fvc["sensor"].value_counts().to_dict() == {"DB1": 4, "DB2": 4, "DB3": 4, "DB4": 4}
    assert fvc["truth"].eq("synth/fvc/truth").all()
    assert fvc["sha256"].is_unique
    soco = ingest("s", Dataset("synth/socofing", "socofing", 180.0, ""), LIMITS, tmp_path)
    assert len(soco) == 100
    assert soco["source_id"].notna().sum() == 90
    assert len(ingest("u", Dataset("synth/secugen", "folder", 500.0, ""), LIMITS, tmp_path)) == 1
    truth = pd.read_parquet(tmp_path / "synth" / "fvc" / "truth" / "impressions")
    assert set(truth["file"]) == {f.removeprefix("synth/fvc/") for f in fvc["file"]}


def test_one_finger_on_several_sensors_is_one_identity(tmp_path: Path) -> None:
    write_prints(tmp_path / "o", Plan(7, 2, 2, (DB3, SENSORS["fvc2002-db2"]), "synth"), 1)
    from fpml.data.readers import synth as reader

    dpi = reader.default_dpi(str(tmp_path / "o"), ["fvc2002-db3", "fvc2002-db2"])
    assert dpi == {"fvc2002-db3": 500.0, "fvc2002-db2": 569.0}
    frame = ingest("s", Dataset("o", "synth", dpi, ""), LIMITS, tmp_path)
    assert len(frame) == 8
    assert sorted(frame["finger_id"].unique()) == ["s/1", "s/2"]
    assert frame.groupby("finger_id")["sensor"].nunique().eq(2).all()
    assert frame["truth"].eq("o/truth").all()
    classes = {f"s/{n}": draw_finger(7, n).pattern for n in (1, 2)}
    assert frame["pattern"].tolist() == frame["finger_id"].map(classes).tolist()


def test_files_hold_what_the_call_returns_with_any_number_of_workers(tmp_path: Path) -> None:
    plan = Plan(9, 11, 1, (DB3,), "synth")
    for name, workers in (("a", 1), ("b", 2)):
        write_prints(tmp_path / name, plan, workers)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    prints = generate(11, 1, DB3, 9)
    for finger in (1, 11):
        written = np.asarray(Image.open(tmp_path / "a" / "fvc2002-db3" / f"{finger}_1.png"))
        assert np.array_equal(written, prints.pictures[finger - 1])


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    command = ["synth", "--fingers", "40", "--impressions", "1", "--sensor", "fvc2002-db3", "--workers", "1", "--out"]
    process = subprocess.Popen([sys.executable, "-m", "fpml.cli", *command, str(tmp_path / "o")], start_new_session=True)
    done = tmp_path / "o.unfinished" / "truth" / "impressions"
    limit = time.monotonic() + 120
    while not list(done.glob("fingers-*.parquet")) and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.02)  # for a first shard to be there
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "o").exists()
    kept = {p.name: p.stat().st_mtime_ns for p in done.glob("fingers-*.parquet")}
    assert 1 <= len(kept) < 4
    assert "--resume" in fpml(*command, str(tmp_path / "o"), code=2).err
    fpml(*command, str(tmp_path / "o"), "--resume")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "o" / "truth" / "impressions").glob("*.parquet")}
    assert len(after) == 4
    assert kept.items() <= after.items()  # not made twice
    fpml(*command, str(tmp_path / "whole"))
    assert files(tmp_path / "o") == files(tmp_path / "whole")
    assert not (tmp_path / "o.unfinished").exists()


def test_workers_die_with_a_parent_that_is_killed_alone(tmp_path: Path) -> None:
    command = ["synth", "--fingers", "200", "--sensor", "fvc2002-db3", "--workers", "2", "--out", str(tmp_path / "o")]
    process = subprocess.Popen([sys.executable, "-m", "fpml.cli", *command])
    workers: list[psutil.Process] = []
    limit = time.monotonic() + 120
    while len(workers) < 2 and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.02)
        workers = psutil.Process(process.pid).children()
    done = tmp_path / "o.unfinished" / "truth" / "impressions"
    while not list(done.glob("*.parquet")) and time.monotonic() < limit:
        time.sleep(0.02)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert len(gone) == 2
    assert not alive


def test_two_runs_do_not_write_one_folder(tmp_path: Path) -> None:
    plan = Plan(7, 1, 1, (SENSORS["socofing"],), "synth")
    with write._alone_in(tmp_path / "o.unfinished"), pytest.raises(FpmlError, match="being written by another run"):
        write_prints(tmp_path / "o", plan, 1, resume=True)
    write_prints(tmp_path / "o", plan, 1, resume=True)
    assert (tmp_path / "o" / "socofing" / "1_1.png").exists()


def test_what_comes_into_the_folder_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write._write

    def meanwhile(*arguments: Any) -> None:
        written(*arguments)
        (tmp_path / "o").mkdir()
        (tmp_path / "o" / "thesis.txt").write_text("years", encoding="utf-8")

    monkeypatch.setattr(write, "_write", meanwhile)
    plan = Plan(7, 1, 1, (SENSORS["socofing"],), "synth")
    with pytest.raises(FpmlError, match="not an empty folder"):
        write_prints(tmp_path / "o", plan, 1, force=True)
    assert (tmp_path / "o" / "thesis.txt").read_text(encoding="utf-8") == "years"
    assert (tmp_path / "o.unfinished" / "socofing" / "1_1.png").exists()


def test_an_interrupted_run_says_how_to_go_on_and_force_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fpml: Callable[..., Any]
) -> None:
    small = ["synth", "--out", str(tmp_path / "o"), "--fingers", "1", "--impressions", "1", "--sensor", "socofing"]
    fpml(*small)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "_save", interrupted)
        assert "--resume goes on with it" in fpml(*small, "--seed", "8", "--force", code=130).err
    assert "seed" in (tmp_path / "o" / "truth" / "synth.json").read_text(encoding="utf-8")
    fpml(*small, "--seed", "8", "--force", "--resume")
    assert not (tmp_path / "o.unfinished").exists()
    assert json.loads((tmp_path / "o" / "truth" / "synth.json").read_text(encoding="utf-8"))["plans"][0]["seed"] == 8


def test_places_that_a_folder_cannot_take(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    small = ["--fingers", "1", "--impressions", "1", "--sensor", "socofing"]
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for out, says in (("link", "is a link"), ("file", "is not an empty folder")):
        assert says in fpml("synth", "--out", str(tmp_path / out), *small, code=2).err
    assert "is a link or a mount point" in fpml("synth", "--out", "/", *small, code=2).err
    foreign = tmp_path / "o.unfinished" / "truth"
    foreign.mkdir(parents=True)
    (foreign / "note").write_text("x", encoding="utf-8")
    for flags in ([], ["--force"], ["--resume"]):
        assert "move it elsewhere" in fpml("synth", "--out", str(tmp_path / "o"), *small, *flags, code=2).err
    assert (foreign / "note").exists()


def test_embedded_prints_are_in_no_set_that_is_asked_for_by_its_seed(tmp_path: Path) -> None:
    write_embedded(
        Synth(seed=7, fvc_fingers=2, fvc_impressions=1, unseen_prints=1, socofing_subjects=1, minutiae_fingers=4),
        tmp_path / "a",
    )
    made = pd.read_parquet(tmp_path / "a" / "fvc" / "truth" / "fingers")
    assert made["seed"].nunique() == 4
    assert made["seed"].min() > 10_000


def test_what_is_in_the_way(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    out = str(tmp_path / "o")
    small = ["--fingers", "1", "--impressions", "1", "--sensor", "socofing"]
    fpml("synth", "--out", out, *small)
    before = files(tmp_path / "o")
    assert "has all these prints already" in fpml("synth", "--out", out, *small, code=2).err
    fpml("synth", "--out", out, *small, "--resume")
    assert files(tmp_path / "o") == before
    assert "other settings" in fpml("synth", "--out", out, *small, "--seed", "8", "--resume", code=2).err
    fpml("synth", "--out", out, *small, "--seed", "8", "--force")
    assert files(tmp_path / "o") != before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "x").write_text("x", encoding="utf-8")
    assert "not an empty folder" in fpml("synth", "--out", str(mine), *small, "--force", code=2).err
    assert (mine / "x").read_text(encoding="utf-8") == "x"
    begun = tmp_path / "p.unfinished" / "truth"
    begun.mkdir(parents=True)
    (begun / "synth.json").write_text(json.dumps({"plans": [{"seed": 1, "sensors": []}]}), encoding="utf-8")
    assert "other settings" in fpml("synth", "--out", str(tmp_path / "p"), *small, "--resume", code=2).err
    fpml("synth", "--out", str(tmp_path / "p"), *small, "--force")
    assert not begun.exists()


def test_force_keeps_what_it_did_not_make(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    out = tmp_path / "o"
    small = ["--fingers", "1", "--impressions", "1", "--sensor", "socofing"]
    fpml("synth", "--out", str(out), *small)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    assert "holds 'notes.txt', which fpml synth did not make" in fpml("synth", "--out", str(out), *small, "--force", code=2).err
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert "lies inside" in fpml("synth", "--out", str(out / "extra"), *small, code=2).err
    (out / "notes.txt").unlink()
    said = fpml("synth", "--out", str(out), *small[:1], "2", *small[2:], code=2).err
    assert "has other settings (fingers 1)" in said


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    write_prints(tmp_path / "o", Plan(7, 1, 1, (SENSORS["socofing"],), "synth"), 1)
    assert (tmp_path / "o" / "socofing" / "1_1.png").exists()


def test_a_full_disk_leaves_nothing_that_passes_for_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        write_prints(tmp_path / "o", Plan(7, 1, 1, (SENSORS["socofing"],), "synth"), 1)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sensor", "camera"], "unknown sensor 'camera'; allowed: fvc2002-db1"),
        (["--fingers", "0"], "0 fingers"),
        (["--workers", "-3"], "-3 workers"),
        (["--impressions", "-3"], "-3 impressions"),
        (["--seed", "-1"], "seed -1"),
        (["--class", "spiral"], "unknown pattern class 'spiral'; allowed: arch"),
        (["--condition", "frozen"], "unknown condition 'frozen'; allowed: fvc, normal"),
        (["--dpi", "20"], "20 dpi; a sensor has from 150"),
        (["--size", "300", "9"], "300 x 9 pixels; height and width are from 64 to 4096"),
    ],
)
def test_bad_input(arguments: list[str], says: str, tmp_path: Path, fpml: Callable[..., Any]) -> None:
    error = fpml("synth", "--out", str(tmp_path / "o"), *arguments, code=2).err
    assert says in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("o*"))


def test_another_size_and_resolution(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    out = tmp_path / "o"
    fpml("synth", "--out", str(out), "--fingers", "1", "--impressions", "1", "--dpi", "1000", "--size", "600", "500")
    with Image.open(out / "fvc2002-db1" / "1_1.png") as picture:
        assert picture.size == (500, 600)
        assert picture.info["dpi"] == pytest.approx((1000, 1000), abs=0.1)
    finer = tmp_path / "finer"
    fpml("synth", "--out", str(finer), "--fingers", "1", "--impressions", "1", "--sensor", "secugen", "--dpi", "1000")
    with Image.open(finer / "secugen" / "1_1.png") as picture:
        assert picture.size == (520, 600)  # the same plate, twice as fine
    from fpml.data.readers import synth as reader

    assert reader.default_dpi(str(out), ["fvc2002-db1"]) == {"fvc2002-db1": 1000.0}
    with pytest.raises(FpmlError):
        write_prints(tmp_path / "p", Plan(7, 0, 1, (DB3,), "synth"))


def test_options_without_a_folder_are_refused(fpml: Callable[..., Any]) -> None:
    assert "--fingers is for --out DIR" in fpml("synth", "--fingers", "100", code=2).err
    assert "--class is for --out DIR" in fpml("synth", "--class", "whorl", code=2).err


def test_a_sensor_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fpml: Callable[..., Any]) -> None:
    """A new one can be asked for by its name, and changes no other's prints, wherever it stands among them."""
    small = ["synth", "--fingers", "1", "--impressions", "2", "--sensor"]
    fpml(*small, "fvc2002-db3", "--out", str(tmp_path / "before"))
    monkeypatch.setattr("fpml.synth.sensors.SENSORS", {"mine": replace(SENSORS["secugen"], name="mine", dpi=400), **SENSORS})
    fpml(*small, "mine", "fvc2002-db3", "--out", str(tmp_path / "after"))
    for file in ("1_1.png", "1_2.png"):
        paths = [tmp_path / folder / "fvc2002-db3" / file for folder in ("before", "after")]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    frame = ingest("s", Dataset("after", "synth", {"mine": 400.0, "fvc2002-db3": 500.0}, ""), LIMITS, tmp_path)
    assert frame["sensor"].value_counts().to_dict() == {"mine": 2, "fvc2002-db3": 2}
    assert frame["finger_id"].nunique() == 1
