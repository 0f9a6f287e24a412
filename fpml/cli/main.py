"""The fpml command: its groups of commands, and how a command ends. Each imports what it needs when it is called."""

import argparse
import errno
import os
import sys
from collections.abc import Mapping
from typing import Any

from fpml import tasks
from fpml.base.environment import heed_signals, make_ready
from fpml.base.errors import FpmlError, not_installed
from fpml.cli import data, fingers, models, settings, stages, tryout
from fpml.tasks.command import Command

UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
Commands = dict[str, Command | tuple[str, dict[str, Command]]]  # a command, or a group with commands of its own
DATA: Commands = {"data": ("datasets: add your own, get public ones, list them", data.COMMANDS)}
OF_TASKS = [tasks.commands(task) for task in tasks.names()]
BEFORE_TASKS = (stages.COMMANDS, DATA, fingers.COMMANDS, tryout.COMMANDS)
GROUPS: tuple[Mapping[str, Any], ...] = (*BEFORE_TASKS, *OF_TASKS, models.COMMANDS, settings.COMMANDS)
COMMANDS: Commands = {name: command for group in GROUPS for name, command in group.items()}
if len(COMMANDS) < sum(map(len, GROUPS)):
    raise ValueError("two of fpml's commands have one name")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="fpml",
        description="Fingerprint images to registered models. Models on your own pictures run in any folder, all else in the "
        "project's.",
    )
    top.add_argument("--completion", choices=["bash", "zsh", "tcsh"], help="print a completion script for this shell")
    _add_commands(top, COMMANDS)
    return top


def _add_commands(parent: argparse.ArgumentParser, commands: dict) -> None:  # type: ignore[type-arg]
    below = parent.add_subparsers(title="commands", metavar="COMMAND")
    for name, (text, *rest) in commands.items():
        p = below.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if isinstance(rest[0], dict):
            _add_commands(p, rest[0])
            p.set_defaults(function=None, parser=p)
        else:
            p.add_argument("--debug", action="store_true", help="show the traceback of an error")
            rest[1](p)
            p.set_defaults(function=rest[0])


def main(given: list[str] | None = None) -> int:
    """Run one command. 0 done, 1 the answer is no (verify, drift, doctor), 2 bad input or state (one line on stderr),
    130 interrupted, UNEXPECTED anything else."""
    heed_signals()
    make_ready()
    top = parser()
    a = top.parse_args(given)
    if a.completion:
        import shtab

        print(shtab.complete(top, a.completion))
        return 0
    if getattr(a, "function", None) is None:
        getattr(a, "parser", top).print_help()
        return 0
    try:
        a.function(a)
    except KeyboardInterrupt as interrupt:
        left = str(interrupt) or "nothing half-written was left, run it again to go on"
        print(f"\nfpml: interrupted; {left}", file=sys.stderr)
        return 130
    except (FpmlError, OSError) as error:
        if a.debug:
            raise
        back = "; what this stage had made comes back from DVC's cache once that is mended" if "DVC_STAGE" in os.environ else ""
        print(f"fpml: {_message(error)}{back}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if a.debug or (error.name or "").startswith("fpml"):
            raise
        print(f"fpml: {not_installed(error.name)}", file=sys.stderr)
        return 2
    except Exception as error:
        if a.debug:
            raise
        print(f"fpml: {type(error).__name__}: {' '.join(str(error).split())[:500]} (--debug shows where)", file=sys.stderr)
        return UNEXPECTED
    return 0


def _message(error: FpmlError | OSError) -> str:
    if isinstance(error, FpmlError):
        return " ".join(str(error).split())
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and run it again, nothing half-written was left"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission{where}: {os.strerror(error.errno)}; allow it or choose another folder"
    return f"{error.strerror or error}{where}"
