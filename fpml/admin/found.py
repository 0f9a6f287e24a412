"""What there is of a person: in today's version and earlier ones, DVC's stores, MLflow, galleries and copies."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fpml.admin import history, past
from fpml.admin.past import Past, Person
from fpml.admin.stores import EMPTY, Listing, Stores, made_from, open_stores, without
from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.data import manifest
from fpml.data.ingest import not_ingested
from fpml.data.walk import normal
from fpml.project.params import Params
from fpml.tracking import runs as tracking

GALLERY = Path("gallery.parquet")  # where fpml enrol writes by default
REPLACED = Path("data/purged.json")  # in git: MD5s of listings that a purge wrote anew; a later purge looks into the new ones
PASSED_OVER = {".git", ".venv"}  # folders of the project that hold no copies


@dataclass(frozen=True)
class Found:
    """What there is of a person, in this version and in earlier ones."""

    subject: str
    rows: pd.DataFrame  # of all manifests
    person: Person  # in all versions
    datasets: list[str]
    files: list[Path]  # in the project now, copies included
    pointers: list[Path]  # .dvc files of what loses a file
    objects: set[str]  # of DVC: the prints, what lists them, and what was made from them
    entries: set[str]  # of DVC's run-cache
    listings: dict[str, tuple[str, bytes]]  # a dataset's folder as DVC lists it: the same without the person
    runs: list[str]  # of params.yaml whose prepared prints hold some of the person's
    trained: list[str]  # those of them that were trained on some
    versions: list[str]  # registered models that were trained on a version with some
    galleries: dict[str, int]  # gallery file: prints enrolled
    remains: list[str]  # what can't be looked into from here


def find(subject: str, galleries: list[Path], params: Params) -> Found:
    """Everything of a subject (by `subject`, else by finger_id): what the manifests say, what any version that git or DVC
    knows had, and pictures of the same pixels or bytes. FpmlError where that can't be told."""
    subject = normal(subject)
    if lacking := history.cut(root()):
        raise FpmlError(
            f"{lacking}; until then prints of older versions may remain in DVC's cache and remotes, so nothing was removed"
        )
    frames = [manifest.read(p) for p in sorted((root() / "data" / "manifest").glob("*.parquet"))]
    every = pd.concat(frames, ignore_index=True) if frames else manifest.table([])
    with open_stores(root()) as stores:
        known = past.read(root())
        if torn := [file for file in known.unreadable if file.endswith(history.WORKING_TREE)]:
            raise FpmlError(
                f"{torn[0]} can't be read, so it is not known what it names; mend it (a merge?); nothing was removed"
            )
        replaced = replaced_listings()
        person = past.of_person(subject, known, stores, replaced)
        if not frames and not person.files:
            raise FpmlError("no manifest is in data/manifest; run: dvc repro")
        own = every[
            (every["subject"] == subject)
            | (every["finger_id"] == subject)
            | (every["dataset"] + "/" + every["subject"] == subject)
        ]
        _check_one_person(subject, own, person, every, params)
        pixels = set(own["sha256"].dropna())
        rows = every[every.index.isin(own.index) | every["sha256"].isin(pixels)]
        present = {p for f in set(rows["file"]) if (p := root() / f).exists()}
        prints = person.prints | {_md5(p) for p in present} - {EMPTY}
        sizes = {p.stat().st_size for p in present} | {stores.size(oid) for oid in prints}
        unreadable: list[str] = []
        files = sorted(present | set(_copies(prints, sizes, stores, unreadable)))
        called = {name for p in files if _is_text(name := _name(p))}
        places = every["file"].map(lambda file: past.normal_path(file, root()))
        rows = every[every.index.isin(rows.index) | places.isin(called)]  # renamed: the same bytes under another's name
        _check_rows(rows, params)
        listings = _without_the_person(prints, known, stores)
        _check_whole(known, stores, set(listings), prints)
        objects, entries = made_from(prints, stores, known.locked, _own_folders(known, stores, replaced))
    datasets = sorted(set(rows["dataset"]) | person.datasets)
    runs, trained = _of_runs(set(rows["image_id"]) | person.image_ids)
    enrolled = {}
    for gallery in galleries:
        if gallery.exists():
            enrolled[str(gallery)] = int(is_of_person(pd.read_parquet(gallery), rows, person).sum())
        elif gallery != GALLERY:
            raise FpmlError(f"gallery {gallery} is not there; nothing was removed")
    seen = {oid for _, oid in known.outs} - set(person.lost)
    versions = _versions(datasets, person.versions | set(listings), seen, params)
    remains = [f"{lost} is in neither DVC's cache nor a remote: pictures that only it had" for lost in person.lost.values()]
    remains += [f"{file} can't be read: pictures that only it names" for file in known.unreadable]
    remains += [f"{url}, a DVC remote until {commit}: what it holds" for url, commit in known.remotes_before.items()]
    remains += [f"{folder} can't be read: copies in it" for folder in unreadable]
    remains += _in_git(known, person)
    pointers = sorted({root() / f"{path}.dvc" for (path, oid), commit in known.outs.items()
                       if commit == history.WORKING_TREE and (oid in listings or oid in prints)})  # fmt: skip
    return Found(subject, rows, person, datasets, files, pointers, objects, entries, listings, runs, trained, versions,
                 enrolled, remains)  # fmt: skip


def _name(path: Path) -> str:
    """A file's path as manifests have it."""
    return path.relative_to(root()).as_posix() if path.is_relative_to(root()) else str(path)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _own_folders(known: Past, stores: Stores, replaced: dict[str, str]) -> set[str]:
    records = (*stores.runs.values(), *known.locked)
    named = {x["md5"] for record in records for x in (*record.get("deps", []), *record.get("outs", [])) if "md5" in x}
    return named | {oid for _, oid in known.outs} | set(replaced) | set(replaced.values())


def _in_git(known: Past, person: Person) -> list[str]:
    """Pictures that were committed to git itself, which no purge rewrites."""
    held = history.names(root(), sorted({d.path for d in known.datasets if not d.path.startswith(("/", ".."))}))
    held = {file for file in held if any(past.is_of(person.called, d, file) for d in known.datasets)}
    if not held:
        return []
    return [f"git's own history, which holds {len(held)} of the pictures, such as {min(held)} (git filter-repo rewrites it)"]


def replaced_listings() -> dict[str, str]:
    path = root() / REPLACED
    if not path.exists():
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError):
        raise FpmlError(f"{REPLACED} is damaged, and says what earlier purges wrote; get it back from git") from None


def _check_one_person(subject: str, own: pd.DataFrame, person: Person, every: pd.DataFrame, params: Params) -> None:
    named = set(own["dataset"]) | person.datasets
    if len(named) > 1 and "/" not in subject:
        both = ", ".join(f"{name}/{subject}" for name in sorted(named))
        raise FpmlError(f"several datasets have a subject '{subject}', who may be different people: name one of {both}")
    if own.empty and not person.files:
        _refuse_new_files(params)
        known = every["subject"].dropna().unique()
        has = f"subjects, such as '{known[0]}'" if len(known) else "no subjects; give a finger_id, DATASET/FINGER"
        raise FpmlError(f"no print of '{subject}' is in the manifests, which have {has}")


def _check_rows(rows: pd.DataFrame, params: Params) -> None:
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


def _check_whole(known: Past, stores: Stores, losing: set[str], prints: set[str]) -> None:
    """DVC is told anew of a folder that loses files: one that is not all here would lose others' prints too."""
    for (path, oid), commit in known.outs.items():
        if commit != history.WORKING_TREE or oid not in losing:
            continue
        listing = {file: md5 for file, md5 in (stores.listing(oid) or {}).items() if md5 not in prints}
        if missing := [f for f in listing if not (root() / path / f).exists()]:
            raise FpmlError(
                f"{path} is not all here: {len(missing)} of {len(listing)} files of others are missing; "
                f"run: dvc checkout {path}.dvc, or dvc pull {path}.dvc, then this again; nothing was removed"
            )


def _copies(prints: set[str], sizes: set[int | None], stores: Stores, unreadable: list[str]) -> Iterator[Path]:
    """The project's files with the bytes of a print, wherever they lie: in datasets, downloads, DVC's temporary folders."""
    caches = {Path(store.odbs[1].path) for store in (stores.cache, stores.before) if store}
    if not prints:
        return
    for folder, folders, files in os.walk(root(), onerror=lambda error: unreadable.append(str(error.filename))):
        folders[:] = [f for f in folders if f not in PASSED_OVER and Path(folder, f) not in caches]
        for path in (Path(folder, f) for f in files):
            if path.is_file() and (None in sizes or path.stat().st_size in sizes) and _md5(path) in prints:  # DVC's links too
                yield path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _without_the_person(prints: set[str], known: Past, stores: Stores) -> dict[str, tuple[str, bytes]]:
    """The datasets' versions that list a print, each as it is without: a later purge must still find who else is in it."""
    kept = {oid for _, oid in known.outs}
    kept |= {dep["md5"] for record in (*stores.runs.values(), *known.locked) for dep in record.get("deps", []) if "md5" in dep}
    kept |= set(replaced_listings().values())
    listed: dict[str, Listing] = {oid: files for oid in kept if (files := stores.folders.get(oid))}
    return {oid: without(files, prints) for oid, files in listed.items() if not prints.isdisjoint(files.values())}


def _of_runs(image_ids: set[str]) -> tuple[list[str], list[str]]:
    """The runs whose prepared prints hold some of these, and those of them that were trained on some."""
    runs, trained = [], []
    for folder in sorted((root() / "data" / "prepared").glob("*/index.parquet")):
        index = pd.read_parquet(folder, columns=["image_id"])
        mine = index["image_id"].isin(image_ids)
        if mine.any():
            name = folder.parent.name
            runs.append(name)
            sides = root() / "data" / "split" / f"{name}.parquet"
            if not sides.exists() or (pd.read_parquet(sides)["side"][mine.to_numpy()] == "train").any():
                trained.append(name)
    return runs, trained


def _refuse_new_files(params: Params) -> None:
    for name, dataset in params.datasets.items():
        new = [] if dataset.path.startswith("data/synth/") else not_ingested(name, dataset, root())
        if new:
            raise FpmlError(
                f"{len(new)} files of {name} are in no manifest, such as {new[0]}, and may be the person's; "
                f"run: dvc repro ingest@{name}, then this again; nothing was removed"
            )


def is_of_person(gallery: pd.DataFrame, rows: pd.DataFrame, person: Person) -> "pd.Series[bool]":
    """Which enrolled prints are the person's: by their picture, or by the finger's name, with its dataset or without, as
    `fpml enrol` writes it."""
    names = set(rows["file"]) | person.files
    files = {str(root() / f) for f in names} | names
    fingers = {name for f in {*rows["finger_id"].dropna(), *person.fingers} for name in (f, f.partition("/")[2])}
    pictures = gallery["picture"].map(lambda p: p in files or str(Path(p).resolve()) in files)
    return pictures | gallery["finger"].isin(fingers)


def _versions(datasets: list[str], held: set[str], seen: set[str], params: Params) -> list[str]:
    """The registered models that were trained on a version of these datasets that held prints of the person, or on one
    that nobody can look into any more. held, seen: MD5s of versions."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        return []
    client = mlflow.MlflowClient()
    named = []
    models = every_page(lambda token: client.search_registered_models(page_token=token))
    for name in (model.name for model in models):
        for version in client.search_model_versions(f"name = '{name}'", max_results=10_000):
            try:
                inputs = client.get_run(version.run_id).inputs.dataset_inputs if version.run_id else []
            except mlflow.exceptions.MlflowException:  # its run was deleted for good: nobody knows what it was trained on
                inputs = []
            used = {d.dataset.name: d.dataset.digest for d in inputs}
            digests = {digest for name, digest in used.items() if name in datasets}
            if digests & held or digests - seen or not used:
                named.append(f"{version.name} version {version.version}")
    return named


def every_page(page: Callable[[str | None], Any]) -> list[Any]:
    """All pages of a search."""
    out, token = [], None
    while True:
        found = page(token)
        out += list(found)
        token = found.token
        if not token:
            return out
