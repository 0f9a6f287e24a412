"""DVC's graph, and one stage of it as a child process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from flows import WITHHELD
from fpml.admin.cache import mend
from fpml.admin.doctor import DVC_BUSY

ROOT = Path(__file__).parent.parent
# DVC's words, since nothing else of it tells: what dvc.repo.reproduce gives back holds a stage that ran and one that was
# restored from the run-cache alike.
CACHED = re.compile(r"didn't change, skipping|is cached - skipping run")
HINT = re.compile(
    r"^To (track the changes with git|enable auto staging)|^\s+(git add dvc\.lock|dvc config core\.autostage)|^Use `dvc push`"
)
RESTORED = re.compile(r"is cached - skipping run")
LOCK_TRIES, LOCK_WAIT = 60, 1.0  # DVC's lock is held for moments only
GRACE = 10.0  # seconds that a stage has to end by itself before it is killed


# What a second try may mend; everything else, bad input above all, would only fail again.
PASSING = {
    "network": re.compile(
        r"connection (refused|reset|aborted|error)|timed out|temporary failure in name resolution|name or service not known"
        r"|(can't|could not) be reached|network is unreachable"
        r"|max retries exceeded|could not connect|\b50[234]\b.*(error|gateway|unavailable)",
        re.IGNORECASE,
    ),
    "memory": re.compile(r"out of memory|OutOfMemoryError", re.IGNORECASE),
    "lock": DVC_BUSY,
}


class StageFailed(RuntimeError):
    """A stage ended with an error, or ran past its time limit. passing: what may pass by itself, '' where nothing may."""

    def __init__(self, message: str, passing: str = "") -> None:
        super().__init__(message)
        self.passing = passing


class Child(Protocol):
    """A process that leads a group of its own, so that what it starts is ended with it."""

    @property
    def pid(self) -> int: ...
    @property
    def stdout(self) -> IO[str] | None: ...
    def wait(self) -> int: ...


def started(command: list[str], cwd: Path, environment: dict[str, str]) -> Child:
    return subprocess.Popen(
        command, cwd=cwd, env=environment, encoding="utf-8", errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


class Children:
    """The processes of the stages that run now, so that all can be ended together. begin: how one comes to be."""

    def __init__(self, begin: Callable[[list[str], Path, dict[str, str]], Child] = started) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._running: set[Child] = set()
        self._closed = False
        self.out_of_memory: set[str] = set()  # the stages that get half the batch when they are tried again

    def start(self, command: list[str], cwd: Path, environment: dict[str, str]) -> Child:
        with self._lock:
            if self._closed:
                raise StageFailed("the flow is ending; no further stage is started")
            child = self._begin(command, cwd, environment)
            self._running.add(child)
            return child

    def done(self, child: Child) -> None:
        with self._lock:
            self._running.discard(child)

    def end_all(self) -> None:
        """End every running stage, and let no new one start."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        end_groups(running)


def end_groups(children: list[Child]) -> None:
    """Ask the children's whole process groups to end, all at once; kill what is left of them after GRACE."""
    groups = {child.pid for child in children}
    for number in (signal.SIGTERM, signal.SIGKILL):  # a SIGINT may be ignored, as what a shell runs in the background does
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        deadline = time.monotonic() + GRACE
        with contextlib.suppress(KeyboardInterrupt):  # a second one: no grace
            while _alive(groups) and time.monotonic() < deadline:
                time.sleep(0.05)


def _alive(groups: set[int]) -> bool:
    """Whether a process of the groups still runs. In a container nobody may collect the dead: they don't count."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) in groups and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Every stage of a project, by the name that `dvc repro` takes in its root, with the stages it waits for;
    upstream ones first."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return {name: upstream for name, (_, upstream) in _stages(repo, root).items()}


def stale(root: Path = ROOT) -> dict[str, set[str]]:
    """Of the same graph what changed, and all that comes after such a stage; with those of them that each waits for.

    Raises StageFailed with what DVC says where it can't tell."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for attempt in range(LOCK_TRIES):
        try:
            with Repo(str(root)) as repo, repo.lock:
                stages = _stages(repo, root)
                changed = {name for name, (stage, _) in stages.items() if stage.status()}
            break
        except DvcException as error:
            busy = DVC_BUSY.search(str(error)) is not None
            if not busy or attempt == LOCK_TRIES - 1:
                raise StageFailed(f"DVC: {error}", "lock" if busy else "") from error
            time.sleep(LOCK_WAIT)
    for name, (_, upstream) in stages.items():
        if upstream & changed:
            changed.add(name)
    return {name: upstream & changed for name, (_, upstream) in stages.items() if name in changed}


def _stages(repo: Any, root: Path) -> dict[str, tuple[Any, set[str]]]:
    """By name, upstream ones first: DVC's stage, and the names of those it waits for."""
    import networkx

    def name(stage: Any) -> str:
        file = os.path.relpath(stage.path, root)
        return str(stage.name) if file == "dvc.yaml" else f"{file}:{stage.name}"

    whole = repo.index.graph  # an edge leads from a stage to one that it needs
    ordered = [s for s in reversed(list(networkx.topological_sort(whole))) if getattr(s, "cmd", None)]
    return {name(s): (s, {name(n) for n in whole.successors(s) if getattr(n, "cmd", None)}) for s in ordered}


def run_stage(
    stage: str, children: Children, log: Callable[[str], None], limit: float, root: Path = ROOT, flow_run: str = ""
) -> str:
    """`dvc repro --single-item STAGE`, its lines logged as they come: 'ran' or 'cached'.

    Raises StageFailed with the stage's last words, or past `limit` seconds."""
    environment = {"FPML_FLOW_RUN": flow_run}
    if stage in children.out_of_memory:
        environment["FPML_HALVE_BATCH"] = "1"
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]

    def heard(line: str) -> None:
        if not HINT.search(line):
            log(line)

    for attempt in range(LOCK_TRIES):
        try:
            lines = run_command(stage, command, children, heard, limit, root, environment)
            if any(RESTORED.search(line) for line in lines) and (damaged := mend(root, stage)):
                for _, line in damaged:
                    log(f"{stage}: {line}")
                continue  # with what was restored gone, it runs
            return "cached" if any(CACHED.search(line) for line in lines) else "ran"
        except StageFailed as failed:
            if failed.passing == "memory":
                children.out_of_memory.add(stage)
            if failed.passing != "lock" or attempt == LOCK_TRIES - 1:
                raise
        log(f"{stage}: DVC's lock is busy; trying again in {LOCK_WAIT:g} s")
        time.sleep(LOCK_WAIT)
    raise StageFailed(f"{stage}: what DVC restores is damaged again and again; is the disk sound? fpml doctor --cache")


def run_command(
    what: str,
    command: list[str],
    children: Children,
    log: Callable[[str], None],
    limit: float,
    root: Path,
    environment: dict[str, str] | None = None,
) -> list[str]:
    """Run a command as a child, its lines logged as they come; its lines.

    Raises StageFailed with its last words, or past `limit` seconds, when it and all that it started are ended."""
    # Its lines are read as UTF-8 here, and DVC can't start commands that an ASCII locale has no letters for.
    python = {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    whole = {**os.environ, **WITHHELD, **python, **(environment or {})}
    whole["PATH"] = str(Path(sys.executable).parent) + os.pathsep + whole.get("PATH", "")
    lines, code, late = _follow(children.start(command, root, whole), children, log, limit)
    if late:
        raise StageFailed(f"{what} ran past its limit of {limit:g} s and was ended")
    if code == 0:
        return lines
    # The command's own word counts; where it has none, the last line.
    own = [line for line in lines if line.startswith(("fpml: ", "ERROR: ", "fatal: "))]
    first = [line for line in own if line.startswith("fpml: ")] or own
    said = first or [line for line in lines if line.strip()] or ["it said nothing"]
    heard = said[-1:] if said[-1].startswith("fpml: ") else lines[-20:]
    passing = next((kind for kind, words in PASSING.items() if any(words.search(line) for line in heard)), "")
    raise StageFailed(f"{what} failed (code {code}): {said[-1]}", passing)


def _follow(child: Child, children: Children, log: Callable[[str], None], limit: float) -> tuple[list[str], int, bool]:
    """Log the child's lines until it ends; (lines, exit code, whether it was ended for being late)."""
    late = threading.Event()

    def end_late() -> None:
        late.set()
        end_groups([child])

    timer = threading.Timer(limit, end_late)
    timer.daemon = True
    timer.start()
    lines: list[str] = []
    try:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                lines.append(line.rstrip())
                if line.strip():
                    log(line.rstrip())
        return lines, child.wait(), late.is_set()
    finally:
        timer.cancel()
        children.done(child)
