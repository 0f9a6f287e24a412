"""The pictures inside the page: WebP, at about a sixth of the PNGs' size. Those lie in results/."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, ImageSequence

from fpml.base.files import root
from fpml.data import manifest
from fpml.data.readers import read_print, reader_named
from fpml.drawing import figures
from fpml.drawing.privacy import may_show
from fpml.project.params import Params

EXAMPLES, SIDE, GAP = 4, 184, 4  # prints shown for each sensor, pixels a side that each has, and white pixels round it
SHEETS = 2  # pictures of prints shown for each run; more of one kind say little more
QUALITY = 34  # of pictures of prints, at which ridges stay sharp
COLOURS = 48  # of charts, which are kept exactly otherwise
SMALL = 288  # pixels: the side of a run's small picture, shown at half of it


@dataclass(frozen=True)
class Picture:
    title: str
    data: str  # a data: URL
    shown: int  # pixels of the page's that it is wide; it has more of its own


def figures_of(results: Path, log_images: str) -> tuple[list[Picture], int, int]:
    """A run's figures that may be seen, how many more of them lie in results/ only, and how many may not be seen."""
    drawn = json.loads((results / "figures.json").read_text(encoding="utf-8"))
    shown = [figure for figure in drawn if may_show(figure, log_images)]
    sheets = [figure for figure in shown if figure["shows_prints"]]
    kept = [sheets[place] for place in np.linspace(0, len(sheets) - 1, min(SHEETS, len(sheets))).round().astype(int)]
    chosen = [figure for figure in shown if not figure["shows_prints"] or figure in kept]
    pictures = [_picture(results / "figures" / f["file"], f["title"], not f["shows_prints"]) for f in chosen]
    return pictures, len(shown) - len(chosen), len(drawn) - len(shown)


def thumbnail(results: Path, log_images: str) -> Picture | None:
    """A small picture of what a run does: its first of prints, where one may be seen, else its first."""
    drawn = json.loads((results / "figures.json").read_text(encoding="utf-8"))
    shown = sorted((f for f in drawn if may_show(f, log_images)), key=lambda f: not f["shows_prints"])
    if not shown:
        return None
    with Image.open(results / "figures" / shown[0]["file"]) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)  # of one that moves, how it ends
        side = min(image.size)  # of a wide sheet its first columns, which can be made out
        small = image.convert("RGB").crop((0, 0, side, side)).resize((SMALL, SMALL), Image.Resampling.LANCZOS)
    return _embedded([small], shown[0]["title"], chart=False)


def _picture(path: Path, title: str, chart: bool) -> Picture:
    with Image.open(path) as image:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
        return _embedded(frames, title, chart, image.info.get("duration", 0))


def _embedded(frames: list[Image.Image], title: str, chart: bool, milliseconds: int = 0) -> Picture:
    moving: dict[str, Any] = {}
    if len(frames) > 1:
        moving = {"save_all": True, "append_images": frames[1:], "duration": milliseconds, "loop": 0}
    if chart:
        frames = [frame.quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB") for frame in frames]
    # Charts are flat, and smaller when they are kept exactly.
    frames[0].save(buffer := io.BytesIO(), "webp", quality=QUALITY, lossless=chart, method=2, **moving)
    data = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(title, data, round(frames[0].width * (figures.SHEET_DPI / figures.CHART_DPI if chart else 1)))


def sensors(manifests: dict[str, pd.DataFrame], params: Params) -> list[dict[str, Any]]:
    """Counts and example prints for each sensor."""
    return [_sensor(name, str(sensor), part, params) for name, sensor, part in _parts(manifests)]


def _parts(manifests: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for name, frame in manifests.items():
        for sensor, part in frame[frame["status"] != manifest.IGNORED].groupby("sensor"):
            yield name, str(sensor), part


def _sensor(name: str, sensor: str, part: pd.DataFrame, params: Params) -> dict[str, Any]:
    ok = part[part["status"] == manifest.OK]
    shows = {"shows_prints": True, "synthetic": bool(len(ok) and manifest.is_synthetic(ok).all())}
    may = len(ok) and may_show(shows, params.tracking.log_images)
    return {
        "dataset": name, "sensor": sensor, "prints": len(ok), "fingers": ok["finger_id"].nunique(),
        "subjects": ok["subject"].nunique(), "dpi": f"{ok['dpi'].iat[0]:.0f}" if len(ok) else "–",
        "sizes": ", ".join(sorted({f"{w}×{h}" for w, h in zip(ok["width"], ok["height"], strict=True)})[:3]),
        "copies": len(ok) - ok["sha256"].nunique(), "quarantined": int((part["status"] == manifest.QUARANTINED).sum()),
        "synthetic": shows["synthetic"], "picture": _examples(ok, name, sensor, params) if may else None,
    }  # fmt: skip


def _examples(ok: pd.DataFrame, name: str, sensor: str, params: Params) -> Picture:
    rows = ok.iloc[np.linspace(0, len(ok) - 1, min(EXAMPLES, len(ok))).round().astype(int)]
    reader = params.datasets[name].reader
    found = [read_print(row, reader, root(), params.ingest.max_pixels) for _, row in rows.iterrows()]
    prints = [Image.fromarray(reader_named(reader).crop(grey)) for grey in found]
    padded = [ImageOps.pad(print_, (SIDE, SIDE), Image.Resampling.LANCZOS, color=255) for print_ in prints]
    row = np.hstack([np.asarray(ImageOps.expand(print_, GAP, 255)) for print_ in padded])
    return _embedded([Image.fromarray(row)], f"{name}, sensor {sensor}", chart=False)
