"""Draw the pictures of README and repair's card from generated prints: python docs/scripts/pictures.py (after make demo)."""

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fpml
from fpml.alteration.apply import apply
from fpml.alteration.draw import DRAWN, LEVELS, draw
from fpml.synth.capture import draw_capture
from fpml.synth.field import CLASS_SHARES, draw_finger
from fpml.synth.generate import generate
from fpml.synth.impression import lay_creases, render
from fpml.synth.ridges import grow_masters
from fpml.synth.sensors import SENSORS

HERE = Path(__file__).parents[1]
SEED = 2002
WIDTH, GAP = 1440, 6  # of the sheet, and between pictures, pixels


def row(pictures: list[np.ndarray], height: int) -> Image.Image:
    """Pictures beside each other, each scaled to fit its share of the sheet."""
    out = Image.new("L", (WIDTH, height + GAP), 255)
    share = WIDTH / len(pictures)
    for number, picture in enumerate(pictures):
        image = Image.fromarray(picture)
        scale = min((share - GAP) / image.width, height / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        out.paste(image, (round(number * share + (share - image.width) / 2), (height - image.height) // 2))
    return out


def sheet() -> Image.Image:
    classes = [
        generate(1, 1, "fvc2002-db2", SEED + 20 + n, "normal", pattern).pictures[0] for n, pattern in enumerate(CLASS_SHARES)
    ]
    eight = list(generate(1, 8, "fvc2002-db1", SEED + 1, pattern="left-loop").pictures)
    finger = draw_finger(SEED, 5, "whorl")
    with torch.inference_mode():
        skins = lay_creases(grow_masters([finger]), [finger])
        capture = replace(
            draw_capture(finger, 1, SENSORS["secugen"], "normal"), residue=0.0, breaks=0.8, shift_x=0.0, shift_y=0.0
        )
        through = [render(skins, [capture], sensor)[0][0].numpy() for sensor in SENSORS.values()]
    whole = generate(1, 1, "socofing", SEED + 5, "normal", "right-loop").pictures[0][2:-4, 2:-4]
    drawn = [draw(whole, kind, level, np.random.default_rng(5)) for kind in DRAWN for level in LEVELS]
    altered = [apply(whole, alteration)[0] for alteration in drawn]
    rows = [row(classes, 420), row(eight, 190), row(through, 210), row(altered, 170)]
    out = Image.new("L", (WIDTH, sum(r.height for r in rows)), 255)
    top = 0
    for one in rows:
        out.paste(one, (0, top))
        top += one.height
    return out


def undone() -> Image.Image:
    """Of nine generated prints, one for each kind and level, from above: altered, where repair-1 says it was damaged, what it
    moved back, repaired, real."""
    model = fpml.load("repair-1")
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for number, (kind, level) in enumerate(product(DRAWN, LEVELS)):
        real = generate(1, 1, "socofing", SEED + 40 + number, "normal").pictures[0][2:-4, 2:-4]
        altered = apply(real, draw(real, kind, level, np.random.default_rng(SEED + number)))[0]
        [made] = model.repair(altered, dpi=180)
        damage = (255 * made.damage).astype(np.uint8)
        for line, picture in zip(rows, (altered, damage, made.back, made.picture, real), strict=True):
            line.append(np.asarray(picture))
    lines = [row(line, 172) for line in rows]
    out = Image.new("L", (WIDTH, sum(line.height for line in lines)), 255)
    for number, line in enumerate(lines):
        out.paste(line, (0, number * line.height))
    return out


def main() -> None:
    undone().save(HERE / "repair" / "undone.png", optimize=True)
    sheet().save(HERE / "generated.png", optimize=True)
    results = HERE.parent / "results" / "reconstruct-tight"
    if not (results / "figures.json").exists():
        print("no results/reconstruct-tight here: docs/reconstructions.png stays as it is; make demo first to draw it anew")
        return
    for figure in json.loads((results / "figures.json").read_text(encoding="utf-8")):
        if figure["shows_prints"] and "synth-fvc/DB2" in figure["title"]:
            assert figure["synthetic"]
            shutil.copy(results / "figures" / figure["file"], HERE / "reconstructions.png")


if __name__ == "__main__":
    main()
