"""How time and memory of the stages, with one epoch of training, grow with the number of prints.

    python docs/scripts/scale.py 1000 10000 100000

Made prints of 96 x 96 pixels, 32 x 32 at 160 dpi when prepared: what is measured is the number of files, not their size.
Every stage is a process of its own; memory is the largest resident set of it or any of its workers."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
FINGER = 10  # prints of each


def make(folder: Path, count: int) -> None:
    """Rings with noise, one a file: different pixels in each."""
    y, x = np.mgrid[:96, :96]
    for number in range(count):
        rng = np.random.default_rng(number)
        if number % FINGER == 0:
            rings = 125 + 110 * np.cos(
                2 * np.pi * np.hypot(y - rng.uniform(30, 66), x - rng.uniform(30, 66)) / rng.uniform(8, 10)
            )
        place = folder / f"{number // FINGER // 100:05d}"
        if number % (100 * FINGER) == 0:
            place.mkdir(parents=True)
        grey = (rings + rng.normal(0, 8, rings.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(grey).save(place / f"f{number // FINGER}_{number % FINGER}.bmp")


def stage(*command: str, cwd: Path) -> tuple[float, float]:
    """Seconds, and MiB of the largest process."""
    start = time.perf_counter()
    script = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); " \
             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"  # fmt: skip
    run = [sys.executable, "-c", script, sys.executable, "-m", "fpml.cli", *command]
    done = subprocess.run(run, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def main(counts: list[int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print(f"{os.cpu_count()} cores\n\n| prints | stage | seconds | ms a print | MiB, largest process |\n|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as temporary:
            project = Path(temporary)
            make(project / "raw", count)
            params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
            pattern = r"(?P<finger>f\d+)_(?P<impression>\d)\.bmp"
            params["datasets"] = {"many": {"path": "raw", "reader": "folder", "dpi": 500, "pattern": pattern}}
            params["run"] = {"reconstruct": params["run"]["reconstruct"]}
            for recipe in params["recipes"].values():
                recipe["data"] |= {"train": ["many"], "test": []}
            small = params["recipes"]["reconstruct"]
            small["data"] |= {"height": 32, "width": 32, "dpi": 160, "crop": "none"}
            small["model"]["widths"] = [8, 8, 8]
            small["train"] |= {"epochs": 1, "batch_size": 64}
            params["tracking"]["uri"] = "http://127.0.0.1:9"  # the tracking store is no part of this
            (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
            stages = [(name, "reconstruct") for name in ("prepare", "split", "train", "evaluate")]
            for command in (("ingest", "many"), *stages, ("report",)):
                seconds, memory = stage(*command, cwd=project)
                print(f"| {count:,} | {command[0]} | {seconds:.1f} | {1000 * seconds / count:.2f} | {memory:.0f} |", flush=True)
            shutil.rmtree(project / "raw")


if __name__ == "__main__":
    main([int(a.replace(",", "").replace("_", "")) for a in sys.argv[1:]] or [1000, 10_000])
