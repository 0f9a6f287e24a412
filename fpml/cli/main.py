"""The fpml command: a table of commands; each imports what it needs when it is called."""

import argparse
import errno
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fpml import tasks
from fpml.base.environment import make_ready
from fpml.base.errors import FpmlError
from fpml.cli import arguments
from fpml.tasks.command import Arguments, Command

if TYPE_CHECKING:
    from fpml.project.params import Params
    from fpml.tracking.promotion import Decision

UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h


def _params() -> "Params":
    from fpml.base.files import root
    from fpml.project.params import load

    return load(root() / "params.yaml")


def _run(name: str) -> "Params":
    """params.yaml, checked to have a run of this name."""
    params = _params()
    if name not in params.run:
        raise FpmlError(f"no run '{name}' in params.yaml; run has: {', '.join(params.run)}")
    return params


def synth(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.synth.sensors import sensor_named
    from fpml.synth.write import Plan, write_embedded, write_prints

    if a.out is None:
        defaults = vars(parser().parse_args(["synth"]))
        if given := [name for name, value in vars(a).items() if value != defaults[name] and name != "debug"]:
            raise FpmlError(
                f"--{given[0].replace('pattern', 'class')} is for --out DIR; the embedded data is set in params.yaml"
            )
        params = _params()
        write_embedded(params.synth, root() / "data" / "synth", params.runtime.pool)
        return
    sensors = [sensor_named(name) for name in dict.fromkeys(a.sensor)]
    if a.dpi is not None:
        sized = [(round(s.height * a.dpi / s.dpi), round(s.width * a.dpi / s.dpi)) for s in sensors]  # the plate stays as large
        sensors = [replace(s, dpi=a.dpi) for s in sensors]
        sensors = [replace(s, height=h, width=w) for s, (h, w) in zip(sensors, sized, strict=True)]
    if a.size is not None:
        sensors = [replace(sensor, height=a.size[0], width=a.size[1]) for sensor in sensors]
    plan = Plan(a.seed, a.fingers, a.impressions, tuple(sensors), "synth", a.condition, a.pattern)
    write_prints(a.out, plan, a.workers, a.device, a.resume, a.force)
    names = " ".join(sensor.name for sensor in sensors)
    count = a.fingers * a.impressions * len(sensors)
    print(f"{a.out}: {count} prints of {a.fingers} fingers on {names}; what is true of them is in {a.out / 'truth'}")


def ingest(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.data import manifest
    from fpml.data.ingest import ingest, summary

    params = _params()
    if a.dataset not in params.datasets:
        raise FpmlError(f"no dataset '{a.dataset}' in params.yaml; datasets has: {', '.join(params.datasets)}")
    frame = ingest(a.dataset, params.datasets[a.dataset], params.ingest, root(), params.runtime.pool)
    manifest.write(frame, root() / "data" / "manifest" / f"{a.dataset}.parquet")
    print(f"{a.dataset}: {summary(frame)}")


def prepare(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.data import manifest
    from fpml.data.prepare import prepare

    params = _run(a.run)
    data = params.recipe(a.run).data
    names = sorted({entry.split("/")[0] for entry in data.train + data.test})
    manifests = {n: manifest.read(root() / "data" / "manifest" / f"{n}.parquet") for n in names}
    readers: dict[str, str] = {n: params.datasets[n].reader for n in names}
    out = root() / "data" / "prepared" / a.run
    index = prepare(a.run, data, manifests, readers, root(), out, params.runtime.pool)
    print(f"{a.run}: {len(index)} prints of {data.height} x {data.width} pixels in {out}")


def split(a: Arguments) -> None:
    from fpml.base.files import new_file, root
    from fpml.data.split import split
    from fpml.data.store import open_prepared

    params = _run(a.run)
    sides = split(open_prepared(root() / "data" / "prepared" / a.run).index, params.recipe(a.run).split)
    with new_file(root() / "data" / "split" / f"{a.run}.parquet") as path:
        sides.to_parquet(path, index=False)
    print(f"{a.run}: " + ", ".join(f"{n} {side}" for side, n in sides["side"].value_counts().items()))


def train(a: Arguments) -> None:
    from fpml.stages.train import train_stage

    train_stage(a.run, _run(a.run))


def evaluate(a: Arguments) -> None:
    from fpml.metrics.table import METRICS
    from fpml.stages.evaluate import evaluate_stage

    found = evaluate_stage(a.run, _run(a.run))
    metric = found.facts["headline"]
    own = found.table[found.table["metric"] == metric]
    wide = own.pivot_table(index=["side", "part"], columns="method", values="value")
    print(f"{METRICS[metric].label}\n{wide.round(METRICS[metric].digits).to_string()}")


def report(a: Arguments) -> None:
    from fpml.report.page import report

    print(report(_params()))


def register(a: Arguments) -> None:
    from fpml.tracking.publish import publish, publish_report

    names = a.runs or list(_params().run)
    done = [publish(name, _run(name)) for name in names]
    if not all(done):
        raise FpmlError("the tracking store could not be reached; nothing was registered there (see above)")
    if not a.runs and (page := publish_report(_params())):
        print(f"report: {page}")


def promote(a: Arguments) -> None:
    from fpml.tracking import promotion

    names = a.runs or list(_params().run)
    if a.anyway is not None and not a.anyway.strip():
        raise FpmlError("--anyway is empty; it takes the reason, which is kept with the version")
    if a.anyway and not a.runs:
        raise FpmlError("--anyway passes by the gate: name the runs that it is for")
    failed: list[str] = []
    for name in names:
        try:
            _say_decision(promotion.promote(name, _run(name), a.anyway or "", a.dry_run), a.json)
        except FpmlError as error:  # the other runs are decided on all the same
            failed.append(str(error))
    if failed:
        raise FpmlError("; ".join(dict.fromkeys(failed)))


def rollback(a: Arguments) -> None:
    from fpml.tracking import promotion

    _say_decision(promotion.roll_back(a.run, _run(a.run)), a.json)


def _say_decision(decision: "Decision", as_json: bool) -> None:
    from dataclasses import asdict

    from fpml.tracking.promotion import sentence

    print(json.dumps(asdict(decision)) if as_json else sentence(decision), flush=True)


def drift(a: Arguments) -> None:
    from fpml.tracking.drift import drift, sentence

    found = drift(a.run, a.inputs, a.dpi, a.reader, _run(a.run))
    print(json.dumps(found) if a.json else sentence(found))
    if found["drifted"]:
        raise SystemExit(1)


def export(a: Arguments) -> None:
    from fpml.inference.package import export

    _run(a.run)
    print(export(a.run, a.out))


def data_add(a: Arguments) -> None:
    from fpml.admin.add import add

    add(a.name, a.path, a.reader, a.dpi, a.pattern, a.use)


def data_extend(a: Arguments) -> None:
    from fpml.admin.add import extend

    if not extend(a.name, a.path, a.settled):
        print(f"{a.name}: nothing new in {a.path}")


def data_purge(a: Arguments) -> None:
    from fpml.admin.found import find
    from fpml.admin.purge import purge

    params = _params()
    found = find(a.subject, a.gallery, params)
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
    for line in purge(found, params):
        print(line)
    print(
        "git's history keeps hashes and settings, no prints. Next: git add data && git commit -am 'purge', dvc push where there"
    )
    print(
        "is a remote, dvc repro, and train or delete the models above; other clones and back-ups have their own copies: run "
        "this there too"
    )
    if found.remains:
        raise FpmlError(f"not everything could be looked into; these may remain: {'; '.join(found.remains)}")


def data_list(a: Arguments) -> None:
    from fpml.admin.add import listing

    print(listing(_params()))


def data_get(a: Arguments) -> None:
    from fpml.data.get import get

    get(a.name, a.out or Path("data/downloads") / a.name, a.yes)


def preset(a: Arguments) -> None:
    from fpml.project.preset import put_in_place

    put_in_place(a.name)


def doctor(a: Arguments) -> None:
    from fpml.admin.doctor import examine

    if not examine(a.cache):
        raise SystemExit(1)


def show(a: Arguments) -> None:
    from fpml.admin.doctor import what_was_made

    print(what_was_made(_params()))


DATA: dict[str, Command] = {
    "add": ("check a folder of prints, put it under DVC and add it to params.yaml", data_add, arguments.add),
    "extend": ("copy new pictures into a dataset", data_extend, arguments.extend),
    "purge": ("erase a person from the data, results, galleries, MLflow and DVC", data_purge, arguments.purge),
    "get": ("download a public dataset, or say how to get it", data_get, arguments.get),
    "list": ("list the datasets, and the recipes that use them", data_list, arguments.nothing),
}
OF_TASKS: dict[str, Command] = {name: c for task in tasks.names() for name, c in tasks.commands(task).items()}
COMMANDS: dict[str, Command | tuple[str, dict[str, Command]]] = {
    "synth": ("stage: generate fingerprints (the demo's datasets, or --out)", synth, arguments.synth),
    "ingest": ("stage: read a dataset's folder into a manifest", ingest, arguments.name("dataset")),
    "prepare": ("stage: crop, resample and pad a run's prints", prepare, arguments.name("run")),
    "split": ("stage: split a run's prints into training and validation", split, arguments.name("run")),
    "train": ("stage: train a run's model", train, arguments.name("run")),
    "evaluate": ("stage: measure a trained model on every sensor and register it", evaluate, arguments.name("run")),
    "report": ("stage: write report/index.html", report, arguments.nothing),
    "data": ("datasets: add your own, get public ones, list them", DATA),
    "preset": (
        "set the demo's or the published settings in params.yaml",
        preset,
        arguments.preset,
    ),
    "register": ("send trained runs to the tracking store and the registry (again)", register, arguments.name("runs", "*")),
    "promote": ("make the challenger champion, if it is better", promote, arguments.promote),
    "rollback": ("restore the previous champion", rollback, arguments.rollback),
    "drift": ("test whether new prints differ from the training prints; exit code 1 if they do", drift, arguments.drift),
    "export": ("write a trained run as one file, which every --model accepts", export, arguments.export),
    **OF_TASKS,
    "show": ("show what was made, and where it is", show, arguments.nothing),
    "doctor": ("check the environment, stores, git and DVC, and say how to fix them", doctor, arguments.doctor),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="fpml", description="Fingerprint images to registered models. Run it in the project's folder."
    )
    top.add_argument("--completion", choices=["bash", "zsh", "tcsh"], help="print a completion script for this shell")
    _add_commands(top, COMMANDS)
    return top


def _add_commands(parent: argparse.ArgumentParser, commands: dict) -> None:  # type: ignore[type-arg]
    below = parent.add_subparsers(title="commands", metavar="COMMAND")
    for name, (text, *rest) in commands.items():
        p = below.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if isinstance(rest[0], dict):
            _add_commands(p, rest[0])
            p.set_defaults(function=None, parser=p)
        else:
            p.add_argument("--debug", action="store_true", help="show the traceback of an error")
            rest[1](p)
            p.set_defaults(function=rest[0])


def heed_signals() -> None:
    """Have SIGINT and SIGTERM interrupt this process, and with it all that it starts by exec: a shell starts what it runs in
    the background with SIGINT ignored, which children inherit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def main(given: list[str] | None = None) -> int:
    """Run one command. 0 done, 1 the answer is no (verify, drift, doctor), 2 bad input or state (one line on stderr),
    130 interrupted, UNEXPECTED anything else."""
    heed_signals()
    make_ready()
    top = parser()
    a = top.parse_args(given)
    if a.completion:
        import shtab

        print(shtab.complete(top, a.completion))
        return 0
    if getattr(a, "function", None) is None:
        getattr(a, "parser", top).print_help()
        return 0
    try:
        a.function(a)
    except KeyboardInterrupt as interrupt:
        left = str(interrupt) or "nothing half-written was left, run it again to go on"
        print(f"\nfpml: interrupted; {left}", file=sys.stderr)
        return 130
    except (FpmlError, OSError) as error:
        if a.debug:
            raise
        back = "; what this stage had made comes back from DVC's cache once that is mended" if "DVC_STAGE" in os.environ else ""
        print(f"fpml: {_message(error)}{back}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if a.debug:
            raise
        print(
            f"fpml: this needs {error.name}, which is not installed; it comes with fpml's extra [pipeline], see README",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        if a.debug:
            raise
        print(f"fpml: {type(error).__name__}: {' '.join(str(error).split())[:500]} (--debug shows where)", file=sys.stderr)
        return UNEXPECTED
    return 0


def _message(error: FpmlError | OSError) -> str:
    if isinstance(error, FpmlError):
        return " ".join(str(error).split())
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and run it again, nothing half-written was left"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission{where}: {os.strerror(error.errno)}; allow it or choose another folder"
    return f"{error.strerror or error}{where}"


if __name__ == "__main__":
    sys.exit(main())
