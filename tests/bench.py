"""make bench: each speed as a ratio to the plainest way, both measured in one run, in turns.

python -m tests.bench
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import torch
from PIL import Image
from scipy import signal
from torch import nn

from fpml.data.ingest import ingest
from fpml.data.store import Prepared
from fpml.models import autoencoder
from fpml.settings.recipe import Model, Train
from fpml.settings.sections import Dataset, Ingest, Runtime
from fpml.stages.train import _accelerator
from fpml.synth.capture import draw_capture
from fpml.synth.field import HEIGHT, WIDTH, draw_finger, grid, orientation, period_map
from fpml.synth.generate import prints_of
from fpml.synth.impression import lay_creases, render
from fpml.synth.ridges import COARSE_STEPS, FINE_STEPS, grow_masters
from fpml.synth.sensors import SENSORS
from fpml.synth.write import Plan, write_prints
from fpml.training.batches import Batches
from fpml.training.pictures import train
from fpml.training.session import Session, Sets
from tests.conftest import REPOSITORY, make_print

ROUNDS = 3
PRINTS, SIDE, BATCH = 48, 224, 16
ENROLLED, MIXED = 100_000, 2_000  # prints of a gallery, and how many of them differ in their minutiae


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
    settings = Train(
        seed=1,
        epochs=1,
        batch_size=BATCH,
        optimizer="rmsprop",
        learning_rate=1e-3,
        schedule="constant",
        flips=False,
        loss="mse",
        start_from="",
    )
    accelerator = _accelerator(Runtime(engine="local", scheduler="", workers=0, device="auto", precision="auto", processes=1))
    rows = np.arange(PRINTS)

    def ours() -> None:
        network = autoencoder.build(Model(widths=[32, 64, 128]), SIDE, SIDE, 0)
        sets = Sets(Batches(prints, rows, BATCH, accelerator), Batches(prints, rows[:1], BATCH, accelerator))
        session = Session(accelerator, NoCheckpoints(), lambda row: None, lambda: None)  # type: ignore[arg-type]
        train(network, autoencoder, sets, settings, session)

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


def grow_plainly(seed: int) -> np.ndarray:
    """A master as one would write it down: a bank of Gabor filters over the whole picture, each pixel taking the answer
    of its own orientation and period, until ridges fill it."""
    finger = draw_finger(seed, 1)
    x, y = grid(HEIGHT, WIDTH, "cpu")
    theta, period = orientation([finger], x, y)[0].numpy() % np.pi, period_map([finger], x, y)[0].numpy()
    ridges = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH))
    angles, periods = np.linspace(0, np.pi, 16, endpoint=False), np.array([7.5, 9.0, 10.5])
    nearest = np.rint(theta / (np.pi / 16)).astype(int) % 16, np.abs(period[..., None] - periods).argmin(-1)
    v, u = np.mgrid[-12:13, -12:13]
    for _ in range(COARSE_STEPS + FINE_STEPS):
        answer = np.zeros_like(ridges)
        for a, angle in enumerate(angles):
            across = -u * np.sin(angle) - v * np.cos(angle)
            for p, wave in enumerate(periods):
                kernel = np.exp(-(u**2 + v**2) / (2 * (0.7 * wave) ** 2)) * np.cos(2 * np.pi * across / wave)
                filtered = signal.fftconvolve(ridges, kernel - kernel.mean(), mode="same")
                chosen = (nearest[0] == a) & (nearest[1] == p)
                answer[chosen] = filtered[chosen]
        ridges = np.tanh(answer / answer.std())
    return ridges


def bench_generator() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    count, seeds = 4, iter(range(1000))

    def masters() -> None:
        with torch.inference_mode():
            for number in range(count):
                grow_masters([draw_finger(next(seeds), number)])

    def plainly() -> None:
        grow_plainly(next(seeds))

    plain_seconds = timed(plainly)
    rate = count / min(timed(masters) for _ in range(ROUNDS + 1))
    print(
        f"{'masters, one core':28} {rate:8.1f} masters/s, plain {1 / plain_seconds:8.2f}, ratio {rate * plain_seconds:.1f}",
        flush=True,
    )

    whole = replace(SENSORS["fvc2002-db1"], height=HEIGHT, width=WIDTH)
    fingers = [draw_finger(1, n) for n in range(2)]

    def impressions(number: int) -> float:
        return timed(lambda: list(prints_of(fingers, number, [whole], "fvc", torch.device("cpu"))))

    impressions(1)
    spent = min(impressions(17) - impressions(1) for _ in range(ROUNDS)) / 32
    with torch.inference_mode():
        skin = lay_creases(grow_masters(fingers[:1]), fingers[:1])
        captures = [draw_capture(fingers[0], i, whole) for i in range(1, 17)]
        bare = min(timed(lambda: [render(skin, [capture], whole) for capture in captures]) for _ in range(ROUNDS)) / 16
    size = f"{HEIGHT} x {WIDTH}"
    print(f"{'impressions, one core':28} {1 / bare:8.1f} prints/s of {size}, with their truth {1 / spent:8.1f}", flush=True)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        plan = Plan(3, 80, 4, (SENSORS["fvc2002-db1"],), "synth")
        cores = os.cpu_count() or 1
        one = timed(lambda: write_prints(Path(name) / "one", plan, 1, "cpu"))
        all_of_them = timed(lambda: write_prints(Path(name) / "all", plan, cores, "cpu"))
        rate, together = 320 / one, 320 / all_of_them
        print(f"{'a folder of 320 prints':28} {together:8.1f} prints/s, one process {rate:8.1f}, ratio {together / rate:.2f}")


def bench_matching() -> None:
    """Templates and matches a second on one core, of generated prints; a search among ENROLLED of them, made many by turning
    halves of them against each other and by other codes for the same minutiae. Beside mindtct and bozorth3 where $FPML_NBIS
    names their library (docs/scripts/nbis.py)."""
    from fpml.base.shipped import SHIPPED
    from fpml.inference.minutiae import look
    from fpml.inference.model import Model as Opened
    from fpml.matching import search
    from fpml.matching.cylinders import cylinders
    from fpml.matching.match import match
    from fpml.settings.recipe import Data
    from fpml.synth.generate import generate

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SHIPPED / "minutiae-1" / "model.onnx", options)
    model = Opened("minutiae-1", session, Data(["-"], [], 512, 400, 500.0, "none"), {}, {}, "")
    prints = generate(8, 4, "fvc2002-db1", 9, "normal", device="cpu").pictures
    looks = [look(model, p, 500) for p in prints]
    codes = [cylinders(seen.template) for seen in looks]
    pairs = [(a, b) for a in codes for b in codes if a is not b]
    rates = {
        "templates": len(prints) / timed(lambda: [cylinders(look(model, p, 500).template) for p in prints]),
        "matches": len(pairs) / timed(lambda: [match(a, b) for a, b in pairs]),
    }
    sys.path.insert(0, str(REPOSITORY / "docs" / "scripts"))
    from measure_search import mixed

    beside = ""
    if library := os.environ.get("FPML_NBIS"):
        from nbis import Nbis

        nist = Nbis(Path(library))
        theirs = [nist.extract(p, 500) for p in prints]
        extracted = len(prints) / timed(lambda: [nist.extract(p, 500) for p in prints])
        matched = len(pairs) / timed(lambda: [nist.match(a, b) for a in theirs for b in theirs if a is not b])
        beside = f"; mindtct {extracted:.0f} templates/s, bozorth3 {matched:.0f} matches/s"
    said = f"{rates['templates']:8.1f} templates/s of 374 x 388, {rates['matches']:.0f} matches/s{beside}"
    print(f"{'matching, one core':28} {said}", flush=True)

    rng = np.random.default_rng(0)
    some = [mixed([seen.template for seen in looks], rng) for _ in range(MIXED)]
    every = [cylinders(template) for template in some]
    chosen = np.arange(ENROLLED) % MIXED
    noisy = [search.code(every[n]) ^ _few_bits(len(every[n]), rng) for n in chosen]  # as of so many different prints
    index = search.index_of([some[n] for n in chosen], noisy, [every[n].minutiae for n in chosen])
    spent = median(timed(partial(search.search, index, seen.template, 5)) for seen in looks[:8])
    print(f"{'search, two cores':28} {spent:8.3f} s for one print among {ENROLLED:,}", flush=True)


def _few_bits(count: int, rng: np.random.Generator) -> np.ndarray:
    """A quarter of the bits of `count` codes."""
    one, other = rng.integers(0, 2**64, (2, count, 4), dtype=np.uint64)
    return np.asarray(one & other)


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; each the median or the best of {ROUNDS} rounds")
    bench_training()
    bench_ingest()
    bench_generator()
    bench_matching()
