"""fpml minutiae: one's own prints as templates."""

import argparse
from pathlib import Path

import fpml
from fpml.base.errors import FpmlError
from fpml.tasks.command import OF_MODEL, Arguments, Command, add_dpi, add_reader, namer, say_how_many

FORMATS = ("json", "fmr", "xyt")
ODD = (5.5, 14.0)  # pixels at 500 dpi: ridge periods that no finger has, so that the dpi may be wrong


def minutiae(a: Arguments) -> None:
    """Write NAME.json, NAME.fmr (ISO/IEC 19794-2:2005) and NAME.xyt (NIST) for every picture; a line with what was found."""
    from fpml.base.progress import progress
    from fpml.data.pictures import BadPicture, read_grey
    from fpml.data.readers import reader_named
    from fpml.inference.minutiae import OUTPUTS, look
    from fpml.inference.pattern import told
    from fpml.inference.place import MAX_PIXELS, find_pictures
    from fpml.matching.formats import write

    model = fpml.load(a.model).need(*OUTPUTS)
    if not 0 <= a.finger <= 10:
        raise FpmlError(f"--finger is {a.finger}; allowed: 0 (unknown), 1 (right thumb) to 10 (left little finger)")
    pictures, name = find_pictures(a.inputs), namer(a.inputs, a.out)
    good = 0
    for picture in progress(pictures, "minutiae", len(pictures), "prints"):
        try:
            seen = look(model, reader_named(a.reader).crop(read_grey(picture, MAX_PIXELS)), a.dpi[0])
        except BadPicture as error:
            print(f"{picture}: left out: {error}")
            continue
        good += 1
        template = seen.template.of_finger(a.finger)
        for kind in a.format:
            write(template, name(picture, "minutiae").with_suffix(f".{kind}"))
        dpi = f"; {seen.dpi:.0f} dpi, estimated by its ridges" if seen.dpi_estimated else ""
        period = seen.ridge_period
        if len(template) and not seen.dpi_estimated and not ODD[0] <= period <= ODD[1]:
            dpi = f"; ridges {period:.1f} pixels apart at 500 dpi, which no finger has: is {seen.dpi:g} dpi right? (--dpi auto)"
        print(f"{picture}: {len(template)} minutiae, {told(seen)}{dpi}")
    say_how_many(good, len(pictures))
    print(f"templates are in {a.out}")


def arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="pictures, or folders of pictures")
    p.add_argument("--model", default="minutiae-1", help=f"{OF_MODEL} (default minutiae-1, which comes with fpml)")
    add_dpi(p, False)
    add_reader(p)
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    p.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help="of the templates (default: all)")
    p.add_argument("--finger", type=int, default=0, metavar="N", help="position code, 1 right thumb to 10 left little finger")


COMMANDS: dict[str, Command] = {
    "minutiae": ("find the minutiae of your own prints, as templates", minutiae, arguments),
}
