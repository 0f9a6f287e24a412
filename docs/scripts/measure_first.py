"""What the shipped first weights know of real prints, as they come. Writes docs/recognise/measured.json.

    python docs/scripts/measure_first.py FVC2002 CrossMatch

FVC2002: a folder with DB1_B … DB4_B and DB3_A. No picture of a real print is written, only numbers."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from fpml.base.shipped import as_shipped, card_of
from fpml.data.pictures import read_grey
from fpml.data.placing import whole_print
from fpml.metrics.verified import verified
from fpml.models.aligned import DPI, HEIGHT, WIDTH, build
from fpml.settings.recipe import Data
from fpml.training.first_weights import FIRST

OUT = Path(__file__).parents[1] / "recognise" / "measured.json"
CANVAS = Data(train=["real"], test=[], height=HEIGHT, width=WIDTH, dpi=DPI, crop="print")
SETS = {"DB1_B": 500, "DB2_B": 569, "DB3_B": 500, "DB4_B": 500, "DB3_A": 500, "CrossMatch": 500}  # dpi
RESAMPLES = 1000


def main() -> None:
    fvc, crossmatch = (Path(a) for a in sys.argv[1:3])
    settings: Any = SimpleNamespace(width=card_of(FIRST)["width"])
    network = build(settings, HEIGHT, WIDTH, 2).eval()
    network.load_state_dict(load(as_shipped(FIRST / "weights.safetensors")), strict=False)
    said: dict[str, Any] = {"weights": card_of(FIRST)["sha256"]}
    for name, dpi in SETS.items():
        files = sorted((crossmatch if name == "CrossMatch" else fvc / name).glob("*.tif"))
        prints = np.stack([whole_print(read_grey(file, 10**8), dpi, CANVAS)[0] for file in files])
        with torch.inference_mode():
            parts = [network(part[:, None].float() / 255)[1] for part in torch.from_numpy(prints).split(64)]  # type: ignore[no-untyped-call]
        vectors = torch.cat(parts).numpy()
        fingers, impressions = (np.array(part) for part in zip(*(f.stem.rsplit("_", 1) for f in files), strict=True))
        rows = verified(vectors @ vectors.T, fingers, impressions.astype(int), name, "first-1", RESAMPLES).rows
        found = {
            row.metric: (row.value, row.low, row.high) for row in rows if row.metric in ("eer", "eer_all", "fmr100", "rank1")
        }
        said[name] = {"prints": len(files), **{m: [round(float(v), 3) for v in values] for m, values in found.items()}}
        print(name, said[name], flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
