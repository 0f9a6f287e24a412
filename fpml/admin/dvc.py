"""DVC's commands, as a child process: in this one they would leave their own logging and locks behind."""

import subprocess
import sys

from fpml.base.errors import FpmlError
from fpml.base.files import root


def dvc(*arguments: str) -> None:
    """FpmlError with DVC's last words where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root(), capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise FpmlError(f"dvc {arguments[0]} failed: {' '.join((done.stderr or done.stdout).split())[-300:]}")
