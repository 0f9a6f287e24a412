"""The models that come with the package, each with a card that names its file's SHA-256."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fpml.base.errors import FpmlError

SHIPPED = Path(__file__).parent.parent / "shipped"


def shipped() -> dict[str, Path]:
    """The models that come with the package: folder by name; without its version a name means the newest."""
    found: dict[str, Path] = {}
    for folder in sorted((p.parent for p in SHIPPED.glob("*-*/config.json")), key=lambda f: int(f.name.rpartition("-")[2])):
        found[folder.name] = found[folder.name.rpartition("-")[0]] = folder
    return found


def card_of(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card


def as_shipped(path: Path) -> bytes:
    """A model's file. FpmlError where it is not the one that its card describes."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card_of(path.parent)["sha256"]:
        raise FpmlError(f"{path} is not the one that its card.json describes; install fpml anew")
    return content
