"""fpml reconstruct: one's own pictures through a trained autoencoder."""

import argparse
from pathlib import Path

import fpml
from fpml.tasks.command import Arguments, Command, add_inputs, namer, save, usable


def reconstruct(a: Arguments) -> None:
    """Write NAME-original.png and NAME-reconstruction.png for every picture; a line with the error each."""
    model = fpml.load(a.model).need("reconstruction")
    name = namer(a.inputs, a.out)
    for part in usable(a.inputs, a.dpi, a.reader, model.data, "reconstruct"):
        for picture, found in zip(part.pictures, model.reconstructed(part.placements), strict=True):
            save(found.original, name(picture, "original"))
            save(found.picture, name(picture, "reconstruction"))
            print(f"{picture}: PSNR {found.psnr:.2f} dB")
    print(f"the reconstructions are in {a.out}")


def arguments(p: argparse.ArgumentParser) -> None:
    add_inputs(p, "reconstruct", 500)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")


COMMANDS: dict[str, Command] = {
    "reconstruct": ("reconstruct your own pictures with a trained autoencoder", reconstruct, arguments),
}
