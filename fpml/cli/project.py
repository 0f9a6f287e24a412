"""The project that a command works on."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from fpml.base.errors import FpmlError

if TYPE_CHECKING:
    from fpml.project.params import Params


def load_params() -> "Params":
    from fpml.base.files import root
    from fpml.project.params import load

    return load(root() / "params.yaml")


def params_of(name: str) -> "Params":
    """params.yaml, checked to have a run of this name."""
    params = load_params()
    if name not in params.run:
        raise FpmlError(f"no run '{name}' in params.yaml; run has: {', '.join(params.run)}")
    return params


def named(what: str, nargs: str | None = None) -> Callable[[argparse.ArgumentParser], None]:
    def add(p: argparse.ArgumentParser) -> None:
        p.add_argument(what, nargs=nargs) if nargs else p.add_argument(what)

    return add


def nothing(p: argparse.ArgumentParser) -> None:
    pass
