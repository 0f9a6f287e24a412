"""Prints of the generator, with what is true of them. Making them needs torch; nothing else here does."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from fpml.base.errors import FpmlError
from fpml.inference.minutiae import BLOCK
from fpml.synth.sensors import SENSORS, Sensor, sensor_named
from fpml.tryout.answers import fields
from fpml.tryout.pictures import shown, tinted

NONE, NATURAL = "none", "natural"  # no alteration; a class by its natural share
IMPRESSIONS = 8  # at most
RANDOM = ("random-1", "random-2", "random-3")  # sensors that nobody built
CHANGED = (214, 40, 40)


class Wish(BaseModel):
    """What to make: one finger, laid on one sensor so many times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str = NATURAL
    sensor: str = "secugen"
    condition: str = "fvc"
    seed: int = Field(default=7, ge=0, lt=2**32)
    impressions: int = Field(default=2, ge=1, le=IMPRESSIONS)
    kind: str = NONE  # of the alteration
    level: str = "Medium"

    @property
    def of_class(self) -> str | None:
        return None if self.pattern == NATURAL else self.pattern

    def check(self) -> None:
        """FpmlError for names that make no prints."""
        from fpml.alteration.draw import DRAWN, LEVELS
        from fpml.synth.generate import check

        sensor_named(self.sensor)
        check(1, self.impressions, self.seed, self.condition, self.of_class)
        for name, allowed in ((self.kind, [NONE, *DRAWN]), (self.level, list(LEVELS))):
            if name not in allowed:
                raise FpmlError(f"unknown alteration '{name}'; allowed: {', '.join(allowed)}")


def choices() -> dict[str, list[str]]:
    """What can be wished for, by name."""
    from fpml.alteration.draw import DRAWN, LEVELS
    from fpml.synth.capture import CONDITIONS
    from fpml.synth.field import CLASS_SHARES

    return {
        "pattern": [NATURAL, *CLASS_SHARES], "sensor": [*SENSORS, *RANDOM], "condition": ["fvc", *CONDITIONS],
        "kind": [NONE, *DRAWN], "level": list(LEVELS),
    }  # fmt: skip


def make(wish: Wish) -> dict[str, Any]:
    """The prints, each with its truth in pixels of its own picture. FpmlError for a wish that makes none."""
    from fpml.synth.generate import generate
    from fpml.synth.write import GENERATOR

    wish.check()
    made = generate(1, wish.impressions, wish.sensor, wish.seed, wish.condition, wish.of_class, "cpu")
    prints = []
    for n, picture in enumerate(made.pictures):
        height, width = picture.shape
        table = made.minutiae[n]
        turns = np.round(np.rad2deg(table["angle"])).astype(int)
        rows = zip(table["x"], table["y"], turns, table["type"] == "ending", table["clarity"], strict=True)
        minutiae = [[round(float(x), 1), round(float(y), 1), int(a), bool(e), round(float(c), 2)] for x, y, a, e, c in rows]
        prints.append({
            "name": f"{made.impressions[n]}", "condition": made.captures[n].condition, "dpi": made.sensor.dpi, "width": width,
            "height": height, "png": shown(picture), "minutiae": minutiae, "altered": None,
            **fields(made.orientation[n], made.period[n], made.masks[n][::BLOCK, ::BLOCK]),
        })  # fmt: skip
        if wish.kind != NONE:
            altered, _ = _altered(wish, picture, made.sensor)
            prints[-1]["altered"] = shown(altered)
            prints[-1]["changed"] = tinted(altered != picture, CHANGED)
    pattern = made.fingers[0].pattern
    return {"prints": prints, "pattern": pattern, "command": command(wish), "generator": f"version {GENERATOR}"}


def _altered(wish: Wish, picture: np.ndarray, sensor: Sensor) -> tuple[np.ndarray, dict[str, Any]]:
    """A print altered inside its frame, as the generator alters those that it writes; and the alteration's own numbers, its
    places counted from the frame."""
    from fpml.alteration.kinds import as_dict
    from fpml.synth.alter import altered_copies

    border = sensor.border
    frame = np.s_[border : picture.shape[0] - 2 * border, border : picture.shape[1] - 2 * border]
    copies = altered_copies(picture[frame], wish.seed, 1, sensor.dpi)
    out = picture.copy()
    said, out[frame] = next((a, copy) for level, a, copy in copies if (level, a.kind) == (wish.level, wish.kind))
    return out, as_dict(said)


def command(wish: Wish) -> str:
    """By which the same prints are made without the page."""
    of_class = f" --class {wish.of_class}" if wish.of_class else ""
    return (
        f"fpml synth --out DIR --fingers 1 --impressions {wish.impressions} --sensor {wish.sensor} --seed {wish.seed} "
        f"--condition {wish.condition}{of_class}"
    )


def packed(wish: Wish) -> bytes:
    """A ZIP of the folder that the command makes, with its truth; and the altered copies with where they were changed."""
    from fpml.synth.write import Plan, write_prints

    wish.check()
    stream = io.BytesIO()
    # Nobody's prints: these may pass through a folder on disk, which the generator writes anyway.
    with tempfile.TemporaryDirectory(prefix="fpml-try-") as there, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        folder = Path(there) / "prints"
        sensor = sensor_named(wish.sensor)
        plan = Plan(wish.seed, 1, wish.impressions, (sensor,), "synth", wish.condition, wish.of_class)
        write_prints(folder, plan, workers=1, device="cpu")
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(folder).as_posix())
        for impression in range(1, wish.impressions + 1) if wish.kind != NONE else ():
            picture = np.asarray(Image.open(folder / plan.file(sensor, 1, impression)))
            altered, said = _altered(wish, picture, sensor)
            stem = f"altered/1_{impression}_{wish.kind}_{wish.level}"
            file.writestr(f"{stem}.png", _png(altered))
            file.writestr(f"{stem}.json", json.dumps(said, indent=1) + "\n")
            file.writestr(f"{stem}_changed.png", _png((altered != picture).astype(np.uint8) * 255))
        file.writestr("command.txt", command(wish) + "\n")
    return stream.getvalue()


def _png(grey: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="png")
    return stream.getvalue()
