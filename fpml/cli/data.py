"""Datasets: added, extended, fetched, listed; and a person erased."""

import argparse
from pathlib import Path

from fpml.base.errors import FpmlError
from fpml.cli.project import load_params, nothing
from fpml.data import readers
from fpml.tasks.command import Arguments, Command


def add_dataset(a: Arguments) -> None:
    from fpml.admin.add import add

    add(a.name, a.path, a.reader, a.dpi, a.pattern, a.use)


def of_add(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="lower-case letters, digits and hyphens")
    p.add_argument("path", type=Path, help="the folder of prints")
    p.add_argument("--reader", required=True, choices=readers.names())
    p.add_argument("--dpi", type=float, help="of all its sensors; detected for FVC collections")
    p.add_argument("--pattern", default="", help="folder reader: a regular expression for the file name, with (?P<finger>…)")
    p.add_argument("--use", metavar="RECIPE:train|test", help="also add it to a recipe")


def extend_dataset(a: Arguments) -> None:
    from fpml.admin.add import extend

    if not extend(a.name, a.path, a.settled):
        print(f"{a.name}: nothing new in {a.path}")


def of_extend(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="the dataset")
    p.add_argument("path", type=Path, metavar="FOLDER", help="the new pictures, in the dataset's layout")
    p.add_argument(
        "--settled", type=float, default=0, metavar="SECONDS", help="skip files modified in the last SECONDS (default 0)"
    )


def erase(a: Arguments) -> None:
    from fpml.admin.found import find
    from fpml.admin.purge import purge

    settings = load_params()
    found = find(a.subject, a.gallery, settings)
    kept = ", ".join([*found.trained, *found.versions]) or "none"
    print(f"{a.subject}: {len(found.rows)} prints in {', '.join(found.datasets)}")
    for file in found.files:
        print(f"  {file}")
    if gone := sorted(found.person.files - set(found.rows["file"])):
        print(f"in earlier versions only: {len(gone)} files, such as {gone[0]}")
    print(f"models that were trained on them, and keep what they learnt: {kept}")
    try:
        sure = a.yes or input("Remove the prints and all that shows or counts them? (yes/no) ").strip().lower() == "yes"
    except EOFError:
        raise FpmlError("there is no terminal to ask on: give --yes to remove them; nothing was removed") from None
    if not sure:
        raise FpmlError("nothing was removed")
    for line in purge(found, settings):
        print(line)
    print("git's history keeps hashes and settings. Next: git add data && git commit -am 'purge', dvc push where there")
    print(
        "is a remote, dvc repro, and train or delete the models above; other clones and back-ups have their own copies: run "
        "this there too"
    )
    if found.remains:
        raise FpmlError(f"not everything could be looked into; these may remain: {'; '.join(found.remains)}")


def of_purge(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--subject", required=True, metavar="ID", help="the person as in the manifests, DATASET/ID, or DATASET/FINGER"
    )
    p.add_argument(
        "--gallery", nargs="*", type=Path, default=[Path("gallery.parquet")], help="gallery files (default gallery.parquet)"
    )
    p.add_argument("--yes", action="store_true", help="remove without a prompt")


def fetch(a: Arguments) -> None:
    from fpml.data.get import get

    get(a.name, a.out or Path("data/downloads") / a.name, a.yes)


def of_get(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", help="mnist, fashion-mnist or fvc2002-b; for others: how to get them")
    p.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default data/downloads/NAME)")
    p.add_argument("--yes", action="store_true", help="accept the terms without a prompt")


def list_datasets(a: Arguments) -> None:
    from fpml.admin.add import listing

    print(listing(load_params()))


COMMANDS: dict[str, Command] = {
    "add": ("check a folder of prints, put it under DVC and add it to params.yaml", add_dataset, of_add),
    "extend": ("copy new pictures into a dataset", extend_dataset, of_extend),
    "purge": ("erase a person from the data, results, galleries, MLflow and DVC", erase, of_purge),
    "get": ("download a public dataset, or say how to get it", fetch, of_get),
    "list": ("list the datasets, and the recipes that use them", list_datasets, nothing),
}
