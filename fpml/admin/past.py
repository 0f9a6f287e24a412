"""The datasets in all versions that git, DVC's cache, its remotes and its run-cache know: which files were a person's."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from fpml.admin import history
from fpml.admin.stores import FAST, Record, Stores
from fpml.data.pictures import BadPicture
from fpml.data.readers import describe, names, reader_named
from fpml.data.walk import normal

FILES = ("*.dvc", "dvc.lock", "params.yaml")


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
        except BadPicture:
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


def read(root: Path) -> Past:
    """FpmlError where git can't be asked."""
    past = Past()
    for version in history.versions(root, FILES):
        try:
            document = FAST(version.content).get_single_data() or {}  # a safe loader
            if version.path.endswith(".dvc"):
                folder = PurePosixPath(version.path).parent
                for out in document.get("outs", []):
                    if "md5" in out:
                        past.outs.setdefault(((folder / out["path"]).as_posix(), out["md5"]), version.commit)
            elif PurePosixPath(version.path).name == "dvc.lock":
                past.locked += [s for s in document.get("stages", {}).values() if "cmd" in s]
            else:
                for name, entry in (document.get("datasets") or {}).items():
                    real = isinstance(entry, dict) and not entry["path"].startswith("data/synth/")  # generated: of nobody
                    if real and entry.get("reader") in names():
                        past.datasets.add(Named(str(name), entry["path"], entry["reader"], entry.get("pattern") or ""))
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError):
            past.unreadable.append(f"{version.path} of {version.commit}")
    return past


@dataclass(frozen=True)
class Person:
    """What a person had in all versions."""

    files: set[str] = field(default_factory=set)  # paths in the project
    prints: set[str] = field(default_factory=set)  # MD5s of these files
    image_ids: set[str] = field(default_factory=set)
    fingers: set[str] = field(default_factory=set)  # finger_ids
    datasets: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)  # MD5s of the folders that held one
    lost: dict[str, str] = field(default_factory=dict)  # MD5 of a version that no store has any more: which one it was


def of_person(subject: str, past: Past, stores: Stores, replaced: dict[str, str]) -> Person:
    """The files that a subject, DATASET/SUBJECT or finger_id had. replaced: listings that an earlier purge wrote anew, by
    the MD5 of the old one."""
    wanted = normal(subject)
    outs = dict(past.outs)
    for record in (*stores.runs.values(), *past.locked):  # versions that were run on, but never committed
        for dep in record.get("deps", []):
            if "md5" in dep and any(_overlap(dep["path"], d.path) for d in past.datasets):
                outs.setdefault((dep["path"], dep["md5"]), "")
    person = Person()
    told: dict[str, list[Named]] = {}  # as which datasets' print a file is the person's
    for (path, oid), commit in outs.items():
        listing = {"": oid} if not oid.endswith(".dir") else stores.listing(_newest(oid, replaced))
        if listing is None:
            if commit and any(_overlap(path, d.path) for d in past.datasets):
                person.lost[oid] = f"{path} as in {commit}"
            continue
        for below, md5 in listing.items():
            file = f"{path}/{below}" if below else path
            if file not in told:
                told[file] = [d for d in past.datasets if _is_of(wanted, d, file)]
            for dataset in told[file]:
                person.files.add(file)
                person.prints.add(md5)
                person.image_ids.add(dataset.image_id(file))
                person.fingers.add(dataset.owner(file)[1])  # type: ignore[index]
                person.datasets.add(dataset.name)
                person.versions.add(oid)
    return person


def _is_of(wanted: str, dataset: Named, file: str) -> bool:
    owner = dataset.owner(file)
    if owner is None:
        return False
    subject, finger_id = owner
    names = {finger_id, subject, f"{dataset.name}/{subject}" if subject else None}
    return wanted in {normal(n) for n in names if n}


def _overlap(a: str, b: str) -> bool:
    return a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/")


def _newest(oid: str, replaced: dict[str, str]) -> str:
    while oid in replaced:
        oid = replaced[oid]
    return oid
