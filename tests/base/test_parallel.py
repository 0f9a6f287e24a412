import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fpml.base.errors import FpmlError
from fpml.base.parallel import in_parallel


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert in_parallel(square, list(range(100)), workers, "x", "y", chunk=7) == [n * n for n in range(100)]


def test_a_scheduler_beyond_this_machine_needs_tls() -> None:
    with pytest.raises(FpmlError, match="pickles, which run as code; beyond this machine use tls"):
        in_parallel(square, [1], "tcp://10.0.0.1:8786", "x", "y")


def test_workers_end_with_a_parent_that_is_asked_to_end(tmp_path: Path) -> None:
    code = (
        "import pathlib, os, time\n"
        "from fpml.base.environment import heed_signals\n"
        "from fpml.base.parallel import in_parallel\n"
        "def work(number):\n"
        "    pathlib.Path(str(os.getpid())).touch()\n"
        "    while number or len(os.listdir()) < 2: time.sleep(0.01)\n"  # one worker is at work then, and the other is not
        "heed_signals()\n"
        "in_parallel(work, [0, 1], 2, 'work', 'items', chunk=1)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(names := [int(p.name) for p in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < deadline
        assert parent.poll() is None
        time.sleep(0.02)
    workers = [psutil.Process(name) for name in names]
    parent.terminate()
    try:
        said = parent.communicate(timeout=30)[1]
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert "ForkProcess" not in said  # no worker has a word to say
        assert not psutil.wait_procs(workers, 10)[1]
    finally:
        parent.kill()
