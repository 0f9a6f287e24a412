"""What DVC keeps of a file: objects by their MD5, folders as lists of files, and the run-cache, which knows what was made
from what; here and on remotes.

The one place of fpml that calls DVC as a library: only DVC knows how to reach a remote.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fpml.data.cache import cache_folder
from fpml.errors import FpmlError
from fpml.files import root


def dvc(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root(), capture_output=True, text=True)
    if done.returncode:
        raise FpmlError(f"dvc {arguments[0]} failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")
    return done.stdout


def versions_of(rows: pd.DataFrame) -> set[str]:
    """The MD5s of these rows' files in all versions of their datasets, also where the file itself is gone.

    A dataset's versions are those that its .dvc file names or named in git, and those that stages were run on."""
    cache = cache_folder(root())
    out = set()
    for name, part in rows.groupby("dataset"):
        folder = f"data/raw/{name}"
        paths = {f.split("/", 3)[3] for f in part["file"] if str(f).startswith(f"{folder}/")}
        pointer = root() / f"{folder}.dvc"
        told = pointer.read_text(encoding="utf-8") if pointer.exists() else ""
        if shutil.which("git"):
            log = ["git", "log", "-p", "--all", "--", f"{folder}.dvc"]
            told += subprocess.run(log, cwd=root(), capture_output=True, text=True).stdout
        versions = set(re.findall(r"[0-9a-f]{32}\.dir", told))
        for stage in _stages(cache):
            versions |= {d["md5"] for d in stage.get("deps", []) if d["path"] == folder and "md5" in d}
        for version in versions:
            listing = cache / "files" / "md5" / version[:2] / version[2:]
            if listing.exists():
                out |= {entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8")) if entry["relpath"] in paths}
    return out


def _stages(cache: Path) -> list[dict[str, Any]]:
    """What the run-cache and dvc.lock say of stages that were run."""
    lock = root() / "dvc.lock"
    locked = list((yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {}).values()) if lock.exists() else []
    return [*(yaml.safe_load(p.read_text(encoding="utf-8")) for p in cache.glob("runs/*/*/*") if p.is_file()), *locked]


def made_from(tainted: set[str]) -> tuple[set[str], list[Path]]:
    """The objects that hold these files or were made from them, and the run-cache's entries that name them.

    From the files to the folders that list them, to what stages made of those: whatever was made from a folder with
    one of the files may hold it too, but for what training made, the models."""
    cache = cache_folder(root())
    folders = {f"{p.parent.name}{p.name}": json.loads(p.read_text(encoding="utf-8")) for p in cache.glob("files/md5/*/*.dir")}
    entries = {p: yaml.safe_load(p.read_text(encoding="utf-8")) for p in cache.glob("runs/*/*/*") if p.is_file()}
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


def remove(objects: set[str], entries: list[Path]) -> str:
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


def remove_from_remotes(objects: set[str], entries: list[str]) -> Iterator[tuple[str, int]]:
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
