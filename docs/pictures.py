"""Draw the pictures of the README from generated prints: python docs/pictures.py (after make demo)."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from fpml.synth.field import CLASS_SHARES, draw_finger
from fpml.synth.write import prints

HERE = Path(__file__).parent
SENSORS = ("fvc2002-db1", "fvc2002-db2", "fvc2002-db3", "fvc2002-db4", "secugen", "lumidigm")
CELL = (280, 300)  # width and height of a cell, pixels


def cell(picture: np.ndarray) -> Image.Image:
    """A print scaled to fit a white cell."""
    image = Image.fromarray(picture)
    image.thumbnail((CELL[0] - 8, CELL[1] - 8), Image.Resampling.LANCZOS)
    out = Image.new("L", CELL, 255)
    out.paste(image, ((CELL[0] - image.width) // 2, (CELL[1] - image.height) // 2))
    return out


def sheet(rows: list[list[np.ndarray]], path: Path) -> None:
    out = Image.new("L", (CELL[0] * max(map(len, rows)), CELL[1] * len(rows)), 255)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            out.paste(cell(picture), (x * CELL[0], y * CELL[1]))
    out.resize((out.width // 2, out.height // 2), Image.Resampling.LANCZOS).save(path, optimize=True)


def main() -> None:
    fingers = [draw_finger(2002, n, pattern) for n, pattern in enumerate(CLASS_SHARES)]
    whorl = draw_finger(2002, 40, "whorl")
    sheet(
        [
            [p for _, _, p, _, _ in prints(fingers, 1, "fvc2002-db4")] + [next(prints([whorl], 1, "fvc2002-db4"))[2]],
            [p for _, _, p, _, _ in prints([whorl], 6, "fvc2002-db1")],
            [next(prints([whorl], 1, sensor))[2] for sensor in SENSORS],
        ],
        HERE / "generated.png",
    )
    results = HERE.parent / "results" / "reconstruct"
    for figure in json.loads((results / "figures.json").read_text()):
        if figure["shows_prints"] and "synth-fvc/DB2" in figure["title"]:
            assert figure["synthetic"]
            shutil.copy(results / "figures" / figure["file"], HERE / "reconstructions.png")


if __name__ == "__main__":
    main()
