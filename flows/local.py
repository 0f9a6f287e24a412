"""The graph on this machine alone, two stages at a time: `python -m flows.local`

What a stage spends on starting up, and on work for which it has one core, passes beside another stage. No server and no
retries: for those there is the flow. What is stale is DVC's business here too.
"""

import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from graphlib import TopologicalSorter
from pathlib import Path
from time import perf_counter

from flows.forked import begun, get_ready
from flows.stages import ROOT, Children, StageFailed, run_stage, stale, started
from fpml.base.environment import heed_signals, make_ready

AT_A_TIME = 2
FEW = 8  # stages, for which importing once what all of them need is not worth it
LIMIT = 7 * 24 * 3600.0  # seconds: a stage that takes longer hangs
OF_DVC = re.compile(r"^(Running stage |> |(Updating|Generating) lock file )")  # which say what is said here


def run_graph(folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Run what is stale in a folder's graph: 'ran' or 'cached' for each of these stages. A GPU has one training at a time.

    Raises StageFailed when a stage fails and what runs beside it has ended; none is started after that."""
    waiting, gpu = stale(folder), shutil.which("nvidia-smi") is not None
    forks = len(waiting) > FEW and sys.platform == "linux" and not gpu  # macOS's libraries and CUDA bear no forks
    order, children, done = TopologicalSorter(waiting), Children(begun if forks else started), {}
    if forks:
        get_ready()
    order.prepare()
    gpu_turn = threading.Lock() if gpu else nullcontext()
    ready: list[str] = []
    running: dict[Future[str], str] = {}
    failed: dict[str, str] = {}
    pool = ThreadPoolExecutor(AT_A_TIME)

    def one(stage: str) -> str:
        def heard(line: str) -> None:
            if not OF_DVC.search(line):
                say(f"{stage:<29} {line}")

        with gpu_turn if stage.startswith("train@") else nullcontext():
            start = perf_counter()
            what = run_stage(stage, children, heard, LIMIT, folder)
        say(f"{stage:<29} {what} in {perf_counter() - start:.0f} s")
        return what

    try:
        while True:
            ready += order.get_ready()
            while ready and len(running) < AT_A_TIME and not failed:
                stage = ready.pop(0)
                running[pool.submit(one, stage)] = stage
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                try:
                    done[stage] = future.result()
                    order.done(stage)
                except StageFailed as error:
                    failed[stage] = str(error)
                    say(f"{stage:<29} failed" + "".join(f"; {other} still runs" for other in running.values()))
    finally:
        children.end_all()
        pool.shutdown()
    if failed:
        raise StageFailed("; ".join(failed.values()) + f"\nto see it alone: dvc repro {next(iter(failed))}")
    return done


def main(arguments: list[str]) -> int:
    """Over a folder (the project's, where none is given); 0, 1 where a stage failed, 130 interrupted."""
    heed_signals()
    make_ready()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a terminal that closes ends the stages too
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // AT_A_TIME)))
    os.environ["PYTHONUTF8"] = "1"  # for forks, which can't be told so later, as for processes (flows/stages.py)
    try:
        done = run_graph(Path(arguments[0]) if arguments else ROOT, lambda line: print(f"{line}\n", end="", flush=True))
    except StageFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on", file=sys.stderr)
        return 130
    if not done:
        print("every stage is cached: nothing has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
