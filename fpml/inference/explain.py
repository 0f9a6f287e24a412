"""Two prints side by side, with what was found in them and what belongs together."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fpml.base.errors import FpmlError
from fpml.base.files import new_file
from fpml.data.pictures import read_grey
from fpml.data.readers import reader_named
from fpml.inference.compare import Kind, Minutiae, compared
from fpml.inference.minutiae import BLOCK, SKIN, Look, look
from fpml.inference.place import MAX_PIXELS
from fpml.matching import formats
from fpml.matching.template import Template

GAP, TITLE = 12, 22  # pixels
FOUND, PAIRED, FLOW = (90, 120, 200), (220, 60, 30), (120, 170, 120)


def explain(kind: Kind, paths: tuple[Path, Path], dpi: list[float | None], reader: str, title: str, out: Path) -> None:
    """Draw two prints to a PNG file: every minutia, the pairs that the comparison rests on joined by lines, the flow of the
    ridges. FpmlError for a model that compares otherwise."""
    if not isinstance(kind, Minutiae):
        raise FpmlError("--explain draws minutiae, and this model compares embeddings; leave it out, or take a minutiae model")
    looks = [_seen(kind, path, of_it, reader) for path, of_it in zip(paths, dpi, strict=True)]
    (left, a), (right, b) = looks
    sheet = Image.new("RGB", (left.width + GAP + right.width, TITLE + max(left.height, right.height)), "white")
    sheet.paste(left, (0, TITLE))
    sheet.paste(right, (left.width + GAP, TITLE))
    draw = ImageDraw.Draw(sheet)
    found = compared(a, b)
    rest = [set(range(len(t))) - set(found.pairs[:, side]) for side, t in enumerate((a, b))]
    shifts = ((0, TITLE), (left.width + GAP, TITLE))
    for template, rows, shift in zip((a, b), rest, shifts, strict=True):
        for row in rows:
            _mark(draw, template.table()[row], shift, FOUND)
    for first, second in found.pairs:
        ends = [
            (float(t.x[row]) + shift[0], float(t.y[row]) + shift[1])
            for t, row, shift in zip((a, b), (first, second), shifts, strict=True)
        ]
        draw.line(ends, fill=PAIRED, width=1)
        for template, row, shift in zip((a, b), (first, second), shifts, strict=True):
            _mark(draw, template.table()[row], shift, PAIRED)
    draw.text((4, 4), f"{title}: {len(found.pairs)} pairs of {len(a)} and {len(b)} minutiae", fill="black")
    with new_file(out) as temporary:
        sheet.save(temporary, format="png")


def _seen(kind: Minutiae, path: Path, dpi: float | None, reader: str) -> tuple[Image.Image, Template]:
    """A print at 500 dpi with its flow drawn, and its template; an empty sheet for a template's file."""
    if formats.is_template(path):
        template = formats.read(path)
        return Image.new("RGB", (max(1, template.width), max(1, template.height)), "white"), template
    grey = reader_named(reader).crop(read_grey(path, MAX_PIXELS))
    seen = look(kind.model, grey, dpi)
    size = (seen.template.width, seen.template.height)
    picture = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS).convert("RGB")
    _flow(ImageDraw.Draw(picture), seen)
    return picture, seen.template


def _flow(draw: ImageDraw.ImageDraw, seen: Look) -> None:
    """A short line along the ridges in every other block of skin."""
    for row, column in np.argwhere(seen.foreground[::2, ::2] > SKIN) * 2:
        angle = float(seen.orientation[row, column])
        x, y = BLOCK * column + BLOCK / 2, BLOCK * row + BLOCK / 2
        dx, dy = 5 * np.cos(angle), -5 * np.sin(angle)
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=FLOW)


def _mark(draw: ImageDraw.ImageDraw, minutia: np.ndarray, shift: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A ring for an ending, a square for a bifurcation, and its direction."""
    x, y, angle, ending = minutia[0] + shift[0], minutia[1] + shift[1], minutia[2], minutia[3]
    box = (x - 3, y - 3, x + 3, y + 3)
    if ending >= 0.5:
        draw.ellipse(box, outline=colour)
    else:
        draw.rectangle(box, outline=colour)
    draw.line([(x, y), (x + 9 * np.cos(angle), y - 9 * np.sin(angle))], fill=colour)
