"""What the page answers, by what fpml.inference finds: numbers and lists that become JSON, drawn by the browser.

Places are in pixels at 500 dpi, x to the right, y down; angles are degrees, counter-clockwise from the right."""

import base64
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from fpml.base.errors import FpmlError
from fpml.data.pictures import BadPicture, pixel_hash
from fpml.inference.compare import Feature, Kind, Minutiae, compared, kind_of
from fpml.inference.gallery import Gallery, Threshold, enrolled, threshold_of
from fpml.inference.minutiae import BLOCK, FEWEST, SKIN, Look, comparable, look
from fpml.inference.model import Model
from fpml.inference.pattern import told
from fpml.inference.place import place
from fpml.matching import formats
from fpml.matching.template import Template
from fpml.tryout.pictures import Picture, shown, tinted

DAMAGE = (214, 40, 40)  # red, green, blue
ENROLLED = 100  # prints in a page's gallery


def compare(model: Model, pictures: tuple[Picture, Picture], dpi: tuple[float | None, float | None]) -> dict[str, Any]:
    """Two prints: score, threshold and verdict; of minutiae what was found, and which belong together."""
    kind, threshold = kind_of(model), threshold_of(model)
    if isinstance(kind, Minutiae):
        a, b = (_named(p, lambda p=p, d=d: comparable(model, p.grey, d)) for p, d in zip(pictures, dpi, strict=True))
        match = compared(a.template, b.template)
        score, pairs = match.score, match.pairs.tolist()
        drawn = [{**drawing(seen.template), "said": _said(seen)} for seen in (a, b)]
    else:
        features = [feature(kind, p, d) for p, d in zip(pictures, dpi, strict=True)]
        score, pairs, drawn = float(kind.against(kind.columns(features[:1]))(features[1])[0]), [], []
    return {"score": score, "pairs": pairs, "prints": drawn, **_verdict(score, threshold)}


def _verdict(score: float, threshold: Threshold) -> dict[str, Any]:
    same = score >= threshold.value
    often = f"about one in {round(1 / threshold.fmr):,}" if threshold.fmr else "none"
    return {
        "same": same, "verdict": "the same finger" if same else "not the same finger", "threshold": str(threshold),
        "in_words": f"Of pairs of prints of different fingers {often} reached this threshold when it was counted"
        + (f"; {reached}." if (reached := threshold.reached_by(score)) else "."),
    }  # fmt: skip


def feature(kind: Kind, picture: Picture, dpi: float | None) -> Feature:
    """What is kept of a print to compare it by. BadPicture, with its name, where nothing can be."""
    kept: Feature = _named(picture, lambda: kind.of_picture(picture.grey, dpi)[0])
    return kept


def enrol(gallery: Gallery | None, kind: Kind, kept: Feature, finger: str, picture: Picture) -> Gallery:
    """The gallery with one more print. FpmlError for a picture that is in it already, and where it is full."""
    finger = " ".join(finger.split())
    if not 1 <= len(finger) <= 80:
        raise FpmlError("the finger has no name; give it one of up to 80 characters")
    if gallery is not None and len(gallery.frame) >= ENROLLED:
        raise FpmlError(f"{len(gallery.frame)} prints are enrolled, as many as the page takes; for more: fpml enrol")
    # Two people's pictures may both be called 1.png.
    return enrolled(gallery, kind, [kept], [finger], [f"{picture.name} {pixel_hash(picture.grey)[:8]}"])


def listed(gallery: Gallery | None) -> list[dict[str, str]]:
    if gallery is None:
        return []
    columns = gallery.frame["finger"], gallery.frame["picture"]
    return [{"finger": finger, "picture": picture.rpartition(" ")[0]} for finger, picture in zip(*columns, strict=True)]


def identify(model: Model, gallery: Gallery | None, picture: Picture, dpi: float | None) -> dict[str, Any]:
    """The enrolled fingers that are most alike, best first."""
    if gallery is None:
        raise FpmlError(f"nobody is enrolled for {model.name}; enrol a print first")
    kind, threshold = kind_of(model), threshold_of(model)
    [best] = gallery.best(kind, [feature(kind, picture, dpi)], threshold)
    among = gallery.frame["finger"].nunique()
    return {"matches": [asdict(m) for m in best], "threshold": str(threshold), "among": among}


def repair(model: Model, picture: Picture, dpi: float | None) -> dict[str, Any]:
    """Before and after at the model's dpi, the damage as a map of red, and what was found, of a model that says it."""
    if dpi is None:
        raise FpmlError("the dpi is missing; give the picture's")
    [repaired] = _named(picture, lambda: model.repair(picture.grey, dpi))
    height, width = repaired.picture.shape
    before, found = _before(model, picture.grey, dpi, (width, height)), getattr(repaired, "found", None)
    return {
        "width": width, "height": height, "dpi": repaired.dpi, "before": shown(before),
        "after": shown(repaired.picture), "damage": tinted(repaired.damage, DAMAGE),
        "damaged": float((repaired.damage > 0.5).mean()), "found": None if found is None else asdict(found),
    }  # fmt: skip


def _before(model: Model, grey: np.ndarray, dpi: float, size: tuple[int, int]) -> np.ndarray:
    """What lies under the repaired picture: the whole print at its size (width, height), or what the model cut out of it."""
    if model.data.crop == "none":
        return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS))
    placement = place(grey, dpi, model.data)
    top, bottom, left, right = placement.box
    return placement.canvas[top:bottom, left:right]


def inside(model: Model, picture: Picture, dpi: float | None) -> dict[str, Any]:
    """All that the model sees in one print, and its template as files."""
    seen = _named(picture, lambda: look(model, picture.grey, dpi))
    template, skin = seen.template, seen.foreground > SKIN
    count = len(template)
    facts = {
        "quality": f"{'enough' if count >= FEWEST else 'too poor'} to be compared, which takes {FEWEST} minutiae or more",
        "minutiae": f"{count}, of a mean certainty of {template.quality.mean():.0%}" if count else "none",
        "skin": f"{skin.mean():.0%} of the picture",
        "ridge period": f"{seen.ridge_period:.1f} pixels at 500 dpi, the median over the skin" if skin.any() else "no ridges",
        "pattern": told(seen),
        "resolution": f"{seen.dpi:.0f} dpi, {'told by its ridges' if seen.dpi_estimated else 'as you said'}",
    }
    files = {"json": formats.to_json(template), "fmr": base64.b64encode(formats.to_iso(template)).decode()}
    return {**drawing(template), **fields(seen.orientation, seen.period, seen.foreground), "facts": facts, "files": files}


def drawing(template: Template) -> dict[str, Any]:
    """Minutiae as x, y, degrees, whether an ending, certainty; and the picture's size at 500 dpi."""
    table = template.table().astype(float) * [1, 1, 180 / np.pi, 1, 1]
    rows = [
        [round(x, 1), round(y, 1), round(angle), bool(ending >= 0.5), round(sure, 2)] for x, y, angle, ending, sure in table
    ]
    return {"width": template.width, "height": template.height, "minutiae": rows}


def fields(orientation: np.ndarray, period: np.ndarray, skin: np.ndarray) -> dict[str, Any]:
    """Maps with a value for each BLOCK x BLOCK pixels: degrees, pixels, 0..1."""
    degrees = np.round(np.rad2deg(orientation)).astype(int)
    return {
        "block": BLOCK, "orientation": degrees.tolist(), "period": np.round(period.astype(float), 1).tolist(),
        "skin": np.round(skin.astype(float), 2).tolist(),
    }  # fmt: skip


def _said(seen: Look) -> str:
    return f"{len(seen.template)} minutiae, {seen.dpi:.0f} dpi{', estimated by its ridges' if seen.dpi_estimated else ''}"


def _named(picture: Picture, of: Any) -> Any:
    """What is found in a picture; its name before the reason where it can't be used."""
    try:
        return of()
    except BadPicture as error:
        raise type(error)(f"{picture.name}: {error}") from None
