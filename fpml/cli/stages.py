"""The stages of the graph, as dvc.yaml calls them; and synth for prints of one's own."""

import argparse
from dataclasses import replace
from pathlib import Path

from fpml.base.environment import keep_memory
from fpml.base.errors import FpmlError
from fpml.cli.project import load_params, named, nothing, params_of
from fpml.tasks.command import Arguments, Command


def synth(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.synth.sensors import sensor_named
    from fpml.synth.write import Plan, write_embedded, write_prints

    if a.out is None:
        alone = argparse.ArgumentParser()
        of_synth(alone)
        defaults = vars(alone.parse_args([]))
        if given := [name for name, value in vars(a).items() if name in defaults and value != defaults[name]]:
            raise FpmlError(
                f"--{given[0].replace('pattern', 'class')} is for --out DIR; the demo's datasets are set in params.yaml"
            )
        settings = load_params()
        folder = root() / "data" / "synth"
        write_embedded(settings.synth, folder, settings.runtime.pool)
        print(f"generated prints, the first pictures to look at: {folder}")
        return
    sensors = [sensor_named(name) for name in dict.fromkeys(a.sensor)]
    if a.dpi is not None:
        sized = [(round(s.height * a.dpi / s.dpi), round(s.width * a.dpi / s.dpi)) for s in sensors]  # the plate stays as large
        sensors = [replace(s, dpi=a.dpi) for s in sensors]
        sensors = [replace(s, height=h, width=w) for s, (h, w) in zip(sensors, sized, strict=True)]
    if a.size is not None:
        sensors = [replace(sensor, height=a.size[0], width=a.size[1]) for sensor in sensors]
    plan = Plan(a.seed, a.fingers, a.impressions, tuple(sensors), "synth", a.condition, a.pattern)
    examine = None
    if a.passports or a.accept:
        from fpml.inference.passport import Examiner, rule

        rules = sorted({rule(text) for text in a.accept}, key=str)  # in whatever order they were given
        plan = replace(plan, accept=tuple(str(one) for one in rules))
        examine = Examiner(tuple(rules))
    write_prints(a.out, plan, a.workers, a.device, a.resume, a.force, examine)
    names = " ".join(sensor.name for sensor in sensors)
    count = a.fingers * a.impressions * len(sensors)
    print(f"{a.out}: {count} prints of {a.fingers} fingers on {names}; what is true of them is in {a.out / 'truth'}")
    if examine is not None:
        from fpml.inference.passport import said
        from fpml.synth.truth import Truth

        print(said(Truth(a.out).passports))


def of_synth(p: argparse.ArgumentParser) -> None:
    from fpml.synth.sensors import SENSORS

    p.add_argument("--out", type=Path, metavar="DIR", help="write prints to a new folder; without it: the demo's datasets")
    p.add_argument("--fingers", type=int, default=10, metavar="N", help="number of fingers (default 10)")
    p.add_argument("--impressions", type=int, default=8, metavar="N", help="per finger and sensor (default 8)")
    p.add_argument(
        "--sensor",
        nargs="+",
        default=["fvc2002-db1"],
        metavar="NAME",
        help=f"one or several, all with the same fingers: {', '.join(SENSORS)}, random-N (default fvc2002-db1)",
    )
    p.add_argument("--seed", type=int, default=7, metavar="N", help="seed of the fingers (default 7)")
    p.add_argument("--class", dest="pattern", metavar="CLASS", help="arch, tented-arch, left-loop, right-loop or whorl")
    p.add_argument(
        "--condition",
        default="fvc",
        help="normal, displaced, rotated, dry, wet, hard, distorted or any; fvc (default): FVC's in turn",
    )
    p.add_argument("--dpi", type=int, metavar="N", help="resolution, in place of each sensor's own; the plate keeps its size")
    p.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="pixels, in place of each sensor's own")
    p.add_argument("--passports", action="store_true", help="keep what an extractor finds of each print, in truth/passports")
    p.add_argument(
        "--accept", nargs="+", default=[], metavar="RULE",
        help="keep passports, and draw anew what does not meet the rules, e.g. 'recall>=0.9' 'spurious<=0.1'; a share of "
        "nothing meets no rule",
    )  # fmt: skip
    p.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    p.add_argument("--workers", type=int, default=0, metavar="N", help="processes; 0: one per core")
    p.add_argument("--resume", action="store_true", help="continue an interrupted run")
    p.add_argument("--force", action="store_true", help="replace what fpml synth wrote to DIR before")


def ingest(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.data import manifest
    from fpml.data.ingest import ingest, summary

    settings = load_params()
    if a.dataset not in settings.datasets:
        raise FpmlError(f"no dataset '{a.dataset}' in params.yaml; datasets has: {', '.join(settings.datasets)}")
    frame = ingest(a.dataset, settings.datasets[a.dataset], settings.ingest, root(), settings.runtime.pool)
    manifest.write(frame, root() / "data" / "manifest" / f"{a.dataset}.parquet")
    print(f"{a.dataset}: {summary(frame)}")


def prepare(a: Arguments) -> None:
    from fpml.base.files import root
    from fpml.data import manifest
    from fpml.data.prepare import prepare

    settings = params_of(a.run)
    data = settings.recipe(a.run).data
    names = sorted({entry.split("/")[0] for entry in data.train + data.test})
    manifests = {n: manifest.read(root() / "data" / "manifest" / f"{n}.parquet") for n in names}
    readers: dict[str, str] = {n: settings.datasets[n].reader for n in names}
    out = root() / "data" / "prepared" / a.run
    index = prepare(a.run, data, manifests, readers, root(), out, settings.runtime.pool)
    print(f"{a.run}: {len(index)} prints of {data.height} x {data.width} pixels in {out}")


def split(a: Arguments) -> None:
    from fpml.base.files import new_file, root
    from fpml.data.split import split
    from fpml.data.store import open_prepared

    settings = params_of(a.run)
    sides = split(open_prepared(root() / "data" / "prepared" / a.run).index, settings.recipe(a.run).split)
    with new_file(root() / "data" / "split" / f"{a.run}.parquet") as path:
        sides.to_parquet(path, index=False)
    print(f"{a.run}: " + ", ".join(f"{n} {side}" for side, n in sides["side"].value_counts().items()))


def train(a: Arguments) -> None:
    from fpml.stages.train import train_stage

    keep_memory()
    train_stage(a.run, params_of(a.run))


def evaluate(a: Arguments) -> None:
    from fpml.metrics.table import METRICS
    from fpml.stages.evaluate import evaluate_stage

    keep_memory()
    found = evaluate_stage(a.run, params_of(a.run))
    metric = found.facts["headline"]
    own = found.table[found.table["metric"] == metric]
    wide = own.pivot_table(index=["side", "part"], columns="method", values="value")
    print(f"{METRICS[metric].label}\n{wide.round(METRICS[metric].digits).to_string()}")


def report(a: Arguments) -> None:
    from fpml.report.page import report

    print(report(load_params()))


def register(a: Arguments) -> None:
    from fpml.admin.doctor import what_was_made
    from fpml.tracking.publish import publish, publish_report

    names = a.runs or list(load_params().run)
    done = [publish(name, params_of(name)) for name in names]
    if not all(done):
        raise FpmlError("the tracking store could not be reached; nothing was registered there (see above)")
    if a.runs:
        return
    print(what_was_made(load_params()))
    if page := publish_report(load_params()):
        print(f"report: {page}")


COMMANDS: dict[str, Command] = {
    "synth": ("stage: generate fingerprints (the demo's datasets, or --out)", synth, of_synth),
    "ingest": ("stage: read a dataset's folder into a manifest", ingest, named("dataset")),
    "prepare": ("stage: crop, resample and pad a run's prints", prepare, named("run")),
    "split": ("stage: split a run's prints into training and validation", split, named("run")),
    "train": ("stage: train a run's model", train, named("run")),
    "evaluate": ("stage: measure a trained model on every sensor and register it", evaluate, named("run")),
    "report": ("stage: write report/index.html", report, nothing),
    "register": ("send runs to the tracking store and the registry (again); show where all is", register, named("runs", "*")),
}
