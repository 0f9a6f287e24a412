"""The files of a folder: one walk for every command that takes a folder of prints."""

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from fpml.base.errors import FpmlError

LITTER = {"__macosx", "@eadir", "$recycle.bin", "thumbs.db", "desktop.ini"}  # what systems leave beside files


def find_files(folder: Path, may_be_empty: bool = False) -> list[PurePosixPath]:
    """All files below a folder, relative and sorted; not truth/, not hidden ones, and no system's litter.

    FpmlError if there are none, and by name for what would be lost or confused later: links, which DVC follows or drops;
    pipes and the like; names that are not UTF-8; names that differ in their Unicode form alone."""
    check_name(folder)
    if not folder.is_dir():
        raise FpmlError(f"{folder} is not a folder; give the folder that holds the prints")
    truth = folder / "truth" if has_truth(folder) else None
    found, waiting = [], [folder]
    while waiting:
        with os.scandir(waiting.pop()) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            check_name(path)
            if entry.name.startswith(".") or entry.name.lower() in LITTER or path == truth:
                continue
            if entry.is_symlink():
                _check_link(path)
            if entry.is_dir():
                waiting.append(path)
            elif entry.is_file():
                found.append(PurePosixPath(path.relative_to(folder)))
            else:
                raise FpmlError(f"{path} is neither a file nor a folder; take it away")
    if not found and not may_be_empty:
        raise FpmlError(f"{folder} has no files; give the folder that holds the prints")
    one_form: dict[str, PurePosixPath] = {}
    for file in found:
        if not str(file).isascii() and (other := one_form.setdefault(normal(str(file)), file)) != file:
            raise FpmlError(f"{folder}: {other} and {file} are one name in two Unicode forms (NFC and NFD); rename one")
    return sorted(found)


def _check_link(path: Path) -> None:
    """FpmlError but for links into DVC's cache, which DVC makes where its cache.type is symlink."""
    target, there = os.readlink(path), path.exists()
    if not (there and re.search(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$", target)):
        missing = "" if there else ", which is missing"
        raise FpmlError(
            f"{path} is a link to {target}{missing}; links are not followed, and DVC drops linked folders: "
            "put the files themselves there, or take the link away"
        )


def check_name(path: Path) -> None:
    """FpmlError for a path that no manifest, table or line of text could name."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise FpmlError(f"{path.parent} has a name that is not UTF-8: {path.name!a}; rename it") from None


def normal(name: str) -> str:
    """A name in the one of Unicode's forms (NFC) by which names are compared."""
    return unicodedata.normalize("NFC", name)


def has_truth(folder: Path) -> bool:
    """Whether a folder came from the generator: its truth/ says what each print is."""
    return (folder / "truth" / "synth.json").is_file()
