"""Settings, and what stands in the way."""

import argparse

from fpml.cli.project import load_params, nothing
from fpml.project import PRESETS
from fpml.tasks.command import Arguments, Command


def preset(a: Arguments) -> None:
    from fpml.project.preset import put_in_place

    put_in_place(a.name)


def of_preset(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", choices=sorted(p.stem for p in PRESETS.glob("*.yaml")))


def show(a: Arguments) -> None:
    from fpml.admin.doctor import what_was_made

    print(what_was_made(load_params()))


def doctor(a: Arguments) -> None:
    from fpml.admin.doctor import examine

    if not examine(a.cache):
        raise SystemExit(1)


def of_doctor(p: argparse.ArgumentParser) -> None:
    p.add_argument("--cache", action="store_true", help="also check all of DVC's cache, and repair damaged objects")


COMMANDS: dict[str, Command] = {
    "preset": ("set the demo's, the published or the shipped models' settings in params.yaml", preset, of_preset),
    "show": ("show what was made, and where it is", show, nothing),
    "doctor": ("check the environment, stores, git and DVC, and say how to fix them", doctor, of_doctor),
}
