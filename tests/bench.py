"""make bench: each speed as a ratio to the plainest way, both measured in one run, in turns.

python -m tests.bench
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import nn

from fpml.config import Dataset, Ingest, Model, Runtime, Train
from fpml.data.ingest import ingest
from fpml.data.store import Prepared
from fpml.models.autoencoder import build
from fpml.train.batches import Batches
from fpml.train.reconstruct import train
from fpml.train.stage import _accelerator
from tests.conftest import make_print

ROUNDS = 3
PRINTS, SIDE, BATCH = 48, 224, 16


def compare(what: str, unit: str, count: int, ours: Callable[[], None], plain: Callable[[], None]) -> None:
    """Time both in turns, after one round that does not count."""
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for counted in (False, *[True] * ROUNDS):
        for name, function in (("ours", ours), ("plain", plain)):
            start = time.perf_counter()
            function()
            if counted:
                times[name].append(time.perf_counter() - start)
    fast, slow = (count / median(times[n]) for n in ("ours", "plain"))
    print(f"{what:28} {fast:8.1f} {unit}/s, plain {slow:8.1f}, ratio {fast / slow:.2f}", flush=True)


class NoCheckpoints:
    folder = Path()

    def restore(self, *arguments: object) -> list[dict[str, float]]:
        return []

    def save(self, *arguments: object) -> None:
        pass


def plain_network() -> nn.Sequential:
    """The published network as one writes it down."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(128, 64, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(64, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def bench_training() -> None:
    images = np.stack([make_print(n, SIDE, SIDE) for n in range(PRINTS)])
    prints = Prepared([images], [images], None, {"rows_per_shard": PRINTS})  # type: ignore[arg-type]
    settings = Train(seed=1, epochs=1, batch_size=BATCH, optimizer="rmsprop", learning_rate=1e-3)
    accelerator = _accelerator(Runtime(workers=0, device="auto", precision="auto", processes=1))
    rows = np.arange(PRINTS)

    def ours() -> None:
        network = build(Model(widths=[32, 64, 128]), SIDE, SIDE)
        training, validation = Batches(prints, rows, BATCH, accelerator), Batches(prints, rows[:1], BATCH, accelerator)
        train(network, training, validation, settings, accelerator, NoCheckpoints(), lambda row: None, lambda: None)  # type: ignore[arg-type]

    def plain() -> None:
        network = plain_network().to(accelerator.device)
        optimizer = torch.optim.RMSprop(network.parameters(), 1e-3)
        for start in range(0, PRINTS, BATCH):
            batch = torch.stack([torch.from_numpy(images[i]).float()[None] / 255 for i in range(start, start + BATCH)])
            batch = batch.to(accelerator.device)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(network(batch), batch).backward()
            optimizer.step()

    compare(f"training, {SIDE} x {SIDE}, batch {BATCH}", "prints", PRINTS, ours, plain)


def bench_ingest() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = 4500
        for n in range(count):
            Image.fromarray(make_print(n % 50, 97, 90, 4)).save(folder / f"{n}_1.bmp")

        def ours() -> None:
            ingest("bench", Dataset(name, "fvc", 500.0, ""), Ingest(max_pixels=10**6, max_quarantined=0), folder)

        def plain() -> None:
            for path in folder.iterdir():
                np.asarray(Image.open(path).convert("L"))

        compare("ingest, 97 x 90, with hashes", "files", count, ours, plain)


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; medians of {ROUNDS} rounds")
    bench_training()
    bench_ingest()
