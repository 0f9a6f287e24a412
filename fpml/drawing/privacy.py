"""Prints are biometric data: which figures may be seen outside the workspace."""

from typing import Any


def may_show(figure: dict[str, Any], log_images: str) -> bool:
    """Whether a figure may leave the workspace, by params.yaml's tracking.log_images."""
    return not figure["shows_prints"] or log_images == "all" or (log_images == "synthetic-only" and figure["synthetic"])
