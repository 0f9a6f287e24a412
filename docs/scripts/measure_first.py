"""What whole prints' embeddings know of real prints, as they come: the shipped first weights', and the one that minutiae-1
makes of the skin round all minutiae (fpml.matching.whole). Writes docs/recognise/measured.json.

    python docs/scripts/measure_first.py FVC2002 CrossMatch

FVC2002: a folder with DB1_B … DB4_B and DB3_A. No picture of a real print is written, only numbers. Beside
them generated fingers and their twins, whose ridges flow alike and are others."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

import fpml
from fpml.base.shipped import as_shipped, card_of
from fpml.data.pictures import read_grey
from fpml.data.placing import whole_print
from fpml.inference.minutiae import look
from fpml.matching.whole import whole
from fpml.metrics.verification import all_pairs, eer
from fpml.metrics.verified import verified
from fpml.models.aligned import DPI, HEIGHT, WIDTH, build
from fpml.settings.recipe import Data
from fpml.synth.field import draw_finger
from fpml.synth.generate import prints_of
from fpml.synth.sensors import random_sensor
from fpml.training.first_weights import FIRST

OUT = Path(__file__).parents[1] / "recognise" / "measured.json"
CANVAS = Data(train=["real"], test=[], height=HEIGHT, width=WIDTH, dpi=DPI, crop="print")
SETS = {"DB1_B": 500, "DB2_B": 569, "DB3_B": 500, "DB4_B": 500, "DB3_A": 500, "CrossMatch": 500}  # dpi
RESAMPLES = 1000
FINGERS, SEED = 40, 991  # generated, each with a twin, once on each of four random sensors
Prints = list[tuple[np.ndarray, float]]  # grey (H, W) uint8, and its dpi


def main() -> None:
    fvc, crossmatch = (Path(a) for a in sys.argv[1:3])
    skin = fpml.load("minutiae-1")
    ways: dict[str, Callable[[Prints], np.ndarray]] = {
        FIRST.name: _first(),
        f"skin of {skin.name}": lambda prints: np.stack([whole(look(skin, *print_).template) for print_ in prints]),
    }
    said: dict[str, Any] = {"weights": {FIRST.name: card_of(FIRST)["sha256"], skin.name: skin.sha256}}
    made = _with_twins()
    for way, embedded in ways.items():
        said[way] = {"generated": _twins(embedded, *made)}
        for name, dpi in SETS.items():
            files = sorted((crossmatch if name == "CrossMatch" else fvc / name).glob("*.tif"))
            vectors = embedded([(read_grey(file, 10**8), dpi) for file in files])
            fingers, impressions = (np.array(part) for part in zip(*(f.stem.rsplit("_", 1) for f in files), strict=True))
            rows = verified(vectors @ vectors.T, fingers, impressions.astype(int), name, way, RESAMPLES).rows
            found = {row.metric: (row.value, row.low, row.high) for row in rows if row.metric in ("eer", "eer_all", "rank1")}
            said[way][name] = {"prints": len(files), **{m: [round(float(v), 3) for v in values] for m, values in found.items()}}
            print(way, name, said[way][name], flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _first() -> Callable[[Prints], np.ndarray]:
    settings: Any = SimpleNamespace(width=card_of(FIRST)["width"])
    network = build(settings, HEIGHT, WIDTH, 2).eval()
    network.load_state_dict(load(as_shipped(FIRST / "weights.safetensors")), strict=False)

    @torch.inference_mode()
    def embedded(prints: Prints) -> np.ndarray:
        placed = np.stack([whole_print(*print_, CANVAS)[0] for print_ in prints])
        parts = torch.from_numpy(placed).split(64)  # type: ignore[no-untyped-call]
        return torch.cat([network(part[:, None].float() / 255)[1] for part in parts]).numpy()

    return embedded


def _with_twins() -> tuple[Prints, np.ndarray, np.ndarray]:
    """Prints of generated fingers and their twins; the finger of each, and by whose flow its ridges run."""
    prints: Prints = []
    fingers, flows = [], []
    for number in range(1, FINGERS + 1):
        for twin in range(2):
            finger = replace(draw_finger(SEED, number), number=number + 100_000 * twin)
            drawn = np.random.default_rng([number, twin]).integers(0, 2000, 4)
            for part in prints_of([finger], 1, [random_sensor(int(n)) for n in drawn], "any", torch.device("cpu")):
                prints.append((part.pictures[0], part.sensor.dpi * part.sensor.magnification))
                fingers.append(finger.number)
                flows.append(number)
    return prints, np.array(fingers), np.array(flows)


def _twins(
    embedded: Callable[[Prints], np.ndarray], prints: Prints, fingers: np.ndarray, flows: np.ndarray
) -> dict[str, float]:
    """EER in %: fingers told from others, and from their twins."""
    vectors, pairs = embedded(prints), all_pairs(fingers)
    scores = (vectors[pairs.a] * vectors[pairs.b]).sum(1)
    alike = flows[pairs.a] == flows[pairs.b]
    found = {}
    for name, rows in (("others", pairs.genuine | ~alike), ("twins", alike)):
        found[name] = round(100 * eer(scores[rows], pairs.genuine[rows]), 2)
    return found


if __name__ == "__main__":
    main()
