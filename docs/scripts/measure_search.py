"""How often a search in steps loses a finger that comparing in full would find; writes docs/matching/search.json.

    python docs/scripts/measure_search.py

Of FINGERS generated fingers on each of SENSORS sensors that no training draws one print is enrolled, another looked up; beside
them stand DECOYS prints, each of two halves of other fingers' prints turned against each other. A finger is lost that is
not among the BEST that the search gives, though its score in full is higher than the last one's of these. All with the skin
round the minutiae, and without, as other programs' templates are.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import fpml
from fpml.base.progress import progress
from fpml.inference.minutiae import look
from fpml.matching import search
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.matching.template import Template
from fpml.metrics.intervals import wilson
from fpml.synth.generate import generate

FINGERS, SENSORS, DECOYS, BEST = 60, 6, 100_000, 5
SEED = 20261126  # of fingers that the search was not made with
OTHERS = 40  # fingers on each sensor that decoys are made of


def mixed(templates: list[Template], rng: np.random.Generator) -> Template:
    """Half of one print's minutiae beside half of another's, with the skin round them, each turned and moved a little."""
    way, halves = rng.uniform(0, np.pi), []
    for number, side in zip(rng.choice(len(templates), 2, replace=False), (1, -1), strict=True):
        whole = templates[number]
        at = np.stack([whole.x, whole.y], 1)
        at = at - np.median(at, 0)
        kept = side * (at @ np.array([np.cos(way), np.sin(way)])) > 0
        turn = rng.uniform(-0.5, 0.5)
        c, s = np.cos(turn), np.sin(turn)
        x, y = (at @ np.array([[c, -s], [s, c]]) + 160 + rng.normal(0, 2, at.shape)).T
        halves.append(replace(whole, x=x, y=y, angle=whole.angle + turn).take(kept))
    one, other = halves
    columns = {name: np.concatenate([getattr(h, name) for h in halves]) for name in ("x", "y", "angle", "ending", "quality")}
    assert one.texture is not None
    assert other.texture is not None
    return replace(one, **columns, texture=np.concatenate([one.texture, other.texture]))


def lost(enrolled: list[Template], probes: list[Template], decoys: list[Template]) -> dict[str, object]:
    """Of the probes whose mates a comparison in full would put among the best, how many the search loses."""
    many = enrolled + decoys
    codes, rows = [], []
    for template in progress(many, "codes", len(many), "prints"):
        found = cylinders(template)
        codes.append(search.code(found))
        rows.append(found.minutiae)
    index = search.index_of(many, codes, rows)
    among, missed = 0, 0
    for own, probe in enumerate(progress(probes, "searches", len(probes), "prints")):
        best = search.search(index, probe, BEST)
        if own in [place for place, _ in best]:
            among += 1
        elif not best or match(cylinders(probe), cylinders(enrolled[own])).score > best[-1][1]:
            missed += 1
    asked = among + missed
    low, high = wilson(missed, asked)
    return {
        "gallery": len(many), "probes": len(probes), f"among the best {BEST} in full": asked, "of these lost": missed,
        "share lost, 95 %": [round(missed / asked, 4), round(low, 4), round(high, 4)],
    }  # fmt: skip


def main() -> None:
    model, rng = fpml.load("minutiae-1"), np.random.default_rng(0)
    enrolled: list[Template] = []
    probes: list[Template] = []
    strangers: list[Template] = []
    for number in range(1, SENSORS + 1):
        prints = generate(FINGERS, 2, f"random-{number}", SEED + number, "hard", device="cpu")
        for row, picture in enumerate(progress(prints.pictures, f"random-{number}", len(prints.pictures), "prints")):
            (probes if row % 2 else enrolled).append(look(model, picture, 500).template)
        others = generate(OTHERS, 1, f"random-{number}", SEED + 1000 + number, "hard", device="cpu").pictures
        strangers += [look(model, picture, 500).template for picture in others]
    decoys = [mixed(strangers, rng) for _ in progress(range(DECOYS), "decoys", DECOYS, "prints")]

    def plain(templates: list[Template]) -> list[Template]:
        return [replace(template, texture=None) for template in templates]

    said = {
        "model": model.sha256, "with textures": lost(enrolled, probes, decoys),
        "without": lost(plain(enrolled), plain(probes), plain(decoys)),
    }  # fmt: skip
    (Path(__file__).parents[1] / "matching" / "search.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    print(said)


if __name__ == "__main__":
    main()
