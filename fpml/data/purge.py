"""Take a person out: prints, everything made from them that shows or counts them, and every copy that DVC and MLflow keep.

What was learnt from the prints stays in the weights of the models that were trained on them: those are named. Git keeps
hashes and settings, never prints. This is the one place of fpml that calls DVC as a library: only DVC knows how to
reach a remote.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fpml import tracking
from fpml.config import Params
from fpml.data import manifest
from fpml.data.cache import cache_folder
from fpml.errors import FpmlError
from fpml.evaluate.publish import SCORES
from fpml.files import new_file, root, state_folder

GALLERY = Path("gallery.parquet")  # where fpml enrol writes by default


@dataclass(frozen=True)
class Found:
    """What there is of a person. rows: of all manifests."""

    subject: str
    rows: pd.DataFrame
    runs: list[str]  # of params.yaml whose prepared prints hold some of the person's
    trained: list[str]  # those of them that were trained on some
    versions: list[str]  # registered models of these runs
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
    return Found(subject, rows, runs, trained, _versions(trained, params), enrolled)


def purge(found: Found, params: Params) -> list[str]:
    """Remove what was found; lines that say what was done. What it is found by goes last: cut off, it can be repeated.

    FpmlError, with nothing removed, where MLflow's store is away."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError("MLflow's store is away (above), and it may show the person's prints; nothing was removed, try again")
    said = []
    tainted = {md5(f.read_bytes()).hexdigest() for f in found.files if f.exists()}
    tainted |= _pointed_at(found)
    objects, entries = _in_cache(tainted)
    for gallery, count in found.galleries.items():
        if count:
            frame = pd.read_parquet(gallery)
            with new_file(Path(gallery)) as temporary:
                frame[~_of_person(frame, found.rows)].to_parquet(temporary, index=False)
            said.append(f"{gallery}: {count} embeddings removed")
    said += _from_mlflow(mlflow, found, params)
    cache = cache_folder(root())
    for name, removed in _from_remotes(objects, [e.relative_to(cache).as_posix() for e in entries]):
        said.append(f"DVC remote {name}: {removed} objects removed")
    for file in found.files:
        file.unlink(missing_ok=True)
    said.append(f"{len(found.files)} picture files removed")
    for name in sorted(set(found.rows["dataset"])):
        pointer = root() / "data" / "raw" / f"{name}.dvc"
        if pointer.exists():
            _dvc("add", str(pointer.with_suffix("")))
    said.append(_from_cache(objects, entries))
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


def _versions(runs: list[str], params: Params) -> list[str]:
    mlflow = tracking.connect(params.tracking) if runs else None
    if mlflow is None:
        return []
    client = mlflow.MlflowClient()
    return [f"{v.name} version {v.version}" for run in runs for v in client.search_model_versions(f"name = '{run}'")]


def _from_mlflow(mlflow: Any, found: Found, params: Params) -> list[str]:
    """Scores lose the person's rows; figures and example prints of whatever was made from the person's datasets go, since
    nobody can tell whom they show. Deleted runs too, as long as MLflow keeps them."""
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
        if run.info.run_id not in used and parent not in used and recipe not in found.runs:
            continue
        store = get_artifact_repository(run.info.artifact_uri)
        paths = {f.path for f in store.list_artifacts()}
        if SCORES in paths:
            scores = pd.read_parquet(store.download_artifacts(SCORES))
            with tempfile.TemporaryDirectory() as folder:
                scores[~scores["image_id"].isin(images)].to_parquet(Path(folder) / SCORES, index=False)
                store.log_artifact(str(Path(folder) / SCORES))
        if "figures" in paths:
            store.delete_artifacts("figures")
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


# What DVC keeps: objects by their MD5, folders as lists of files, and the run-cache, which knows what was made from what.


def _dvc(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root(), capture_output=True, text=True)
    if done.returncode:
        raise FpmlError(f"dvc {arguments[0]} failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")
    return done.stdout


def _pointed_at(found: Found) -> set[str]:
    """The MD5s of the person's files in all versions of their datasets, also where the file itself is gone.

    A dataset's versions are those that its .dvc file names or named in git, and those that stages were run on."""
    cache = cache_folder(root())
    out = set()
    for name, part in found.rows.groupby("dataset"):
        folder = f"data/raw/{name}"
        paths = {f.split("/", 3)[3] for f in part["file"] if str(f).startswith(f"{folder}/")}
        pointer = root() / f"{folder}.dvc"
        told = pointer.read_text() if pointer.exists() else ""
        if shutil.which("git"):
            log = ["git", "log", "-p", "--all", "--", f"{folder}.dvc"]
            told += subprocess.run(log, cwd=root(), capture_output=True, text=True).stdout
        versions = set(re.findall(r"[0-9a-f]{32}\.dir", told))
        for stage in _stages(cache):
            versions |= {d["md5"] for d in stage.get("deps", []) if d["path"] == folder and "md5" in d}
        for version in versions:
            listing = cache / "files" / "md5" / version[:2] / version[2:]
            if listing.exists():
                out |= {entry["md5"] for entry in json.loads(listing.read_text()) if entry["relpath"] in paths}
    return out


def _stages(cache: Path) -> list[dict[str, Any]]:
    """What the run-cache and dvc.lock say of stages that were run."""
    lock = root() / "dvc.lock"
    locked = list((yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values()) if lock.exists() else []
    return [*(yaml.safe_load(p.read_text()) for p in cache.glob("runs/*/*/*") if p.is_file()), *locked]


def _in_cache(tainted: set[str]) -> tuple[set[str], list[Path]]:
    """The objects that hold the person's prints or were made from them, and the run-cache's entries that name them.

    From the files to the folders that list them, to what stages made of those: whatever was made from a folder with
    one of the files may hold it too, but for what training made, the models."""
    cache = cache_folder(root())
    folders = {f"{p.parent.name}{p.name}": json.loads(p.read_text()) for p in cache.glob("files/md5/*/*.dir")}
    entries = {p: yaml.safe_load(p.read_text()) for p in cache.glob("runs/*/*/*") if p.is_file()}
    stages = _stages(cache)
    found, paths = set(tainted), set[str]()

    def holds(dep: dict[str, Any]) -> bool:
        """A folder of several stages' outputs, such as data/manifest, is no object of the cache: it goes by its path."""
        of_stages = str(dep.get("md5")).endswith(".dir") and dep["md5"] not in folders
        return dep.get("md5") in found or (of_stages and any(path.startswith(f"{dep['path']}/") for path in paths))

    while True:
        before = len(found), len(paths)
        found |= {name for name, listed in folders.items() if any(entry["md5"] in found for entry in listed)}
        for stage in stages:
            if " train " in stage["cmd"] or not any(holds(d) for d in stage.get("deps", [])):
                continue
            for out in stage.get("outs", []):
                paths.add(out["path"])
                found.add(out["md5"])
                found |= {entry["md5"] for entry in folders.get(out["md5"], [])}
        if (len(found), len(paths)) == before:
            break
    named = [p for p, e in entries.items() if any(holds(x) for x in (*e.get("deps", []), *e.get("outs", [])))]
    return found, named


def _from_cache(objects: set[str], entries: list[Path]) -> str:
    """Delete objects and entries of the run-cache from DVC's cache."""
    cache = cache_folder(root())
    for entry in entries:
        entry.unlink(missing_ok=True)
    for left in cache.glob("files/md5/.*.tmp"):  # DVC leaves copies of what it was moving
        left.unlink(missing_ok=True)
    count = 0
    for oid in objects:
        path = cache / "files" / "md5" / oid[:2] / oid[2:]
        if path.exists():
            path.chmod(0o644)
            path.unlink()
            count += 1
    return f"DVC's cache: {count} objects and {len(entries)} entries of the run-cache removed"


def _from_remotes(objects: set[str], entries: list[str]) -> Iterator[tuple[str, int]]:
    from dvc.repo import Repo

    with Repo(str(root())) as repo:
        for name in repo.config["remote"]:
            odb: Any = repo.cloud.get_remote_odb(name, hash_name="md5")
            removed = 0
            for oid in objects:
                if odb.exists(oid):
                    odb.delete(oid)
                    removed += 1
            runs: Any = repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix")
            for entry in entries:
                path = runs.fs.join(runs.path, *entry.split("/"))
                if runs.fs.exists(path):
                    runs.fs.remove(path)
                    removed += 1
            yield name, removed
