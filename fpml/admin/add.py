"""A person's own prints: checked, put under DVC, and entered in params.yaml. All of it or none of it."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fpml.admin.dvc import dvc
from fpml.base.errors import FpmlError
from fpml.base.files import new_file, root
from fpml.data import manifest
from fpml.data.ingest import ingest, summary
from fpml.data.pictures import PICTURES, BadPicture
from fpml.data.readers import describe, folder, idx, reader_named
from fpml.data.walk import find_files, normal
from fpml.project.params import Params, load
from fpml.project.preset import in_one_line, read_yaml, write_yaml
from fpml.settings.sections import NAME, Dataset


def add(name: str, path: Path, reader: str, dpi: float | None, pattern: str, use: str | None) -> None:
    """Check PATH with its reader, `dvc add` it as data/raw/NAME, and enter it under `datasets` (and with `use`,
    RECIPE:train or RECIPE:test, in that recipe). On any failure everything is as it was."""
    params_path = root() / "params.yaml"
    params = load(params_path)
    _check_name(name, params)
    recipe, side = _parse_use(use, params)
    if pattern:
        if reader != "folder":
            raise FpmlError(f"--pattern is for --reader folder; {reader} has its own naming")
        folder.compiled(pattern)
    if reader == "idx" and idx.says_fashion(path.name) and not idx.says_fashion(name):
        raise FpmlError(f"{path} says fashion, and the name '{name}' does not, which would leave its classes without names; "
                        f"call it fashion-{name}, or rename the folder")  # fmt: skip
    value = _dpi(name, path, reader, pattern, dpi)
    found = ingest(name, Dataset(str(path.resolve()), reader, value, pattern), params.ingest, root())
    target = root() / "data" / "raw" / name
    with _as_it_was(params_path, target):
        dvc("add", str(path.resolve()), "--out", str(target))
        document = read_yaml(params_path)
        entry = {"path": f"data/raw/{name}", "reader": reader, "dpi": in_one_line(value), "pattern": pattern}
        # In front: what follows the last entry is the comment of the next section.
        document["datasets"].insert(0, name, entry)
        if recipe:
            document["recipes"][recipe]["data"][side].append(name)
        write_yaml(document, params_path)
        load(params_path)
    print(f"{name}: {summary(found)}")
    print(f"under DVC as data/raw/{name}.dvc, in params.yaml at {_shown(value)} dpi")
    if reader == "folder" and not pattern:
        print("no --pattern: each picture counts as a finger of its own; where fingers have several, say so by --pattern,")
        print("or impressions of one finger fall on both sides of the split")
    print("next: git add data/raw params.yaml, then dvc repro (and dvc push, where others share a remote)")


def extend(name: str, path: Path, settled: float = 0) -> int:
    """Copy the pictures of PATH that a dataset does not have yet into its folder, and tell DVC; how many those were. settled:
    seconds for which a file must not have been written to; others are left for the next time.

    They are checked by the dataset's reader first. On any failure everything is as it was."""
    params = load(root() / "params.yaml")
    if name not in params.datasets:
        raise FpmlError(f"no dataset '{name}' in params.yaml; datasets has: {', '.join(params.datasets)}")
    dataset = params.datasets[name]
    target = root() / dataset.path
    if not target.with_name(f"{target.name}.dvc").exists():
        raise FpmlError(f"{dataset.path} is not under DVC by itself; `fpml data add` puts a folder there")
    if path.resolve() == target.resolve() or not path.is_dir():
        raise FpmlError(f"{path} is {'the dataset itself' if path.is_dir() else 'no folder'}; give a folder of new pictures")
    if not target.is_dir():
        raise FpmlError(f"{dataset.path} is missing; get it first: dvc pull {dataset.path}.dvc")
    new, young = [], 0
    known = {normal(str(file)): file for file in find_files(target, may_be_empty=True)}
    for relative in find_files(path, may_be_empty=True):  # an empty folder has nothing new, which is no error
        if known.get(normal(str(relative)), relative) != relative:
            raise FpmlError(f"{relative} is in {target} in another Unicode form (NFC, NFD); rename it as it is called there")
        if not (target / relative).exists():
            if time.time() - (path / relative).stat().st_mtime >= settled:
                new.append(relative)
            else:
                young += 1
        elif (target / relative).read_bytes() != (path / relative).read_bytes():
            raise FpmlError(f"{relative} is another picture than {target / relative}; give it another name")
    if young:
        print(f"{name}: {young} files are left for the next time: written to less than {settled:g} s ago")
    if not new:
        dvc("add", str(target))  # a run before may have been killed when it had copied
        return 0
    found = ingest(name, replace(dataset, path=str(path.resolve())), params.ingest, root())
    copied: list[Path] = []
    try:
        for relative in new:
            with new_file(target / relative) as temporary:
                shutil.copyfile(path / relative, temporary)
            copied.append(target / relative)
        dvc("add", str(target))
    except BaseException:
        for file in copied:
            file.unlink(missing_ok=True)
        raise
    print(f"{name}: {len(new)} new files ({summary(found)})")
    return len(new)


def _check_name(name: str, params: Params) -> None:
    if not re.fullmatch(NAME, name):
        raise FpmlError(f"'{name}' can't be a dataset's name; allowed: small letters, digits and hyphens")
    if name in params.datasets:
        raise FpmlError(f"params.yaml has a dataset '{name}' already; choose another name, or remove that one first")
    for taken in (root() / "data" / "raw" / name, root() / "data" / "raw" / f"{name}.dvc"):
        if taken.exists():
            raise FpmlError(f"{taken} exists already; choose another name, or remove it first")


def _parse_use(use: str | None, params: Params) -> tuple[str | None, str]:
    if use is None:
        return None, ""
    recipe, _, side = use.partition(":")
    if side not in ("train", "test"):
        raise FpmlError(f"--use is '{use}'; allowed: RECIPE:train or RECIPE:test")
    params.recipe(recipe)
    return recipe, side


def _dpi(name: str, path: Path, reader: str, pattern: str, dpi: float | None) -> float | dict[str, float]:
    if dpi is not None:
        if not 50 <= dpi <= 5000:
            raise FpmlError(f"--dpi is {dpi:g}; allowed: 50 to 5000")
        return int(dpi) if dpi == int(dpi) else dpi
    sensors = set()
    foreign = ""
    for relative in find_files(path):
        if relative.suffix.lower() in PICTURES:
            try:
                sensors.add(str(describe(reader, relative, pattern).get("sensor", name)))
            except BadPicture as error:
                foreign = foreign or f"{relative}: {error}"  # ingest counts it, with its reason
    known: dict[str, float] = reader_named(reader).default_dpi(str(path), sorted(sensors), name)
    if not known and not sensors and foreign:
        raise FpmlError(f"no picture in {path} is named as --reader {reader} expects; {foreign}")
    if not known:
        named = ", ".join(sorted(sensors)) or "one"
        raise FpmlError(
            f"the dpi of {path} is not known (sensors: {named}); "
            "give --dpi N (most live scanners: 500; look in the data's description)"
        )
    return known


def _shown(dpi: float | dict[str, float]) -> str:
    return ", ".join(f"{s} {d:g}" for s, d in dpi.items()) if isinstance(dpi, dict) else f"{dpi:g}"


@contextmanager
def _as_it_was(params_path: Path, target: Path) -> Iterator[None]:
    """Undo everything inside if it fails, also when it is interrupted."""
    ignore, pointer = target.parent / ".gitignore", target.with_name(f"{target.name}.dvc")
    before = {p: p.read_bytes() if p.exists() else None for p in (params_path, ignore)}
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        pointer.unlink(missing_ok=True)
        for path, content in before.items():
            if content is not None:
                path.write_bytes(content)
            else:
                path.unlink(missing_ok=True)
        raise


def listing(params: Params) -> str:
    """The datasets as a table: where, how read, how many prints, and which recipes use them."""
    import pandas as pd

    rows = []
    for name, dataset in params.datasets.items():
        path = root() / "data" / "manifest" / f"{name}.parquet"
        frame = manifest.read(path) if path.exists() else None
        ok = None if frame is None else frame[frame["status"] == manifest.OK]
        uses = [
            f"{r}:{side}"
            for r, recipe in params.recipes.items()
            for side in ("train", "test")
            if any(entry.split("/")[0] == name for entry in getattr(recipe.data, side))
        ]
        rows.append({
            "name": name, "path": dataset.path, "reader": dataset.reader, "dpi": _shown(dataset.dpi),
            "prints": "not ingested" if ok is None else len(ok), "fingers": "" if ok is None else ok["finger_id"].nunique(),
            "used by": " ".join(uses) or "–",
        })  # fmt: skip
    return pd.DataFrame(rows).to_string(index=False)
