"""fpml repair: one's own altered prints repaired."""

import argparse
from pathlib import Path

import fpml
from fpml.tasks.command import Arguments, Command, add_inputs, namer, save, usable


def repair(a: Arguments) -> None:
    """Write NAME-repaired.png and NAME-damage.png (white: damaged) for every picture; a line with the share each.

    Both have the picture's size at the model's dpi."""
    from fpml.inference.model import to_bytes

    model = fpml.load(a.model).need("repaired", "damage")
    name = namer(a.inputs, a.out)
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "repair"):
        for picture, found in zip(part.pictures, model.repaired(part.placements), strict=True):
            save(found.picture, name(picture, "repaired"))
            save(to_bytes(found.damage), name(picture, "damage"))
            print(f"{picture}: {(found.damage > 0.5).mean():.1%} damaged")
    print(f"the repaired prints and their damage maps are in {a.out}")


def arguments(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "repair-gated", 180)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")


COMMANDS: dict[str, Command] = {
    "repair": ("repair your own altered prints, and map the damage", repair, arguments),
}
