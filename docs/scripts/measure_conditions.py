"""How hard the generator's conditions are for NIST's matcher; writes docs/generator/conditions.json.

    python docs/scripts/measure_conditions.py libafis_lfs.so

The library: see nbis.py. EER over all genuine pairs and PAIRS pairs of different fingers.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from nbis import Nbis

from fpml.metrics.verification import eer
from fpml.synth.generate import generate

CONDITIONS = ("fvc", "hard", "distorted")
SENSORS = ("fvc2002-db1", "fvc2002-db2", "fvc2002-db3", "fvc2002-db4")
FINGERS, IMPRESSIONS, SEED, PAIRS = 40, 8, 2006, 4000


def main() -> None:
    nbis = Nbis(Path(sys.argv[1]))
    table: dict[str, dict[str, float]] = {}
    for condition in CONDITIONS:
        for sensor in SENSORS:
            prints = generate(FINGERS, IMPRESSIONS, sensor, SEED, condition, device="cpu")
            found = [nbis.extract(picture, prints.sensor.dpi) for picture in prints.pictures]
            fingers = np.array([finger.number for finger in prints.fingers])
            pairs = np.array(list(combinations(range(len(found)), 2)))
            same = fingers[pairs[:, 0]] == fingers[pairs[:, 1]]
            others = np.random.default_rng(1).choice(np.flatnonzero(~same), PAIRS, replace=False)
            chosen = np.concatenate([np.flatnonzero(same), others])
            scores = np.array([nbis.match(found[a], found[b]) for a, b in pairs[chosen]], float)
            table.setdefault(condition, {})[sensor] = round(100 * eer(scores, same[chosen]), 2)
        print(condition, table[condition], flush=True)
    made = {"fingers": FINGERS, "impressions": IMPRESSIONS, "impostor pairs": PAIRS, "EER, %": table}
    path = Path(__file__).parents[1] / "generator" / "conditions.json"
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
