"""A person is taken out: afterwards no byte of the person's prints is anywhere in the project, its cache or its remote."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.conftest import make_print, run, tiny_params, write_params, write_socofing


@pytest.fixture
def people(dvc_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of four subjects under DVC with a remote; trained, measured, pushed; a gallery with all of them."""
    raw = write_socofing(tmp_path_factory.mktemp("source") / "people", 4)
    remote = tmp_path_factory.mktemp("remote")
    params = tiny_params()
    params["tracking"]["log_images"] = "all"
    write_params(dvc_project, params)
    run("dvc", "remote", "add", "-d", "store", str(remote), cwd=dvc_project)
    run("fpml", "data", "add", "people", str(raw), "--reader", "socofing", "--dpi", "180", cwd=dvc_project)
    params = yaml.safe_load((dvc_project / "params.yaml").read_text(encoding="utf-8"))
    params["recipes"]["reconstruct"]["data"] |= {"train": ["people/real"], "test": []}
    params["recipes"]["reconstruct"]["split"] |= {"by": "subject", "validation": 0.5}
    write_params(dvc_project, params)
    run("dvc", "repro", "report", cwd=dvc_project)  # without `synth`, whose prints nothing here asks for
    run("dvc", "push", "--run-cache", cwd=dvc_project)
    run("fpml", "register", cwd=dvc_project)
    gallery = pd.DataFrame({
        "finger": [f"{n}/left-thumb" for n in range(1, 5)], "embedding": [[1.0, 0.0]] * 4, "model": ["m"] * 4,
        "picture": [f"data/raw/people/Real/{n}__M_Left_thumb_finger.BMP" for n in range(1, 5)],
    })  # fmt: skip
    gallery.to_parquet(dvc_project / "gallery.parquet", index=False)
    return dvc_project


def places(project: Path) -> list[Path]:
    remote = Path(run("dvc", "remote", "list", cwd=project).stdout.split()[1])
    return [p for folder in (project, remote) for p in folder.rglob("*") if p.is_file() and "/.git/" not in str(p)]


def test_nothing_of_a_person_is_left(people: Path, client: Any) -> None:
    manifest = pd.read_parquet(people / "data/manifest/people.parquet")
    prepared = pd.read_parquet(people / "data/prepared/reconstruct/index.parquet")
    who = prepared["subject"][(pd.read_parquet(people / "data/split/reconstruct.parquet")["side"] == "train").to_numpy()].iat[0]
    mine, others = manifest[manifest["subject"] == who], manifest[manifest["subject"] != who]
    prints = [(people / f).read_bytes() for f in mine["file"]]
    canvases = np.load(people / "data/prepared/reconstruct/images-000.npy")[(prepared["subject"] == who).to_numpy()]
    weights = (people / "models/reconstruct/weights.safetensors").read_bytes()
    needles = [*prints, *(c.tobytes() for c in canvases)]
    holding = [p for p in places(people) if any(n in p.read_bytes() for n in needles)]
    assert list(people.glob("mlartifacts/**/index.html"))
    assert list(people.glob("mlartifacts/**/images/*"))
    assert len(holding) > 3 * len(prints), "raw, cache and remote hold them before"

    said = run("fpml", "data", "purge", "--subject", who, "--yes", cwd=people).stdout
    assert f"{who}: 4 prints in people" in said
    assert "reconstruct version 1" in said
    assert "git's history keeps hashes" in said
    left = [p for p in places(people) if any(n in p.read_bytes() for n in needles)]
    assert left == [], [str(p) for p in left]
    assert pd.read_parquet(people / "gallery.parquet")["finger"].tolist() == [f"{n}/left-thumb" for n in "1234" if n != who]
    for path in places(people):
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            assert "subject" not in frame or not (frame["subject"] == who).any(), path
    assert all((people / f).exists() for f in others["file"])
    experiment = client.get_experiment_by_name("fpml").experiment_id
    (evaluation,) = client.search_runs([experiment], "tags.`mlflow.parentRunId` LIKE '%'")
    artifacts = {a.path for a in client.list_artifacts(evaluation.info.run_id)}
    assert "figures" not in artifacts
    scores = pd.read_parquet(client.download_artifacts(evaluation.info.run_id, "scores.parquet"))
    assert not set(scores["image_id"]) & set(mine["image_id"])
    assert not list(people.glob("mlartifacts/**/input_example*"))
    assert not list(people.glob("mlartifacts/**/index.html"))
    assert not list(people.glob("mlartifacts/**/images/*"))
    # The model stays, and the rest is made anew.
    assert (people / "models/reconstruct/weights.safetensors").read_bytes() == weights
    again = run("dvc", "repro", cwd=people).stdout
    assert "Running stage 'train@reconstruct'" in again
    index = pd.read_parquet(people / "data/prepared/reconstruct/index.parquet")
    assert set(index["subject"]) == set("1234") - {who}
    assert run("dvc", "status", "--cloud", cwd=people).returncode == 0


def test_prints_that_no_manifest_has_yet_stop_it(project: Path, prepared: Callable[..., Any]) -> None:
    """They may be the person's: a purge that leaves them would be none."""
    came = project / "raw/prints/DB1_B/1_7.tif"
    Image.fromarray(make_print(3000)).save(came)
    error = prepared("data", "purge", "--subject", "prints/DB1/1", "--yes", code=2).err
    assert "1 files of prints are in no manifest, such as raw/prints/DB1_B/1_7.tif" in error
    assert "run: dvc repro ingest@prints" in error
    assert came.with_name("1_1.tif").exists()


def test_nobody_to_ask(project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "give --yes" in prepared("data", "purge", "--subject", "prints/DB1/1", code=2).err
    assert (project / "raw/prints/DB1_B/1_1.tif").exists()


def test_only_this_dataset_and_this_gallery(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    """The same file names in two datasets are two people; so is the same subject."""
    from fpml.admin.found import find
    from fpml.project.params import load

    for name in ("one", "two"):
        write_socofing(project / "raw" / name, 2)
        change_params(f"datasets.{name}", {"path": f"raw/{name}", "reader": "socofing", "dpi": 180, "pattern": ""})
    for number, file in enumerate(sorted((project / "raw/two").rglob("*.BMP"))):
        Image.fromarray(make_print(5000 + number, 97, 90, 4)).save(file)
    for name in ("one", "two"):
        prepared("ingest", name)
    said = prepared("data", "purge", "--subject", "1", "--yes", code=2).err
    assert "name one of one/1, two/1" in said
    params = load(project / "params.yaml")
    assert set(find("one/1", [], params).rows["dataset"]) == {"one"}
    gallery = pd.DataFrame({"finger": ["1_left_thumb", "2_left_thumb"], "picture": ["/elsewhere/a.png", "/elsewhere/b.png"],
                            "model": "m", "embedding": [[1.0], [0.0]]})  # fmt: skip
    finger = find("one/1", [], params).rows["finger_id"].iat[0].partition("/")[2]
    gallery.assign(finger=[finger, "another"]).to_parquet(project / "gallery.parquet", index=False)
    assert find("one/1", [Path("gallery.parquet")], params).galleries == {"gallery.parquet": 1}
    assert (
        "gallery away.parquet is not there"
        in prepared("data", "purge", "--subject", "one/1", "--gallery", "away.parquet", "--yes", code=2).err
    )


def test_with_mlflow_away_nothing_is_removed(
    project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("tracking.uri", "http://127.0.0.1:9")
    before = {p: p.read_bytes() for p in project.rglob("*") if p.is_file()}
    assert "nothing was removed" in prepared("data", "purge", "--subject", "prints/DB1/3", "--yes", code=2).err
    assert {p: p.read_bytes() for p in project.rglob("*") if p.is_file()} == before


def test_a_subject_that_is_not_there(prepared: Callable[..., Any]) -> None:
    said = prepared("data", "purge", "--subject", "77", "--yes", code=2).err
    assert "no print of '77' is in the manifests, which have no subjects; give a finger_id, DATASET/FINGER" in said


def test_nothing_goes_without_a_yes(project: Path, prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "no")
    before = {p: p.read_bytes() for p in (project / "raw").rglob("*.tif")}
    said = prepared("data", "purge", "--subject", "prints/DB1/3", code=2)
    assert "nothing was removed" in said.err
    assert "prints/DB1_B/3_1.tif" in said.out
    assert {p: p.read_bytes() for p in (project / "raw").rglob("*.tif")} == before


def test_generated_people_are_nobody(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> None:
    fpml("synth", "--out", "data/synth/made", "--fingers", "2", "--impressions", "1", "--sensor", "secugen")
    change_params("datasets.made", {"path": "data/synth/made", "reader": "synth", "dpi": 500, "pattern": ""})
    fpml("ingest", "made")
    finger = pd.read_parquet("data/manifest/made.parquet")["finger_id"].iat[0]
    assert "is generated, of nobody" in fpml("data", "purge", "--subject", finger, "--yes", code=2).err
