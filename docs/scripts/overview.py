"""Draw docs/overview.png, the README's first picture, from generated prints: compare, repair, make.

    python docs/scripts/overview.py             # with repair-1
    python docs/scripts/overview.py MODEL       # another repair model, as --model takes it

No print here was trained on: the seeds are others than the demo's."""

import sys
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

import fpml
from fpml.alteration.apply import apply
from fpml.alteration.draw import draw
from fpml.drawing.figures import save
from fpml.inference.compare import compared
from fpml.inference.gallery import threshold_of
from fpml.synth.generate import generate

OUT = Path(__file__).parents[1] / "overview.png"
SEED = 1880
FOUND, PAIRED = "#3f6fb5", "#d2451e"
MADE = {"fvc2002-db1": "whorl", "fvc2002-db3": "arch", "lumidigm": "left-loop", "thermal-sweep": "right-loop"}


def compare(axis: plt.Axes) -> None:
    """Two impressions of one finger, and the minutiae that the score rests on."""
    model = fpml.load("minutiae-1")
    left, right = generate(fingers=1, impressions=2, sensor="fvc2002-db1", seed=SEED + 4, pattern="left-loop").pictures
    a, b = (look.template for look in model.minutiae([left, right], dpi=500))
    match, shift = compared(a, b), left.shape[1]
    axis.imshow(np.concatenate([left, right], axis=1), cmap="gray", vmin=0, vmax=255)
    for template, right_by in ((a, 0), (b, shift)):
        axis.scatter(template.x + right_by, template.y, 18, facecolors="none", edgecolors=FOUND, linewidths=1.3)
    for one, other in match.pairs:
        axis.plot([a.x[one], b.x[other] + shift], [a.y[one], b.y[other]], "-o", color=PAIRED, lw=1.3, ms=3.5)
    verdict = "the same finger" if match.score >= (threshold := threshold_of(model)).value else "not the same finger"
    axis.set_title(f"Compare: score {match.score:.2f}, threshold {threshold.value:.3f}: {verdict}")


def repair(axes: list[plt.Axes], model: str) -> None:
    """An altered print, what the network takes for damage, its repair, and the print that it was."""
    real = generate(1, 1, "socofing", SEED + 5, "normal", "right-loop").pictures[0][2:-4, 2:-4]
    altered, _ = apply(real, draw(real, "CR", "Hard", np.random.default_rng(5), 180))
    [repaired] = fpml.load(model).repair(altered, dpi=180)
    axes[0].set_title("Repair: altered")
    for axis, picture, title in zip(axes, (altered, repaired.damage, repaired.picture, real),
                                    ("", "damage found", "repaired", "as it was"), strict=True):  # fmt: skip
        damage = picture.dtype != np.uint8
        axis.imshow(picture, cmap="magma" if damage else "gray", vmin=0, vmax=1 if damage else 255)
        axis.set_title(title or axis.get_title())


def make(axes: list[plt.Axes]) -> None:
    for axis, (sensor, pattern) in zip(axes, MADE.items(), strict=True):
        axis.imshow(generate(1, 1, sensor, SEED, "normal", pattern).pictures[0], cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{pattern}, {sensor}")
    axes[0].set_title(f"Make: {axes[0].get_title()}")


def palette() -> Image.Image:
    """Greys, the damage map's colours and those of the marks: what is drawn, in a third of the bytes."""
    greys = np.repeat(np.linspace(0, 1, 176)[:, None], 3, axis=1)
    damage = plt.get_cmap("magma")(np.linspace(0, 1, 48))[:, :3]
    paler = np.linspace(0, 1, 16)[:, None]
    marks = [paler + (1 - paler) * to_rgb(colour) for colour in (FOUND, PAIRED)]
    out = Image.new("P", (1, 1))
    out.putpalette((np.concatenate([greys, damage, *marks]) * 255).round().astype(np.uint8).tobytes())
    return out


def main() -> None:
    figure = plt.figure(figsize=(12.8, 6.3), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.62, 1])
    wide = left.subplots(2, 1, height_ratios=[1.75, 1])
    compare(wide[0])
    wide[1].axis("off")
    repair([wide[1].inset_axes((n / 4, 0, 0.25, 1)) for n in range(4)], sys.argv[1] if sys.argv[1:] else "repair-1")
    make(list(right.subplots(2, 2, height_ratios=[1, 1.45]).ravel()))
    for axis in figure.findobj(plt.Axes):
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    drawn = BytesIO()
    save(figure, drawn)
    Image.open(drawn).convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
