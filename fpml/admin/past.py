"""The datasets in all versions that git, DVC's cache, its remotes and its run-cache know: which files were a person's."""

import configparser
import posixpath
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from fpml.admin import history
from fpml.admin.stores import EMPTY, FAST, Listing, Record, Stores
from fpml.base.errors import FpmlError
from fpml.data.readers import describe, names, reader_named
from fpml.data.readers.folder import compiled
from fpml.data.walk import normal

FILES = ("*.dvc", "dvc.lock", "params.yaml", ".dvc/config")


@dataclass(frozen=True)
class Named:
    """A dataset as some version of params.yaml has it."""

    name: str
    path: str
    reader: str
    pattern: str

    def image_id(self, file: str) -> str:
        return f"{self.name}/{file.removeprefix(f'{self.path}/')}"

    def owner(self, file: str) -> tuple[str | None, str] | None:
        """The subject and finger_id that a file's name tells; None for a file of another folder or naming."""
        if not file.startswith(f"{self.path}/"):
            return None
        try:
            columns = describe(self.reader, PurePosixPath(file.removeprefix(f"{self.path}/")), self.pattern)
        except FpmlError:  # another naming, or a pattern that is invalid, which read() tells
            return None
        subject = columns.get("subject")
        return None if subject is None else str(subject), f"{self.name}/{reader_named(self.reader).identity(columns)}"


@dataclass
class Past:
    """What git and the run-cache know of what DVC kept."""

    outs: dict[tuple[str, str], str] = field(default_factory=dict)  # path and MD5 in .dvc files: the commit that has it
    locked: list[Record] = field(default_factory=list)  # the stages of every dvc.lock
    datasets: set[Named] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    remotes_before: dict[str, str] = field(
        default_factory=dict
    )  # addresses that are configured no more: the commit that has one


def read(root: Path) -> Past:
    """FpmlError where git can't be asked."""
    past, readerless, urls = Past(), dict[str, str](), dict[str, str]()
    for version in history.versions(root, FILES):
        try:
            if version.path.endswith(".dvc/config"):
                told = configparser.ConfigParser(interpolation=None)
                told.read_string(version.content.decode(errors="replace"))
                urls |= {told[s]["url"]: version.commit for s in told.sections() if "remote" in s and "url" in told[s]
                         and told[s]["url"] not in urls}  # fmt: skip
                continue
            document = FAST(version.content).get_single_data() or {}  # a safe loader
            if version.path.endswith(".dvc"):
                folder = posixpath.join(posixpath.dirname(version.path), document.get("wdir", "."))
                for out in document.get("outs", []):
                    if "md5" in out:
                        path = posixpath.normpath(posixpath.join(folder, out["path"]))
                        past.outs.setdefault((path, out["md5"]), version.commit)
            elif PurePosixPath(version.path).name == "dvc.lock":
                past.locked += [s for s in document["stages"].values() if "cmd" in s] if document else []
            else:
                for name, entry in (document.get("datasets") or {}).items():
                    where = f"datasets.{name} in {version.path} of {version.commit}"
                    _add_dataset(past, readerless, root, str(name), entry, where)
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError, configparser.Error):
            past.unreadable.append(f"{version.path} of {version.commit}")
    past.unreadable += [said for path, said in readerless.items() if path not in {d.path for d in past.datasets}]
    now = {url for url, commit in urls.items() if commit == history.WORKING_TREE}
    past.remotes_before = {url: commit for url, commit in urls.items() if url not in now}
    for (path, oid), commit in list(past.outs.items()):  # the project may have been a folder deeper
        for inside in {d.path for d in past.datasets if path.endswith(f"/{d.path}")}:
            past.outs.setdefault((inside, oid), commit)
    return past


def _add_dataset(past: Past, readerless: dict[str, str], root: Path, name: str, entry: Any, where: str) -> None:
    path, pattern = normal_path(str(entry["path"]), root), str(entry.get("pattern") or "")
    if path.startswith("data/synth/"):  # generated: of nobody
        return
    if entry.get("reader") not in names():
        readerless[path] = f"{where}, which has the unknown reader '{entry.get('reader')}',"
        return
    try:
        if pattern:
            compiled(pattern)
    except FpmlError:
        readerless[path] = f"{where}, whose pattern is invalid,"
        return
    past.datasets.add(Named(name, path, entry["reader"], pattern))


def normal_path(path: str, root: Path) -> str:
    """A dataset's path as files are named: from the project's root, or absolute where it lies elsewhere."""
    if posixpath.isabs(path) and Path(path).is_relative_to(root):
        path = Path(path).relative_to(root).as_posix()
    return posixpath.normpath(path)


@dataclass(frozen=True)
class Person:
    """What a person had in all versions."""

    called: set[str] = field(default_factory=set)  # subject, DATASET/SUBJECT or finger_id
    files: set[str] = field(default_factory=set)  # paths in the project
    prints: set[str] = field(default_factory=set)  # MD5s of these files
    image_ids: set[str] = field(default_factory=set)
    fingers: set[str] = field(default_factory=set)  # finger_ids
    datasets: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)  # MD5s of the folders that held one
    lost: dict[str, str] = field(default_factory=dict)  # MD5 of a version that no store has any more: which one it was

    def note(self, dataset: Named, file: str, md5: str, version: str) -> None:
        """A file that is the person's by its name."""
        self.files.add(file)
        self.prints.add(md5)
        self.image_ids.add(dataset.image_id(file))
        self.fingers.add(dataset.owner(file)[1])  # type: ignore[index]
        self.datasets.add(dataset.name)
        self.versions.add(version)


def of_person(subject: str, past: Past, stores: Stores, replaced: dict[str, str]) -> Person:
    """The files that a subject, DATASET/SUBJECT or finger_id had. replaced: listings that an earlier purge wrote anew, by
    the MD5 of the old one."""
    outs = dict(past.outs)
    for record in (*stores.runs.values(), *past.locked):  # versions that were run on, but never committed
        for dep in record.get("deps", []):
            if "md5" in dep and any(_overlap(dep["path"], d.path) for d in past.datasets):
                outs.setdefault((dep["path"], dep["md5"]), "")
    person, listed = Person(), dict[tuple[str, str], Listing]()
    for (path, oid), commit in outs.items():
        if not oid.endswith(".dir"):
            listed[path, oid] = {path: oid}
            continue
        found = [files for each in _chain(oid, replaced) if (files := stores.listing(each)) is not None]
        if not found and commit and any(_overlap(path, d.path) for d in past.datasets):
            person.lost[oid] = f"{path} as in {commit}"
        for number, files in enumerate(found):  # of a purge that was cut off, several are there
            listed[path, f"{oid}/{number}"] = {f"{path}/{below}": md5 for below, md5 in files.items()}
    wanted = {normal(subject)}
    while True:
        told: dict[str, list[Named]] = {}  # as which datasets' print a file is the person's
        for (_, oid), files in listed.items():
            for file, md5 in files.items():
                if file not in told:
                    told[file] = [d for d in past.datasets if is_of(wanted, d, file)]
                for dataset in told[file]:
                    person.note(dataset, file, md5, oid.partition("/")[0])
        if (more := _called_otherwise(person, past, listed)) <= wanted:
            break
        wanted |= more
    person.called.update(wanted)
    person.prints.discard(EMPTY)
    for (_, oid), files in listed.items():  # the same bytes under other names
        for file in (file for file, md5 in files.items() if md5 in person.prints):
            person.versions.add(oid.partition("/")[0])
            for dataset in (d for d in past.datasets if file.startswith(f"{d.path}/")):
                person.datasets.add(dataset.name)
                person.image_ids.add(dataset.image_id(file))
    return person


def _called_otherwise(person: Person, past: Past, listed: dict[tuple[str, str], Listing]) -> set[str]:
    """The names of the person in datasets that were the same under another name: the same bytes at the same place."""
    own = {(file.removeprefix(f"{d.path}/"), md5) for files in listed.values() for file, md5 in files.items()
           if file in person.files for d in past.datasets if file.startswith(f"{d.path}/")}  # fmt: skip
    out = set()
    for files in listed.values():
        for file, md5 in files.items():
            for dataset in (d for d in past.datasets if d.name not in person.datasets and file.startswith(f"{d.path}/")):
                owner = dataset.owner(file)
                if owner and (file.removeprefix(f"{dataset.path}/"), md5) in own:
                    out.add(normal(f"{dataset.name}/{owner[0]}" if owner[0] else owner[1]))
    return out


def is_of(wanted: set[str], dataset: Named, file: str) -> bool:
    """Whether a file is, by its name, that of somebody who is called so."""
    owner = dataset.owner(file)
    if owner is None:
        return False
    subject, finger_id = owner
    called = (finger_id, subject, f"{dataset.name}/{subject}" if subject else None)
    return not wanted.isdisjoint(normal(n) for n in called if n)


def _overlap(a: str, b: str) -> bool:
    return a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/")


def _chain(oid: str, replaced: dict[str, str]) -> list[str]:
    """A listing, and those that purges wrote in its place."""
    out = [oid]
    while out[-1] in replaced:
        out.append(replaced[out[-1]])
    return out
