"""The graph on this machine alone, two stages at a time: `python -m flows.local`

What a stage spends on starting up, and on work for which it has one core, passes beside another stage. No server, no
retries, no time limits: for those there is the flow. What is stale is DVC's business here too.
"""

import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from time import perf_counter

from flows.stages import ROOT, Children, StageFailed, run_stage, stale
from fpml.base.environment import heed_signals

AT_A_TIME = 2
LIMIT = 7 * 24 * 3600.0  # seconds: a stage that hangs for longer is ended
OF_DVC = re.compile(r"^(Running stage |> |(Updating|Generating) lock file )")  # which say what is said here


def run_graph(folder: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Run what is stale in a folder's graph: 'ran' or 'cached' for each of these stages, in the order in which they ended.

    Raises StageFailed for the first that fails, when what ran beside it has ended."""
    order, children, done = TopologicalSorter(stale(folder)), Children(), {}
    order.prepare()
    running: dict[Future[str], str] = {}
    pool = ThreadPoolExecutor(AT_A_TIME)

    def one(stage: str) -> str:
        start = perf_counter()

        def heard(line: str) -> None:
            if not OF_DVC.search(line):
                say(f"{stage:<29} {line}")

        what = run_stage(stage, children, heard, LIMIT, folder)
        say(f"{stage:<29} {what} in {perf_counter() - start:.0f} s")
        return what

    try:
        while order.is_active():
            for stage in order.get_ready():
                running[pool.submit(one, stage)] = stage
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                done[stage] = future.result()
                order.done(stage)
    except KeyboardInterrupt:
        children.end_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def main(arguments: list[str]) -> int:
    """Over a folder (the project's, where none is given); 0, 1 where a stage failed, 130 interrupted."""
    heed_signals()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // AT_A_TIME)))
    try:
        done = run_graph(Path(arguments[0]) if arguments else ROOT, lambda line: print(line, flush=True))
    except StageFailed as error:
        print(f"{error}\nto see it alone, one stage at a time: dvc repro", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on", file=sys.stderr)
        return 130
    if not done:
        print("every stage is cached: nothing has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
