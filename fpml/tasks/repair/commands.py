"""fpml repair: one's own altered prints repaired, and what was done to them."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fpml
from fpml.tasks.command import Arguments, Command, add_inputs, namer, save, usable

if TYPE_CHECKING:
    import numpy as np

    from fpml.inference.model import Repaired

SHEET, GAP = 40, 4  # prints on the contact sheet at most; pixels between them


def repair(a: Arguments) -> None:
    """Write NAME-repaired.png and NAME-damage.png (white: damaged) for every picture, at its size at the model's dpi, and a
    line with what was found. With a model that undoes: NAME-undone.png too, found.json; and of several pictures sheet.png."""
    import numpy as np

    from fpml.inference.model import to_bytes

    model = fpml.load(a.model).repairer()
    name = namer(a.inputs, a.out)
    said: list[dict[str, Any]] = []
    rows: list[np.ndarray] = []
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "repair"):
        for picture, placement, found in zip(part.pictures, part.placements, model.repaired(part.placements), strict=True):
            save(found.picture, name(picture, "repaired"))
            save(to_bytes(found.damage), name(picture, "damage"))
            print(f"{picture}: {told(found)}{(found.damage > 0.5).mean():.1%} damaged")
            if found.found is not None and found.back is not None:
                save(found.back, name(picture, "undone"))
                kept = found.found
                said.append({
                    "picture": str(picture), "kind": kept.kind, "confidence": round(kept.confidence, 3), "place": kept.place,
                    "placed": round(kept.placed, 3), "undone": kept.undone, "dpi": found.dpi,
                })  # fmt: skip
                top, bottom, left, right = placement.box
                before = placement.canvas[top:bottom, left:right]
                rows.append(np.concatenate(_spaced([before, found.back, to_bytes(found.damage), found.picture]), 1))
    if said:
        _write(json.dumps(said, indent=1) + "\n", a.out / "found.json")
    (a.out / "sheet.png").unlink(missing_ok=True)  # of other prints
    if len(rows) > 1:
        save(sheet(rows[:SHEET]), a.out / "sheet.png")
    print(f"the repaired prints and their damage maps are in {a.out}")


def told(found: "Repaired") -> str:
    """What was done to a print and what was done about it, in a few words."""
    if found.found is None:
        return ""
    kind, place = found.found.kind, found.found.place
    if kind == "none":
        if found.found.confidence < 0.5:
            return f"altered, but not surely ({1 - found.found.confidence:.0%}), left as it is, "
        return f"not altered ({found.found.confidence:.0%}), left as it is, "
    where = ""
    if "degrees" in place:
        where = f" by {place['degrees']}° round ({place['x']}, {place['y']})"
    elif "v0" in place:
        where = " of " + " ".join(f"({x}, {y})" for y, x in (place[v] for v in ("v0", "v1", "v2", "v3")))
    elif "noise" in place:
        where = f", {place['pixels']} pixels round ({place['x']}, {place['y']})"
    done = f"undone, sure to {found.found.placed:.0%}" if found.found.undone else "painted over"
    if not found.found.undone and kind != "Obl":
        done = f"{'left as it is' if kind == 'Zcut' else 'painted over alone'}: its place is sure to {found.found.placed:.0%}"
    return f"{kind}{where} ({found.found.confidence:.0%}), {done}, "


def _spaced(pictures: "list[np.ndarray]") -> "list[np.ndarray]":
    import numpy as np

    return [np.pad(p, ((0, GAP), (0, GAP)), constant_values=255) for p in pictures]


def sheet(rows: "list[np.ndarray]") -> "np.ndarray":
    """Rows of prints below each other: as it came, undone, damage map, repaired."""
    import numpy as np

    width = max(r.shape[1] for r in rows)
    return np.concatenate([np.pad(r, ((0, 0), (0, width - r.shape[1])), constant_values=255) for r in rows])


def _write(text: str, path: Path) -> None:
    from fpml.base.files import new_file

    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def arguments(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "repair-1", 180)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")


COMMANDS: dict[str, Command] = {
    "repair": ("repair your own altered prints, say what was done to them, and map the damage", repair, arguments),
}
