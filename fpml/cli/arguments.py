"""What each command of fpml takes: functions that add arguments to a parser, or make such a function."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fpml.data import readers
from fpml.tasks.command import add_reader

Adder = Callable[[argparse.ArgumentParser], None]


def synth(p: argparse.ArgumentParser) -> None:
    from fpml.synth.sensors import SENSORS

    p.add_argument("--out", type=Path, metavar="DIR", help="write prints to a new folder; without it: the demo's datasets")
    p.add_argument("--fingers", type=int, default=10, metavar="N", help="number of fingers (default 10)")
    p.add_argument("--impressions", type=int, default=8, metavar="N", help="per finger and sensor (default 8)")
    p.add_argument(
        "--sensor",
        nargs="+",
        default=["fvc2002-db1"],
        metavar="NAME",
        help=f"one or several, all with the same fingers: {', '.join(SENSORS)} (default fvc2002-db1)",
    )
    p.add_argument("--seed", type=int, default=7, metavar="N", help="seed of the fingers (default 7)")
    p.add_argument("--class", dest="pattern", metavar="CLASS", help="arch, tented-arch, left-loop, right-loop or whorl")
    p.add_argument(
        "--condition", default="fvc", help="normal, displaced, rotated, dry or wet; fvc (default): all of them in turn"
    )
    p.add_argument("--dpi", type=int, metavar="N", help="resolution, in place of each sensor's own; the plate keeps its size")
    p.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="pixels, in place of each sensor's own")
    p.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    p.add_argument("--workers", type=int, default=0, metavar="N", help="processes; 0: one per core")
    p.add_argument("--resume", action="store_true", help="continue an interrupted run")
    p.add_argument("--force", action="store_true", help="replace what fpml synth wrote to DIR before")


def export(p: argparse.ArgumentParser) -> None:
    p.add_argument("run")
    p.add_argument("--out", type=Path, metavar="FILE", help="default: RUN.fpml.zip in this folder")


def add(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="lower-case letters, digits and hyphens")
    p.add_argument("path", type=Path, help="the folder of prints")
    p.add_argument("--reader", required=True, choices=readers.names())
    p.add_argument("--dpi", type=float, help="of all its sensors; detected for FVC collections")
    p.add_argument("--pattern", default="", help="folder reader: a regular expression for the file name, with (?P<finger>…)")
    p.add_argument("--use", metavar="RECIPE:train|test", help="also add it to a recipe")


def get(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="mnist, fashion-mnist or fvc2002-b; for others: how to get them")
    p.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default data/downloads/NAME)")
    p.add_argument("--yes", action="store_true", help="accept the terms without a prompt")


def preset(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", choices=["demo", "published"])


def name(what: str, nargs: str | None = None) -> Adder:
    def add(p: argparse.ArgumentParser) -> None:
        p.add_argument(what, nargs=nargs) if nargs else p.add_argument(what)

    return add


def nothing(p: argparse.ArgumentParser) -> None:
    pass


def promote(p: argparse.ArgumentParser) -> None:
    name("runs", "*")(p)
    p.add_argument("--anyway", default=None, metavar="REASON", help="skip the gate; the reason is stored with the version")
    p.add_argument("--dry-run", action="store_true", help="only say what would be decided")
    p.add_argument("--json", action="store_true", help="print a line of JSON per run")


def rollback(p: argparse.ArgumentParser) -> None:
    name("run")(p)
    p.add_argument("--json", action="store_true", help="print a line of JSON")


def drift(p: argparse.ArgumentParser) -> None:
    p.add_argument("run")
    what = "pictures or folders; if omitted: prints of the run's datasets that it was not trained on"
    p.add_argument("inputs", nargs="*", type=Path, metavar="IN", help=what)
    p.add_argument("--dpi", type=float, default=500, help="resolution of the pictures (default 500)")
    add_reader(p)
    p.add_argument("--json", action="store_true", help="print a line of JSON")


def extend(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="the dataset")
    p.add_argument("path", type=Path, metavar="FOLDER", help="the new pictures, in the dataset's layout")
    p.add_argument(
        "--settled", type=float, default=0, metavar="SECONDS", help="skip files modified in the last SECONDS (default 0)"
    )


def purge(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--subject", required=True, metavar="ID", help="the person as in the manifests, DATASET/ID, or DATASET/FINGER"
    )
    p.add_argument(
        "--gallery", nargs="*", type=Path, default=[Path("gallery.parquet")], help="gallery files (default gallery.parquet)"
    )
    p.add_argument("--yes", action="store_true", help="remove without a prompt")


def doctor(p: argparse.ArgumentParser) -> None:
    p.add_argument("--cache", action="store_true", help="also check all of DVC's cache, and repair damaged objects")
