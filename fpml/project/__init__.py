"""A project as a whole: all of params.yaml with the checks between its keys, presets, and what names a run."""

from pathlib import Path

PRESETS = Path(__file__).parent / "presets"  # NAME.yaml each
