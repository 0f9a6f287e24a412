"""params.yaml as plain data."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from fpml.base.errors import FpmlError


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file, by YAML 1.2 and with DVC's own reader, so that 5e-05, no and 1:30 are to fpml what they
    are to DVC. FpmlError where it is missing or invalid."""
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run fpml in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise FpmlError(f"{path} is not valid YAML: {where}") from None
    if not isinstance(raw, dict):
        raise FpmlError(f"{path}: found {type(raw).__name__}, allowed: a mapping of settings")
    return raw
