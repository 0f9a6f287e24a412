"""A stage as a fork of a process that has imported what stages need: each of them would import it anew, for some ten seconds.

In the fork runs what `python -m dvc` runs; and where DVC would start a command of fpml's, the fork calls it. Until all is
imported, stages begin as processes.
"""

import atexit
import contextlib
import logging
import multiprocessing
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from flows.stages import ROOT, Child, started

OURS = re.compile(r"fpml( [\w.@-]+)+")  # a command of fpml's that needs no shell
FORKS = multiprocessing.get_context("forkserver")
READY = threading.Event()  # all is imported
SOURCES: dict[Path, int] = {}  # when each file of ours was changed last, as it was imported
TURN = threading.Lock()  # a start polls all children: while another thread joins one, both would read its exit code


def get_ready() -> None:
    """Have it imported, by a process of its own: nobody waits."""
    FORKS.set_forkserver_preload(["flows.imported"])  # not at import: forks import this too, and need no such server
    SOURCES.update(_sources())

    def first() -> None:
        nothing = FORKS.Process(target=int)
        with TURN, contextlib.suppress(EOFError, OSError):  # where that process ends, stages stay processes
            nothing.start()
            nothing.join()
            if nothing.exitcode == 0:
                READY.set()

    threading.Thread(target=first, daemon=True).start()


def begun(command: list[str], cwd: Path, environment: dict[str, str]) -> Child:
    """A fork where all is imported, and is what lies on the disk, which DVC takes for what ran."""
    return (Fork if READY.is_set() and _sources() == SOURCES else started)(command, cwd, environment)


def _sources() -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for folder in ("flows", "fpml") for file in (ROOT / folder).rglob("*.py")}


class Fork:
    """`python -m dvc ARGUMENTS` as flows.stages.started starts it: leader of a process group, its words in a pipe."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
        ours, theirs = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_run_dvc, args=(command[3:], cwd, environment, theirs))
        with TURN:
            self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        with ours:
            os.read(ours.fileno(), 1)  # until its group is its own, it can't be ended with what it starts
            self.stdout = os.fdopen(os.dup(ours.fileno()), encoding="utf-8", errors="replace")

    def wait(self) -> int:
        wait([self._process.sentinel])
        with TURN:
            self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _run_dvc(arguments: list[str], cwd: Path, environment: dict[str, str], out: Connection) -> None:
    os.setsid()
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number in (1, 2):
        os.dup2(out.fileno(), number)
    out.close()
    os.write(1, b"\n")
    sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, encoding="utf-8", errors="backslashreplace") for n in (1, 2))
    multiprocessing.set_start_method(None, force=True)  # a pool in here is made as in any process, not of another server
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["dvc", *arguments]
    from dvc.cli import main
    from dvc.logger import setup
    from dvc.stage import run

    for name in ("dvc", "dvc_objects", "dvc_data"):  # set up for the server's terminal: in colour
        logging.getLogger(name).handlers.clear()
    setup()
    run._run = called_or(run._run)
    try:
        code = main(arguments)
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends a child without them
    sys.exit(code)


def called_or(start: Callable[..., None]) -> Callable[..., None]:
    """What DVC starts a stage's command with (start: its own), but for commands of fpml's, which are called in this process."""

    def run(executable: str | None, command: str, **options: Any) -> None:
        if not OURS.fullmatch(command):
            start(executable, command, **options)
            return
        from dvc.stage.exceptions import StageCmdFailedError

        from fpml.cli.main import main

        os.environ.update(options["env"])
        called, sys.argv = sys.argv, shlex.split(command)
        code: Any
        try:
            with contextlib.chdir(options["cwd"]):
                code = main(sys.argv[1:])
        except SystemExit as ended:  # argparse's
            code = ended.code
        finally:
            sys.argv = called
        if code:
            raise StageCmdFailedError(command, code)

    return run
