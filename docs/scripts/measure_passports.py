"""What rules for passports give: recall and spurious minutiae of the prints that stay, how many are drawn anew, and whether the
least alike prints of one finger are more alike than the most alike ones of two; writes docs/generator/passports.json.

    python docs/scripts/measure_passports.py libafis_lfs.so

The library: see nbis.py. It matches beside fpml, which learnt from prints of this generator.
"""

import json
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from nbis import Nbis

from fpml.inference.kept import template
from fpml.inference.passport import Examiner, rule
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.synth.field import draw_finger
from fpml.synth.generate import Prints, prints_of
from fpml.synth.sensors import sensor_named

SENSORS = ("fvc2002-db1", "fvc2002-db2", "fvc2002-db3", "fvc2002-db4")
RULES: dict[str, tuple[str, ...]] = {"none": (), "accepted": ("recall>=0.95", "spurious<=0.05")}
FINGERS, IMPRESSIONS, SEED, CONDITION = 30, 2, 2026, "normal"


def main() -> None:
    nbis = Nbis(Path(sys.argv[1]))
    rows = []
    fingers = [draw_finger(SEED, number, None) for number in range(1, FINGERS + 1)]
    for name in SENSORS:
        for rules, texts in RULES.items():
            examine = Examiner(tuple(rule(text) for text in texts))
            parts = list(prints_of(fingers, IMPRESSIONS, [sensor_named(name)], CONDITION, torch.device("cpu"), examine))
            rows.append({"sensor": name, "rules": rules, **measured(parts, nbis)})
            print(rows[-1], flush=True)
    made = {"fingers": FINGERS, "impressions": IMPRESSIONS, "condition": CONDITION, "rules": RULES, "rows": rows}
    path = Path(__file__).parents[1] / "generator" / "passports.json"
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def measured(parts: list[Prints], nbis: Nbis) -> dict[str, Any]:
    passports = pd.DataFrame([passport for part in parts for passport in part.passports])
    stayed = passports["accepted"].to_numpy()
    pictures = [picture for part, stays in zip(parts, stayed, strict=True) for picture in part.pictures if stays]
    owners = np.array([part.fingers[0].number for part, stays in zip(parts, stayed, strict=True) if stays])
    dpi = parts[0].sensor.dpi
    both = {
        "fpml": ([cylinders(template(picture, dpi)) for picture in pictures], lambda a, b: match(a, b).score),
        "NBIS": ([nbis.extract(picture, dpi) for picture in pictures], nbis.match),
    }
    found: dict[str, Any] = {
        "prints": int(stayed.sum()), "not accepted": int((~stayed).sum()), "drawn anew": int((passports["drawn"] > 1).sum()),
        "recall": round(float(passports["recall"][stayed].mean()), 3),
        "spurious": round(float(passports["spurious"][stayed].mean()), 3),
    }  # fmt: skip
    pairs = list(combinations(range(len(pictures)), 2))
    same = np.array([owners[a] == owners[b] for a, b in pairs])
    for matcher, (templates, score) in both.items():
        scores = np.array([score(templates[a], templates[b]) for a, b in pairs], float)
        low, high = scores[same].min(), scores[~same].max()
        found[matcher] = {"mated minimum": round(float(low), 3), "non-mated maximum": round(float(high), 3)}
        found[matcher]["mated at or below it"] = round(float((scores[same] <= high).mean()), 3)
    return found


if __name__ == "__main__":
    main()
