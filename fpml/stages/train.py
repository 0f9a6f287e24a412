"""train: the wiring round a task's loop. Device, data, lock, checkpoints, the run, and the outputs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import save as to_bytes

from fpml import tasks
from fpml.base.errors import FpmlError
from fpml.base.files import new_folder, root, state_folder
from fpml.base.progress import bar
from fpml.data.store import Prepared, open_prepared
from fpml.models import family_of
from fpml.models.layers import summary
from fpml.project.identity import Identity, dataset_digests, stage_tags
from fpml.project.params import Params
from fpml.settings.recipe import Recipe
from fpml.settings.sections import Runtime
from fpml.tracking import runs as tracking
from fpml.tracking.publish import input_example
from fpml.training.checkpoint import Checkpoints
from fpml.training.export import export
from fpml.training.session import Session


def train_stage(name: str, params: Params) -> None:
    """Train one run of params.yaml and write models/NAME. Several processes are started where settings ask."""
    processes = params.runtime.processes or max(1, torch.cuda.device_count() if params.runtime.device != "cpu" else 1)
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        _launch(name, processes)
        return
    recipe, run = _with_half_the_batch(params.recipe(name)), params.run[name]
    prints = open_prepared(root() / "data" / "prepared" / name, verify=True)
    side = pd.read_parquet(root() / "data" / "split" / f"{name}.parquet")
    if not side["image_id"].equals(prints.index["image_id"].astype("string")):
        raise FpmlError(f"data/split/{name}.parquet is not of these prints; run: fpml split {name}")

    accelerator = _accelerator(params.runtime)
    set_seed(recipe.train.seed)
    task, family = tasks.task(run.task), family_of(run.model, run.task, tasks.kinds(run.task))
    sets = task.sets(prints, side["side"].astype(str).to_numpy(), recipe, accelerator)
    network = family.build(recipe.model, recipe.data.height, recipe.data.width, len(sets.classes))
    start = task.start(recipe)
    key = _key(name, recipe, run.task, run.model, prints, start)
    checkpoints = Checkpoints(state_folder() / "checkpoints" / f"{name}-{key}")
    still_wanted = _parent_watch()
    silent = Session(accelerator, checkpoints, lambda row: None, still_wanted)

    def begin() -> None:
        if not checkpoints.begun():
            task.begin(network, family, recipe, silent, params.runtime.pool)

    if not accelerator.is_main_process:
        begin()
        task.train(network, family, sets, recipe, silent)
        return

    with checkpoints.lock():
        still_wanted()
        begin()
        identity = _identity(name, params, recipe, network, accelerator, start)
        with tracking.training_run(params.tracking, identity, checkpoints.folder / "run") as log:
            shown = bar(None, f"train {name}", recipe.train.epochs, "epochs")

            def log_epoch(row: dict[str, float]) -> None:
                log.epoch(row)
                losses = ", ".join(f"{k.replace('/', ' ')} {v:.4g}" for k, v in row.items() if "loss" in k)
                shown.set_postfix_str(f"{losses}, {row['images_per_second']:.0f} images/s", refresh=False)
                shown.update()

            session = Session(accelerator, checkpoints, log_epoch, still_wanted)
            trained = task.train(network, family, sets, recipe, session)
            shown.close()
            still_wanted()
            _write_outputs(name, params, recipe, trained.state_dict(), sets.classes, prints, log, key)
        (checkpoints.folder / "run").unlink(missing_ok=True)


def _with_half_the_batch(recipe: Recipe) -> Recipe:
    """The recipe, with half its batch where $FPML_HALVE_BATCH says that the device's memory was too small for the whole."""
    if not os.environ.get("FPML_HALVE_BATCH"):
        return recipe
    half = max(2, recipe.train.batch_size // 2)
    tracking.say(f"train: batches of {half} in place of {recipe.train.batch_size}, for which the memory was too small")
    return replace(recipe, train=replace(recipe.train, batch_size=half))


def _accelerator(runtime: Runtime) -> Accelerator:
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise FpmlError("runtime.device is cuda, but torch finds no GPU here; set it to auto or cpu")
    cpu = runtime.device == "cpu" or not torch.cuda.is_available()
    precision = runtime.precision
    if precision == "auto":
        precision = "bf16" if _bf16_is_fast(cpu) else "fp32"
    return Accelerator(cpu=cpu, mixed_precision={"fp32": "no", "bf16": "bf16"}[precision])


def _bf16_is_fast(cpu: bool) -> bool:
    if not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _key(name: str, recipe: Recipe, task: str, model: str, prints: Prepared, start: str) -> str:
    """What a checkpoint is good for: the same settings, prints and what is said of them, split, first weights and code."""
    package = Path(__file__).parent.parent
    code = [package / "models" / f"{file}.py" for file in (model, "layers")]
    code += [package / "tasks" / task / f"{file}.py" for file in ("task", "train")]
    training = sorted(p for p in (package / "training").glob("*.py") if p.stem != "export")
    code += [package / "tasks" / "protocol.py", *training, Path(__file__)]
    parts = [
        json.dumps([asdict(recipe.model), asdict(recipe.train), start, task, prints.meta["shards"]], sort_keys=True).encode()
    ]
    said = [root() / "data" / "split" / f"{name}.parquet", root() / "data" / "prepared" / name / "index.parquet"]
    parts += [p.read_bytes() for p in (*said, *code)]
    return hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()[:16]


def _parent_watch() -> Callable[[], None]:
    """A check that the process which asked for this training still lives.

    A killed `dvc` leaves its children running; one that trained on would later overwrite finished outputs.
    Between DVC and this process there may be a shell. By hand (no $DVC_STAGE), nobody is watched."""
    if "DVC_STAGE" not in os.environ:
        return lambda: None
    import psutil

    watched = []
    for parent in psutil.Process().parents():
        watched.append(parent)
        called = parent.cmdline()
        forked = any("multiprocessing.forkserver" in part for part in called)  # this process is DVC's own (flows/forked.py)
        if forked or "dvc" in " ".join(called[:3]):
            break
    else:
        raise FpmlError("DVC, which started this training, is gone; stopped")

    def check() -> None:
        if not all(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in watched):
            raise FpmlError("the process that started this training is gone; stopped after the last checkpoint")

    return check


def _launch(name: str, processes: int) -> None:
    """The same command again in several processes, started by torchrun; Accelerate finds its place in each."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    child = subprocess.Popen([*command, "-m", "fpml.cli", "train", name], env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.terminate()  # torchrun ends its processes, which are in sessions of their own; killed, it would leave them
        child.wait()
        raise
    if code:
        raise FpmlError(f"training {name} in {processes} processes ended with code {code}; its output is above")


def _identity(
    name: str, params: Params, recipe: Recipe, network: torch.nn.Module, accelerator: Accelerator, start: str
) -> Identity:
    datasets = sorted({entry.split("/")[0] for entry in recipe.data.train})
    settings = {k: v for k, v in asdict(recipe).items() if k != "promotion"}  # what becomes of a model is no part of it
    flat = pd.json_normalize(settings).iloc[0].to_dict()
    flat |= {
        "parameters": sum(p.numel() for p in network.parameters()),
        "precision": {"no": "fp32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
        "device": str(accelerator.device.type),
        "processes": accelerator.num_processes,
        "model": params.run[name].model,
        "start": start,
    }
    paths = {d: params.datasets[d].path for d in datasets}
    return Identity(
        run_id=None,
        model_id=None,
        name=name,
        params={str(k): str(v) for k, v in flat.items()},
        tags=stage_tags(name),
        datasets=dataset_digests(datasets, paths, root() / "data" / "manifest"),
    )


def _write_outputs(
    name: str,
    params: Params,
    recipe: Recipe,
    weights: Any,
    classes: tuple[str, ...],
    prints: Prepared,
    log: tracking.RunLog,
    key: str,
) -> None:
    run = params.run[name]
    height, width = recipe.data.height, recipe.data.width
    # A new network: the trained one's forward was wrapped for mixed precision.
    network = family_of(run.model, run.task, tasks.kinds(run.task)).build(recipe.model, height, width, len(classes))
    network.load_state_dict({k: v.cpu() for k, v in weights.items()})
    network.eval()
    with new_folder(root() / "models" / name) as folder:
        (folder / "weights.safetensors").write_bytes(to_bytes(network.state_dict()))
        config = {
            "task": run.task,
            "model": run.model,
            "settings": asdict(recipe.model),
            "classes": list(classes),
            "checkpoints": f"{name}-{key}",  # where this training left its last epochs; evaluate removes them
            "parameters": sum(p.numel() for p in network.parameters()),
            "input": {"height": height, "width": width, "dpi": recipe.data.dpi, "type": "uint8", "crop": recipe.data.crop},
        }
        history = pd.DataFrame(log.history).astype({"epoch": "int64"})
        history.to_parquet(folder / "history.parquet", index=False)
        last = tracking.numbers(log.history[-1])
        metrics = {"epochs": len(history), **{k.replace("/", "_"): v for k, v in last.items() if k != "images_per_second"}}
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        registered = tasks.task(run.task).registered(
            network, torch.from_numpy(prints.take(np.arange(min(4, len(prints))))[:, None])
        )
        config["layers"] = summary(network, lambda: registered.network(*(v[:1] for v in registered.inputs.values())))
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        export(registered, folder / "model.onnx")
        log.model(folder, input_example(prints, params.tracking.log_images))
        log.identity.write(folder / "run.json")
