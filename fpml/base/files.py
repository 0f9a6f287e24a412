"""Outputs that are whole or absent: written under a temporary name, then moved into place."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def _parts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


_parts_at_first = cache(_parts)  # a folder of many files is listed once by a process, not once a file


def _temporary(target: Path, parts: Iterable[str]) -> Path:
    # Hidden, and matched by .gitignore and .dvcignore: what a killed process leaves changes no hash,
    # and goes with the next attempt.
    for name in parts:
        whose, _, process = name.removesuffix(".part").removesuffix(".old").rpartition(".")
        dead = process.isdigit() and not Path(f"/proc/{process}").exists() and Path("/proc/self").exists()
        if dead and whose == f".{target.name}":
            left = target.with_name(name)
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return target.with_name(f".{target.name}.{os.getpid()}.part")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A fresh folder to write in, which becomes `target` (replacing it) if the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target, _parts(target.parent))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            old = temporary.with_name(f"{temporary.name.removesuffix('.part')}.old.part")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` (replacing it) if the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target, _parts_at_first(target.parent))
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def root() -> Path:
    """The workspace: the nearest folder upwards with a params.yaml. Settings, data and outputs lie below it."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "params.yaml").exists()), here)


def home() -> Path:
    """The repository that outlives the workspace: `dvc exp run --temp` works in a copy that it throws away, and
    names the repository in $DVC_ROOT. Runs and checkpoints are kept there."""
    return Path(os.environ["DVC_ROOT"]) if "DVC_ROOT" in os.environ else root()


def state_folder() -> Path:
    """Where checkpoints and other state live that no stage outputs: $FPML_STATE, else .fpml at home."""
    return Path(os.environ.get("FPML_STATE") or home() / ".fpml")
