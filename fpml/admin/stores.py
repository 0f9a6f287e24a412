"""What DVC keeps, here and on remotes: objects by their MD5, folders as lists of files, and the run-cache, which knows what
was made from what."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fpml.base.errors import FpmlError

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"  # the MD5 of no bytes, which many files have
Record = dict[str, Any]  # a stage that was run: cmd, deps and outs, as dvc.lock and the run-cache have it
Listing = dict[str, str]  # of a folder: MD5 of each file, by its path below the folder
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a year of nights is some hundred versions of dvc.lock


@dataclass(frozen=True)
class Store:
    """One place with DVC's objects: the cache or a remote. odbs: for DVC 3's objects and for DVC 2's, which lie beside the
    run-cache."""

    name: str
    odbs: tuple[Any, Any]

    @property
    def runs(self) -> str:
        legacy = self.odbs[1]
        return str(legacy.fs.join(legacy.path, "runs"))

    def read(self, oid: str) -> bytes | None:
        for odb in self.odbs:
            if odb.fs.exists(odb.oid_to_path(oid)):
                with odb.fs.open(odb.oid_to_path(oid), "rb") as file:
                    return bytes(file.read())
        return None

    def size(self, oid: str) -> int | None:
        for odb in self.odbs:
            if odb.fs.exists(path := odb.oid_to_path(oid)):
                return int(odb.fs.info(path)["size"])
        return None

    def folders(self) -> set[str]:
        """The objects that list a folder's files."""
        return {oid for odb in self.odbs if odb.fs.exists(odb.path) for oid in odb.all() if oid.endswith(".dir")}

    def entries(self) -> set[str]:
        """The entries of the run-cache, as paths below it."""
        fs = self.odbs[1].fs
        return {fs.relpath(p, self.runs) for p in fs.find(self.runs)} if fs.exists(self.runs) else set()

    def entry(self, name: str) -> bytes:
        fs = self.odbs[1].fs
        with fs.open(fs.join(self.runs, name), "rb") as file:
            return bytes(file.read())

    def add(self, oid: str, content: bytes) -> None:
        odb = self.odbs[0]
        if not odb.fs.exists(odb.oid_to_path(oid)):
            odb.add_bytes(oid, content)

    def remove_leftovers(self) -> None:
        """Copies of what DVC was moving or downloading when it was ended. Only on this machine's disks."""
        odb = self.odbs[1]
        if odb.fs.protocol == "local":
            for left in Path(odb.path).rglob(".*.tmp"):
                left.unlink(missing_ok=True)
            shutil.rmtree(Path(odb.path) / "fs", ignore_errors=True)

    def remove(self, objects: Iterable[str], entries: Iterable[str]) -> int:
        """How many objects and entries of the run-cache were there and are gone."""
        removed = 0
        for odb in self.odbs:
            for path in map(odb.oid_to_path, objects):
                if odb.fs.exists(path):
                    odb.fs.remove(path)
                    removed += 1
        fs = self.odbs[1].fs
        for entry in entries:
            if fs.exists(path := fs.join(self.runs, entry)):
                fs.remove(path)
                removed += 1
        return removed


@dataclass(frozen=True)
class Stores:
    cache: Store | None  # None outside DVC
    remotes: list[Store]
    before: Store | None = None  # a cache that is used no more

    @property
    def every(self) -> list[Store]:
        return [store for store in (self.cache, self.before, *self.remotes) if store]

    def listing(self, oid: str) -> Listing | None:
        """A folder's files, from the first store that has its list whole; None where none has."""
        if oid not in self._listings:
            contents = (store.read(oid) for store in self.every)
            self._listings[oid] = next((found for c in contents if c and (found := _listing(c)) is not None), None)
        return self._listings[oid]

    @cached_property
    def _listings(self) -> dict[str, Listing | None]:
        return {}

    @cached_property
    def folders(self) -> dict[str, Listing]:
        """Every folder that a store lists."""
        named = {oid for store in self.every for oid in store.folders()}
        return {oid: found for oid in named if (found := self.listing(oid)) is not None}

    @cached_property
    def runs(self) -> dict[str, Record]:
        """The run-cache's entries by their names, of all stores; one is read where it is nearest."""
        found: dict[str, Record] = {}
        for store in self.every:
            for name in store.entries() - set(found):
                record = _record(store.entry(name))
                if record is not None:
                    found[name] = record
        return found

    def size(self, oid: str) -> int | None:
        return next((size for store in self.every if (size := store.size(oid)) is not None), None)


@contextmanager
def open_stores(root: Path) -> Iterator[Stores]:
    """DVC's cache and all remotes that its configuration names. FpmlError for a remote that can't be reached, or from
    which nothing can be removed."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        yield Stores(None, [])
        return
    with repo:
        remotes = [_remote(repo, name) for name in repo.config["remote"]]
        yield Stores(Store("DVC's cache", (repo.cache.local, repo.cache.legacy)), remotes, _cache_before(repo, root))


def _cache_before(repo: Any, root: Path) -> Store | None:
    """The cache inside the project, where DVC's configuration has another one by now."""
    from dvc_data.hashfile.db import get_odb

    open_odb: Any = get_odb
    folder = root / ".dvc" / "cache"
    if not folder.is_dir() or folder.resolve() == Path(repo.cache.local_cache_dir).resolve():
        return None
    places = ((folder / "files" / "md5", "md5"), (folder, "md5-dos2unix"))
    odbs = tuple(open_odb(repo.cache.local.fs, str(place), hash_name=kind) for place, kind in places)
    return Store("DVC's cache before this one", (odbs[0], odbs[1]))


def _remote(repo: Any, name: str) -> Store:
    from dvc.config import RemoteConfigError

    gone = f"if it is gone for good: dvc remote remove {name}"
    try:
        odbs = [repo.cloud.get_remote_odb(name, hash_name=kind) for kind in ("md5", "md5-dos2unix")]
        fs, path = odbs[1].fs, odbs[1].path
        if fs.protocol in ("http", "https"):
            raise FpmlError(f"DVC remote {name} is read over HTTP, by which nothing can be removed; name its real place")
        there = fs.exists(path)
    except RemoteConfigError as error:
        raise FpmlError(f"DVC remote {name} keeps versions by itself, which can't be removed here: {error}") from None
    except FpmlError:
        raise
    except Exception as error:  # each file system has errors of its own
        said = " ".join(str(error).split())[:200]
        where = f"DVC remote {name} ({address(repo, name)})"
        raise FpmlError(f"{where} can't be reached, and may hold prints: {said}; nothing was removed; {gone}") from None
    if not there and fs.protocol == "local":  # a bucket's folder is there once something is in it; a disk's may be unmounted
        raise FpmlError(f"DVC remote {name}: {path} is not there (is its disk mounted?), and may hold prints; "
                        f"nothing was removed; if nothing was ever pushed: dvc push, or mkdir {path}; {gone}")  # fmt: skip
    return Store(f"DVC remote {name}", (odbs[0], odbs[1]))


def address(repo: Any, name: str) -> str:
    """A remote's address without the password that it may carry."""
    scheme, separator, rest = str(repo.config["remote"][name].get("url", "?")).partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _listing(content: bytes) -> Listing | None:
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}
    except (ValueError, KeyError, TypeError):
        return None  # damaged


def _record(content: bytes) -> Record | None:
    try:
        record = FAST(content).get_single_data()  # a safe loader, in C where there is one
    except (yaml.YAMLError, UnicodeDecodeError):
        return None  # damaged: DVC can't restore from it either
    return record if isinstance(record, dict) and "cmd" in record else None


def without(listing: Listing, objects: set[str]) -> tuple[str, bytes]:
    """A folder's list without some files: its MD5 and content, as DVC writes them."""
    from dvc_data.hashfile.tree import Tree

    tree = Tree.from_list([{"relpath": path, "md5": oid} for path, oid in listing.items() if oid not in objects], "md5")
    tree.digest()
    return str(tree.oid), bytes(tree.as_bytes())


def made_from(tainted: set[str], stores: Stores, locked: list[Record], own: set[str]) -> tuple[set[str], set[str]]:
    """The objects that hold these files or were made from them, and the run-cache's entries that name them.

    own: the folders that this project knows. A store may be shared: another project's lists stay, or it could get none of its
    files any more.

    From the files to the folders that list them, to what stages made of those: whatever was made from a folder with one of
    the files may hold it too, but for what training made, the models. locked: the stages of every dvc.lock."""
    folders, runs = stores.folders, stores.runs
    found, paths = set(tainted), set[str]()

    def holds(dep: Record) -> bool:
        """A folder of several stages' outputs, such as data/manifest, is no object of the cache: it goes by its path."""
        of_stages = str(dep.get("md5")).endswith(".dir") and dep["md5"] not in folders
        return dep.get("md5") in found or (of_stages and any(path.startswith(f"{dep['path']}/") for path in paths))

    while True:
        before = len(found), len(paths)
        found |= {name for name, listed in folders.items() if name in own and not found.isdisjoint(listed.values())}
        for stage in (*runs.values(), *locked):
            if " train " in stage["cmd"] or not any(holds(d) for d in stage.get("deps", [])):
                continue
            for out in stage.get("outs", []):
                paths.add(out["path"])
                if "md5" in out:
                    found |= {out["md5"], *folders.get(out["md5"], {}).values()}
        if (len(found), len(paths)) == before:
            break
    named = {n for n, e in runs.items() if any(holds(x) for x in (*e.get("deps", []), *e.get("outs", [])))}
    return found, named
