"""DVC's cache, checked: DVC trusts what it once wrote, so a damaged object is restored as if it were whole."""

import hashlib
import json
import shutil
from pathlib import Path

import yaml

from fpml.base.files import new_file
from fpml.project.locked import locked


def cache_folder(root: Path) -> Path:
    """Where DVC's cache is. DVC itself is asked: its configuration has five levels, and may name a folder anywhere."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local_cache_dir)
    except NotDvcRepoError:
        return root / ".dvc" / "cache"


def mend(root: Path, stage: str = "") -> list[tuple[bool, str]]:
    """Check the objects of the cache, or of one stage's outputs, by their MD5, which is their name; for each that is damaged,
    whether all is well again or will be by itself, and a line.

    One whose file in the workspace is whole is copied back. Else it is removed: from a stage's output together with that, so
    that `dvc repro` makes it anew; of a dataset only the object, never a file of the workspace."""
    cache = cache_folder(root) / "files" / "md5"
    places = _places(root, cache, stage)
    objects = [cache / oid[:2] / oid[2:] for oid in places] if stage else [p for p in cache.glob("??/*") if p.is_file()]
    said = []
    for path in objects:
        oid = path.parent.name + path.name
        if not path.exists() or _md5(path) == oid.removesuffix(".dir"):
            continue
        copies = [(out, file) for out, file in places.get(oid, []) if file.is_file()]
        whole = next((file for _, file in copies if _md5(file) == oid), None)
        if whole is not None:
            with new_file(path) as temporary:
                shutil.copyfile(whole, temporary)
                temporary.chmod(0o444)
            said.append((True, f"cache object {oid}: damaged, copied back from {whole}"))
            continue
        path.chmod(0o644)
        path.unlink()
        outs = {out for out, _ in places.get(oid, [])}
        datasets = sorted(out for out in outs if out.with_name(f"{out.name}.dvc").exists())
        made = sorted(outs - set(datasets))
        for out in made:
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        what = f"cache object {oid}: damaged, removed"
        if datasets:
            name = datasets[0].relative_to(root)
            said.append(
                (False, f"{what}; it is of {name}: dvc pull {name}.dvc, or, where the files there are whole, dvc add {name}")
            )
        else:
            said.append((True, f"{what} with {', '.join(str(o.relative_to(root)) for o in made) or 'nothing here'}; dvc repro"))
    return said


def _places(root: Path, cache: Path, stage: str) -> dict[str, list[tuple[Path, Path]]]:
    """For each object the outputs in the workspace that hold it, and its file there. stage: only that one's."""
    outs: list[tuple[Path, str]] = []
    for name, entry in locked(root / "dvc.lock", [stage] if stage else []).items():
        if stage in ("", name):
            outs += [(root / o["path"], o["md5"]) for o in entry.get("outs", [])]
    for pointer in [] if stage else (root / "data" / "raw").glob("*.dvc"):
        outs += [(pointer.parent / o["path"], o["md5"]) for o in yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"]]
    found: dict[str, list[tuple[Path, Path]]] = {}
    for out, oid in outs:
        found.setdefault(oid, []).append((out, out))
        listing = cache / oid[:2] / oid[2:]
        if oid.endswith(".dir") and listing.exists():
            try:
                entries = json.loads(listing.read_text(encoding="utf-8"))
            except ValueError:
                continue  # damaged itself, which is found by its name
            for entry in entries:
                found.setdefault(entry["md5"], []).append((out, out / entry["relpath"]))
    return found


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
