"""dvc.lock as plain data."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

TRIES, WAIT = 50, 0.1  # seconds between them, to read it whole


def locked(lock: Path, stages: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Its stages; none where it is not there. DVC writes it in place: while another stage ends it may be there in part, so it
    is read again until it holds these stages to their end, which is their outputs; or for some seconds.

    Raises YAMLError or UnicodeDecodeError where it stays torn."""
    for left in reversed(range(TRIES)):
        found: dict[str, dict[str, Any]] = {}
        try:
            content = YAML(typ="safe").load(lock.read_text(encoding="utf-8")) if lock.exists() else None
        except (YAMLError, UnicodeDecodeError):
            if not left:
                raise
        else:
            if isinstance(content, dict) and isinstance(content.get("stages"), dict):
                found = content["stages"]
            if all("outs" in (found.get(stage) or {}) for stage in stages):
                break
        time.sleep(WAIT)
    return found
