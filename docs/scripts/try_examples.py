"""The generated prints that come with the page of `fpml try`: python docs/scripts/try_examples.py

Two fingers, one of them three times on two sensors; a print at SOCOFing's 180 dpi, and the same altered."""

import json

import numpy as np
from PIL import Image

from fpml.synth.alter import altered_copies
from fpml.synth.generate import generate
from fpml.tryout.pictures import EXAMPLES

SEED = 19
PRINTS = [  # file, title, finger's seed, sensor, condition, impression
    ("a-1.png", "finger A, optical sensor", SEED, "secugen", "normal", 1),
    ("a-2.png", "finger A again, turned", SEED, "secugen", "rotated", 2),
    ("a-3.png", "finger A, wet, capacitive sensor", SEED, "fvc2002-db3", "wet", 3),
    ("b-1.png", "finger B, optical sensor", SEED + 1, "secugen", "normal", 1),
    ("b-2.png", "finger B again, dry", SEED + 1, "secugen", "dry", 2),
    ("c-180dpi.png", "finger C, 180 dpi", SEED + 2, "socofing", "normal", 1),
]
ALTERED = ("c-180dpi-altered.png", "finger C, 180 dpi, altered", "Medium", "Zcut")


def main() -> None:
    titles = {}
    for file, title, seed, sensor, condition, impression in PRINTS:
        made = generate(1, impression, sensor, seed, condition, device="cpu")
        picture, dpi = made.pictures[impression - 1], made.sensor.dpi
        if border := made.sensor.border:
            picture = picture[border : -2 * border, border : -2 * border]
        Image.fromarray(picture).save(EXAMPLES / file, optimize=True, dpi=(dpi, dpi))
        titles[file] = {"title": title, "dpi": dpi}
    file, title, level, kind = ALTERED
    copies = altered_copies(picture, seed, 1, dpi)
    altered = next(np.asarray(copy) for of_level, said, copy in copies if (of_level, said.kind) == (level, kind))
    Image.fromarray(altered).save(EXAMPLES / file, optimize=True, dpi=(dpi, dpi))
    titles[file] = {"title": title, "dpi": dpi}
    (EXAMPLES / "examples.json").write_text(json.dumps(titles, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
