"""A minutiae model on a person's pictures: grey pixels in, a template and the print's fields out. ONNX Runtime alone."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from fpml.data.pictures import BadPicture, check_print
from fpml.inference.place import check_dpi
from fpml.matching.template import DPI, Template, from_table
from fpml.matching.texture import SIDE, kept, patches

if TYPE_CHECKING:
    from fpml.inference.model import Model

MAPS = ("presence", "offset", "direction", "orientation", "period", "foreground")
OUTPUTS = (*MAPS, "texture", "ending")
NO_PRINT, NO_PATCH = np.zeros((1, 1, 32, 32), np.uint8), np.zeros((1, 1, SIDE, SIDE), np.uint8)  # for the other
CELL, BLOCK, MULTIPLE = 4, 8, 16  # pixels: what minutiae and fields are read at; sides the network takes are multiples of
LARGEST = 2048  # pixels at 500 dpi, of a side: 10 cm
LEAST = 0.25  # of the presence: cylinder codes bear a false minutia better than a missing one (docs/matching.md)
APART = 7.0  # pixels between two minutiae
MOST = 150  # minutiae
SKIN = 0.5  # of the foreground
USUAL = (6.5, 11.5)  # pixels: the ridge periods at which a print is taken as it is,
WANTED = 8.8  # and what others are brought to
CLEAR = 0.88  # of a print's certainty: the least of some hundred real prints was 0.93, the most of noise 0.84
FEWEST = 4  # minutiae without which a print can't be told from others
TRIED = (1.0, 0.5, 2.0, 0.25)  # scales at which ridges are looked for where nobody says the dpi
RIDGES = 9.0  # pixels at 500 dpi: the usual ridge period of adults, by which an unknown dpi is estimated


class TooPoor(BadPicture):
    """A print that can't be compared: it shows too little."""


@dataclass(frozen=True)
class Look:
    """A print as the model sees it. Fields have a value for each 8 x 8 pixels of a picture at 500 dpi."""

    template: Template
    orientation: np.ndarray  # float32 (h, w), radians in 0..pi, counter-clockwise from the right
    period: np.ndarray  # float32 (h, w), pixels at 500 dpi
    foreground: np.ndarray  # float32 (h, w), 0..1: how surely skin
    certainty: float  # 0..1, median over the skin: how sure it is in which way the ridges flow; 0 where there is no skin
    dpi: float  # of the picture: what was said, or what its ridges tell
    dpi_estimated: bool

    @property
    def ridge_period(self) -> float:
        """Median over the skin, pixels at 500 dpi; nan where there is none."""
        skin = self.foreground > SKIN
        return float(np.median(self.period[skin])) if skin.any() else float("nan")


def look(model: "Model", grey: np.ndarray, dpi: float | None, described: bool = True) -> Look:
    """The minutiae and fields of a grey picture (H, W) uint8, 0 black. dpi: of the picture; None: told by its ridges.
    described: with the minutiae's types and the skin round them, for what compares prints; a quarter of the time.

    BadPicture for one with nothing on it, and one too large for a print; FpmlError for a dpi that no print has."""
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise BadPicture(f"an array of shape {grey.shape} and type {grey.dtype}; allowed: (height, width) of uint8")
    check_print(grey)
    if dpi is not None:
        check_dpi(dpi)
    said = dpi if dpi is not None else _told_by_ridges(model, grey)
    picture = _scaled(grey, DPI / said)
    maps = _run(model, picture)
    scale = 1.0
    period = _median_period(maps)
    if period is not None and not USUAL[0] <= period <= USUAL[1]:
        scale = float(np.clip(WANTED / period, 0.5, 2.0))
        maps = _run(model, _scaled(grey, scale * DPI / said))
    height, width = picture.shape
    table = _decoded(maps, scale, height, width)
    rows, columns = (np.arange(BLOCK // 2, side, BLOCK) for side in (height, width))

    def field(name: str) -> np.ndarray:
        """A map, read in the middle of each block of the picture at 500 dpi."""
        values = maps[name]
        i, j = (
            np.clip((at * scale / BLOCK).astype(int), 0, side - 1)
            for at, side in zip((rows, columns), values.shape[-2:], strict=True)
        )
        return np.asarray(values[:, i][:, :, j], np.float32)

    twice, foreground = field("orientation"), field("foreground")[0]
    skin = foreground > SKIN
    certainty = float(np.median(np.hypot(*twice)[skin])) if skin.any() else 0.0
    orientation = np.mod(np.arctan2(twice[1], twice[0]) / 2, np.pi).astype(np.float32)
    template = from_table(table, width, height)
    if described:
        template = _described(model, picture, template)
    return Look(template, orientation, field("period")[0] / scale, foreground, certainty, said, dpi is None)


def comparable(model: "Model", grey: np.ndarray, dpi: float | None) -> Look:
    """A picture that shows enough to be compared; else TooPoor, with the reason."""
    seen = look(model, grey, dpi)
    if len(seen.template) < FEWEST:
        share = float((seen.foreground > SKIN).mean())
        raise TooPoor(
            f"{len(seen.template)} minutiae, and at least {FEWEST} are needed; {share:.0%} of the picture is taken for skin"
            + ("" if dpi is None else f", at {dpi:g} dpi: is it the picture's?")
        )
    if seen.certainty < CLEAR:
        raise TooPoor(
            f"no ridges that flow, or too unclear ones: certainty {seen.certainty:.2f}, at least {CLEAR} is needed"
            + (" at the estimated dpi" if dpi is None else f"; is {dpi:g} dpi the picture's?")
        )
    return seen


def _scaled(grey: np.ndarray, scale: float) -> np.ndarray:
    height, width = (max(MULTIPLE, round(side * scale)) for side in grey.shape)
    if max(height, width) > LARGEST:
        raise BadPicture(
            f"{width} x {height} pixels at {DPI} dpi, at most {LARGEST} are allowed: {LARGEST / DPI * 25.4:.0f} mm; is the dpi "
            "the picture's?"
        )
    if (height, width) == grey.shape:
        return grey
    method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(grey).resize((width, height), method))


def _run(model: "Model", picture: np.ndarray) -> dict[str, np.ndarray]:
    """The maps of one picture, each (channels, h, w)."""
    pad = [(0, max(2 * MULTIPLE, -(-side // MULTIPLE) * MULTIPLE) - side) for side in picture.shape]
    prints = np.pad(picture, pad, mode="edge")[None, None]
    return {name: out[0] for name, out in zip(MAPS, model.run(list(MAPS), prints=prints, patches=NO_PATCH), strict=True)}


def _described(model: "Model", picture: np.ndarray, template: Template) -> Template:
    """The template with the type of its minutiae and the skin round them, of a picture at 500 dpi."""
    if not len(template):
        return template
    cut = patches(picture, template.x, template.y, template.angle)[:, None]
    texture, ending = model.run(["texture", "ending"], prints=NO_PRINT, patches=cut)
    return replace(template, ending=ending, texture=kept(texture), texture_of=model.sha256[:16])


def _median_period(maps: dict[str, np.ndarray]) -> float | None:
    skin = maps["foreground"][0] > SKIN
    return float(np.median(maps["period"][0][skin])) if skin.sum() >= 20 else None


def _told_by_ridges(model: "Model", grey: np.ndarray) -> float:
    """The dpi at which a picture's ridges have the usual period, at the scale where most of it looks like a print.

    TooPoor where no scale shows ridges."""
    best = (0.0, 0.0)
    for scale in TRIED:
        height, width = (side * scale for side in grey.shape)
        if max(height, width) > LARGEST or min(height, width) < 2 * MULTIPLE:
            continue
        maps = _run(model, _scaled(grey, scale))
        skin = maps["foreground"][0] > SKIN
        if skin.sum() < 20:
            continue
        sure = float(np.hypot(*maps["orientation"])[skin].sum() / skin.size)
        if sure > best[0]:
            best = (sure, DPI * float(np.median(maps["period"][0][skin])) / RIDGES / scale)
    if best[1] == 0:
        raise TooPoor("no ridges are seen at any scale, so that the dpi can't be estimated; give --dpi")
    return best[1]


def _decoded(maps: dict[str, np.ndarray], scale: float, height: int, width: int) -> np.ndarray:
    """Rows of x, y (pixels of the picture at 500 dpi, which is height x width), angle, ending, quality, surest first: peaks of
    the presence, none within APART of a surer one (Neubeck and Van Gool 2006)."""
    presence = maps["presence"][0]
    peaks = (ndimage.maximum_filter(presence, 3, mode="constant") == presence) & (presence >= LEAST)
    row, column = np.nonzero(peaks)
    order = np.argsort(-presence[row, column], kind="stable")
    row, column = row[order], column[order]
    offset, direction = maps["offset"][:, row, column], maps["direction"][:, row, column]
    x = (CELL * column + (CELL - 1) / 2 + offset[0] + 0.5) / scale - 0.5
    y = (CELL * row + (CELL - 1) / 2 + offset[1] + 0.5) / scale - 0.5
    angle = np.mod(np.arctan2(direction[1], direction[0]), 2 * np.pi)
    untold = np.full(len(row), 0.5)  # the type is read later
    table = np.stack([x, y, angle, untold, presence[row, column]], 1).astype(np.float32)
    table = table[(x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)]
    near = np.hypot(table[:, None, 0] - table[:, 0], table[:, None, 1] - table[:, 1]) <= APART / min(1.0, scale)
    kept = np.zeros(len(table), bool)
    for number in range(len(table)):
        kept[number] = not near[number, :number][kept[:number]].any()
    best: np.ndarray = table[kept][:MOST]
    return best
