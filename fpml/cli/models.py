"""What becomes of trained models: promoted, rolled back, watched for drift, exported."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fpml.base.errors import FpmlError
from fpml.cli.project import load_params, named, params_of
from fpml.tasks.command import Arguments, Command, add_reader

if TYPE_CHECKING:
    from fpml.tracking.promotion import Decision


def promote(a: Arguments) -> None:
    from fpml.tracking import promotion

    names = a.runs or list(load_params().run)
    if a.anyway is not None and not a.anyway.strip():
        raise FpmlError("--anyway is empty; it takes the reason, which is kept with the version")
    if a.anyway and not a.runs:
        raise FpmlError("--anyway passes by the gate: name the runs that it is for")
    failed: list[str] = []
    for name in names:
        try:
            _say_decision(promotion.promote(name, params_of(name), a.anyway or "", a.dry_run), a.json)
        except FpmlError as error:  # the other runs are decided on all the same
            failed.append(str(error))
    if failed:
        raise FpmlError("; ".join(dict.fromkeys(failed)))


def of_promote(p: argparse.ArgumentParser) -> None:
    named("runs", "*")(p)
    p.add_argument("--anyway", default=None, metavar="REASON", help="skip the gate; the reason is stored with the version")
    p.add_argument("--dry-run", action="store_true", help="only say what would be decided")
    p.add_argument("--json", action="store_true", help="print a line of JSON per run")


def rollback(a: Arguments) -> None:
    from fpml.tracking import promotion

    _say_decision(promotion.roll_back(a.run, params_of(a.run)), a.json)


def of_rollback(p: argparse.ArgumentParser) -> None:
    named("run")(p)
    p.add_argument("--json", action="store_true", help="print a line of JSON")


def _say_decision(decision: "Decision", as_json: bool) -> None:
    from dataclasses import asdict

    from fpml.tracking.promotion import sentence

    print(json.dumps(asdict(decision)) if as_json else sentence(decision), flush=True)


def drift(a: Arguments) -> None:
    from fpml.tracking.drift import drift, sentence

    found = drift(a.run, a.inputs, a.dpi, a.reader, params_of(a.run))
    print(json.dumps(found) if a.json else sentence(found))
    if found["drifted"]:
        raise SystemExit(1)


def of_drift(p: argparse.ArgumentParser) -> None:
    p.add_argument("run")
    what = "pictures or folders; if omitted: prints of the run's datasets that it was not trained on"
    p.add_argument("inputs", nargs="*", type=Path, metavar="IN", help=what)
    p.add_argument("--dpi", type=float, default=500, help="resolution of the pictures (default 500)")
    add_reader(p)
    p.add_argument("--json", action="store_true", help="print a line of JSON")


def export(a: Arguments) -> None:
    from fpml.inference.package import export

    params_of(a.run)
    print(export(a.run, a.out))


def of_export(p: argparse.ArgumentParser) -> None:
    p.add_argument("run")
    p.add_argument("--out", type=Path, metavar="FILE", help="default: RUN.fpml.zip in this folder")


COMMANDS: dict[str, Command] = {
    "promote": ("make the challenger champion, if it is better", promote, of_promote),
    "rollback": ("restore the previous champion", rollback, of_rollback),
    "drift": ("test whether new prints differ from the training prints; exit code 1 if they do", drift, of_drift),
    "export": ("write a trained run as one file, which every --model accepts", export, of_export),
}
