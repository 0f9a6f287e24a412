"""Outputs that are whole or absent: written under a temporary name, then moved into place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _temporary(target: Path) -> Path:
    # Hidden, and matched by .gitignore and .dvcignore: what a killed process leaves changes no hash.
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".{target.name}.{os.getpid()}.part"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A fresh folder to write in, which becomes `target` (replacing it) if the block ends well."""
    temporary = _temporary(target)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            old = temporary.with_suffix(".old.part")
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
    temporary = _temporary(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def root() -> Path:
    """The project's root: DVC tells its stages; by hand, the nearest folder upwards with a params.yaml."""
    if "DVC_ROOT" in os.environ:
        return Path(os.environ["DVC_ROOT"])
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "params.yaml").exists()), here)


def state_folder() -> Path:
    """Where checkpoints and other state live that no stage outputs: $FPML_STATE, else .fpml in the root."""
    return Path(os.environ.get("FPML_STATE") or root() / ".fpml")
