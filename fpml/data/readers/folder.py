"""A plain folder of prints, with subfolders or none.

Without a pattern every picture is a finger of its own. With one, a regular expression that must match the
whole file name (or the whole path below the folder, if it has a /), its named groups fill columns of the
manifest. A finger of one name is one finger, also on several sensors.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture

GROUPS = ("subject", "sex", "hand", "finger", "impression", "session", "sensor", "pattern", "category")


def describe(relative: PurePosixPath, pattern: str) -> dict[str, object]:
    if not pattern:
        return {"finger": relative.with_suffix("").as_posix(), "impression": 1}
    what = relative.as_posix() if "/" in pattern else relative.name
    name = compiled(pattern).fullmatch(what)
    if name is None:
        raise BadPicture(f"'{what}' does not match the pattern {pattern}, which must match the whole of it")
    columns: dict[str, object] = {k: v for k, v in name.groupdict().items() if v is not None}
    for key in ("impression", "session"):
        if key in columns:
            if not str(columns[key]).isdigit():
                raise BadPicture(f"'{relative}': {key} is '{columns[key]}', not a number")
            columns[key] = int(str(columns[key]))
    return columns


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, checked. FpmlError where it is not a valid regular expression or names no finger."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise FpmlError(f"pattern '{pattern}' is not a valid regular expression: {error}") from None
    groups = set(expression.groupindex)
    if unknown := groups - set(GROUPS):
        raise FpmlError(f"pattern '{pattern}' has the groups {', '.join(sorted(unknown))}; allowed: {', '.join(GROUPS)}")
    if "finger" not in groups:
        raise FpmlError(f"pattern '{pattern}' has no group (?P<finger>…), which names the identity")
    return expression


def identity(columns: dict[str, object]) -> str:
    return "_".join(str(columns[k]) for k in ("subject", "hand", "finger") if k in columns)


def crop(grey: np.ndarray) -> np.ndarray:
    return grey


def conflict(rows: Iterable[dict[str, Any]]) -> str:
    """One finger's impression twice means that the pattern takes several people for one."""
    seen: dict[tuple[Any, ...], str] = {}
    for row in rows:
        if "impression" not in row:
            continue
        key = (row.get("sensor"), identity(row), row["impression"], row.get("session"))
        if key in seen:
            return f"{seen[key]} and {row['file']} are the same sensor, finger and impression by the pattern; name what differs"
        seen[key] = row["file"]
    return ""


def default_dpi(path: str, sensors: list[str], name: str = "") -> dict[str, float]:
    return {}
