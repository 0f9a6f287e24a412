"""Take a person out: prints, everything made from them that shows or counts them, and every copy that DVC and MLflow keep.

What was learnt from the prints stays in the weights of the models that were trained on them: those are named. Git keeps
hashes and settings, never prints.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd

from fpml import tracking
from fpml.config import Params
from fpml.data import kept, manifest
from fpml.data.cache import cache_folder
from fpml.data.ingest import not_ingested
from fpml.errors import FpmlError
from fpml.evaluate.publish import REPORT_TAG, SCORES
from fpml.files import new_file, root, state_folder

GALLERY = Path("gallery.parquet")  # where fpml enrol writes by default


@dataclass(frozen=True)
class Found:
    """What there is of a person. rows: of all manifests."""

    subject: str
    rows: pd.DataFrame
    runs: list[str]  # of params.yaml whose prepared prints hold some of the person's
    trained: list[str]  # those of them that were trained on some
    versions: list[str]  # registered models of these runs that were trained on the person's datasets
    galleries: dict[str, int]  # gallery file: prints enrolled

    @property
    def files(self) -> list[Path]:
        return [root() / f for f in sorted(set(self.rows["file"]))]


def find(subject: str, galleries: list[Path], params: Params) -> Found:
    """Everything that the manifests say is a subject's: by `subject`, else by finger_id; and pictures of the same pixels."""
    frames = [manifest.read(p) for p in sorted((root() / "data" / "manifest").glob("*.parquet"))]
    if not frames:
        raise FpmlError("no manifest is in data/manifest; run: dvc repro")
    every = pd.concat(frames, ignore_index=True)
    own = every[
        (every["subject"] == subject) | (every["finger_id"] == subject) | (every["dataset"] + "/" + every["subject"] == subject)
    ]
    if own["finger_id"].ne(subject).any() and own["dataset"].nunique() > 1 and subject in set(own["subject"]):
        both = ", ".join(f"{name}/{subject}" for name in sorted(set(own["dataset"])))
        raise FpmlError(f"several datasets have a subject '{subject}', who may be different people: name one of {both}")
    if own.empty:
        _refuse_new_files(params)
        known = every["subject"].dropna().unique()
        has = f"subjects, such as '{known[0]}'" if len(known) else "no subjects; give a finger_id, DATASET/FINGER"
        raise FpmlError(f"no print of '{subject}' is in the manifests, which have {has}")
    pixels = set(own["sha256"].dropna())
    rows = every[every.index.isin(own.index) | every["sha256"].isin(pixels)]
    inside = rows[rows["index"].notna()]
    if len(inside):
        raise FpmlError(
            f"{inside['file'].iat[0]} holds many pictures; one of them can't be taken out: make the file anew without it"
        )
    if len(made := rows[rows["truth"].notna() & rows["file"].str.startswith("data/synth/")]):
        raise FpmlError(
            f"{made['file'].iat[0]} is generated, of nobody; the seed under `synth` in params.yaml makes other people"
        )
    _refuse_new_files(params)
    runs, trained = [], []
    for folder in sorted((root() / "data" / "prepared").glob("*/index.parquet")):
        index = pd.read_parquet(folder, columns=["image_id"])
        mine = index["image_id"].isin(set(rows["image_id"]))
        if mine.any():
            name = folder.parent.name
            runs.append(name)
            sides = root() / "data" / "split" / f"{name}.parquet"
            if not sides.exists() or (pd.read_parquet(sides)["side"][mine.to_numpy()] == "train").any():
                trained.append(name)
    enrolled = {}
    for gallery in galleries:
        if gallery.exists():
            enrolled[str(gallery)] = int(_of_person(pd.read_parquet(gallery), rows).sum())
        elif gallery != GALLERY:
            raise FpmlError(f"gallery {gallery} is not there; nothing was removed")
    return Found(subject, rows, runs, trained, _versions(trained, set(rows["dataset"]), params), enrolled)


def _refuse_new_files(params: Params) -> None:
    for name, dataset in params.datasets.items():
        new = [] if dataset.path.startswith("data/synth/") else not_ingested(name, dataset, root())
        if new:
            raise FpmlError(
                f"{len(new)} files of {name} are in no manifest, such as {new[0]}, and may be the person's; "
                f"run: dvc repro ingest@{name}, then this again; nothing was removed"
            )


def purge(found: Found, params: Params) -> list[str]:
    """Remove what was found; lines that say what was done. What it is found by goes last: cut off, it can be repeated.

    FpmlError, with nothing removed, where MLflow's store is away."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError("MLflow's store is away (above), and it may show the person's prints; nothing was removed, try again")
    said = []
    tainted = {md5(f.read_bytes()).hexdigest() for f in found.files if f.exists()}
    tainted |= kept.versions_of(found.rows)
    objects, entries = kept.made_from(tainted)
    for gallery, count in found.galleries.items():
        if count:
            frame = pd.read_parquet(gallery)
            with new_file(Path(gallery)) as temporary:
                frame[~_of_person(frame, found.rows)].to_parquet(temporary, index=False)
            said.append(f"{gallery}: {count} embeddings removed")
    said += _from_mlflow(mlflow, found, params)
    cache = cache_folder(root())
    for name, removed in kept.remove_from_remotes(objects, [e.relative_to(cache).as_posix() for e in entries]):
        said.append(f"DVC remote {name}: {removed} objects removed")
    for file in found.files:
        file.unlink(missing_ok=True)
    said.append(f"{len(found.files)} picture files removed")
    for name in sorted(set(found.rows["dataset"])):
        pointer = root() / "data" / "raw" / f"{name}.dvc"
        if pointer.exists():
            kept.dvc("add", str(pointer.with_suffix("")))
    said.append(kept.remove(objects, entries))
    shutil.rmtree(state_folder() / "drift", ignore_errors=True)
    for name in found.runs:
        for made in (f"data/prepared/{name}", f"results/{name}"):
            shutil.rmtree(root() / made, ignore_errors=True)
        (root() / "data" / "split" / f"{name}.parquet").unlink(missing_ok=True)
    shutil.rmtree(root() / "report", ignore_errors=True)
    said.append(f"manifests of {', '.join(sorted(set(found.rows['dataset'])))}, prepared prints, splits and results of "
                f"{', '.join(found.runs) or 'no run'}, and the report removed; dvc repro makes them anew")  # fmt: skip
    for name in sorted(set(found.rows["dataset"])):  # last: by these it was found
        (root() / "data" / "manifest" / f"{name}.parquet").unlink(missing_ok=True)
    return said


def _of_person(gallery: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Which enrolled prints are the person's: by their picture, or by the finger's name, with its dataset or without, as
    `fpml enrol` writes it."""
    files = {str(root() / f) for f in rows["file"]} | set(rows["file"])
    fingers = {name for f in rows["finger_id"].dropna() for name in (f, f.partition("/")[2])}
    pictures = gallery["picture"].map(lambda p: p in files or str(Path(p).resolve()) in files)
    return pictures | gallery["finger"].isin(fingers)


def _versions(runs: list[str], datasets: set[str], params: Params) -> list[str]:
    """The registered models of these runs that were trained on some of these datasets."""
    mlflow = tracking.connect(params.tracking) if runs else None
    if mlflow is None:
        return []
    client = mlflow.MlflowClient()
    versions = [v for run in runs for v in client.search_model_versions(f"name = '{run}'")]
    used = [{d.dataset.name for d in client.get_run(v.run_id).inputs.dataset_inputs} for v in versions]
    return [f"{v.name} version {v.version}" for v, names in zip(versions, used, strict=True) if names & datasets or not names]


def _from_mlflow(mlflow: Any, found: Found, params: Params) -> list[str]:
    """Scores lose the person's rows; figures and example prints of whatever was made from the person's datasets go, and the
    report, since nobody can tell whom they show. Deleted runs too, as long as MLflow keeps them."""
    from mlflow.entities import ViewType
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(params.tracking.experiment).experiment_id
    images, datasets = set(found.rows["image_id"]), set(found.rows["dataset"])
    runs = _every(lambda token: client.search_runs([experiment], run_view_type=ViewType.ALL, page_token=token))
    used = {r.info.run_id for r in runs if datasets & {d.dataset.name.split("/")[0] for d in r.inputs.dataset_inputs}}
    changed = 0
    for run in runs:
        recipe, parent = run.data.tags.get("recipe"), run.data.tags.get("mlflow.parentRunId")
        is_report = REPORT_TAG in run.data.tags
        if run.info.run_id not in used and parent not in used and recipe not in found.runs and not is_report:
            continue
        store = get_artifact_repository(run.info.artifact_uri)
        paths = {f.path for f in store.list_artifacts()}
        if SCORES in paths:
            scores = pd.read_parquet(store.download_artifacts(SCORES))
            with tempfile.TemporaryDirectory() as folder:
                scores[~scores["image_id"].isin(images)].to_parquet(Path(folder) / SCORES, index=False)
                store.log_artifact(str(Path(folder) / SCORES))
        for shown in paths & {"figures", "index.html"}:
            store.delete_artifacts(shown)
        changed += 1
        used.add(run.info.run_id)
    for model in _every(lambda token: client.search_logged_models([experiment], page_token=token)):
        if model.source_run_id in used:
            store = get_artifact_repository(model.artifact_location)
            for file in store.list_artifacts():
                if "input_example" in file.path:
                    store.delete_artifacts(file.path)
    return [f"MLflow: scores, figures and example prints of {changed} runs cleaned"]


def _every(page: Callable[[str | None], Any]) -> list[Any]:
    """All pages of a search."""
    out, token = [], None
    while True:
        found = page(token)
        out += list(found)
        token = found.token
        if not token:
            return out
