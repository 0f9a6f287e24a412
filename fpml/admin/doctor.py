"""fpml doctor: what is wrong here, and what to do about it. And fpml show: what was made."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fpml.base.files import root, state_folder
from fpml.project.params import Params, load

GOOD, NOTE, BAD = "ok  ", "note", "BAD "
Finding = tuple[str, str]  # grade, text with what to do
POOL = "fpml"  # Prefect's work pool, as flows/deploy.py makes it
DISK_GB = 5  # an installation, the demo and its caches fit in this
DVC_BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked", re.IGNORECASE)  # what DVC says while another runs
CONFLICT = "^(<{7}|>{7}) "  # what git writes round the two sides of a conflict
MERGE = "keep one side of each (of dvc.lock either one: dvc repro brings it up to date), then git add"


def examine(cache: bool = False) -> bool:
    """Print a line for each finding; True if none is bad. cache: read DVC's whole cache too, and mend it."""
    if not (root() / "params.yaml").exists():
        print(f"{BAD}  {root()} has no params.yaml: go to the project's folder and run fpml doctor there")
        return False
    good = True
    checks = (_python, _packages, _settings, _git, _dvc, _datasets, _store, _prefect, _state, _gpu, _disk)
    for check in (_cache, *checks) if cache else checks:
        for grade, text in _safely(check):
            print(f"{grade}  {text}")
            good &= grade != BAD
    print("nothing stands in the way" if good else "mend what is marked BAD, then run fpml doctor again")
    return good


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # a doctor that falls ill helps nobody: whatever it meets is a finding
        yield BAD, f"{check.__name__.strip('_')}: {' '.join(str(error).split())[:300]}"


def _python() -> Iterator[Finding]:
    yield (GOOD if sys.version_info >= (3, 11) else BAD), f"Python {sys.version.split()[0]} (3.11 or newer is needed)"
    for tool in ("fpml", "dvc"):
        where = shutil.which(tool)
        if where is None:
            yield BAD, f"'{tool}' is not on PATH, so DVC's stages can't find it; run: . .venv/bin/activate"
        elif Path(where).parent.resolve() != Path(sys.executable).parent.resolve():
            yield BAD, f"'{tool}' is that of {Path(where).parent}, not of this environment; run: . .venv/bin/activate"


def _packages() -> Iterator[Finding]:
    pins = root() / "constraints.txt"
    wrong, count = [], 0
    for line in pins.read_text(encoding="utf-8").splitlines() if pins.exists() else []:
        name, _, wanted = line.partition("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        count += 1
        if found.partition("+")[0] != wanted:
            wrong.append(f"{name} {found} (tried: {wanted})")
    if wrong:
        yield NOTE, f"not the versions that were tried together: {', '.join(wrong[:5])}; make .venv again"
    else:
        yield GOOD, f"{count} packages have the versions of constraints.txt"


def _settings() -> Iterator[Finding]:
    params = load(root() / "params.yaml")
    yield GOOD, f"params.yaml: {len(params.datasets)} datasets, runs {', '.join(params.run)}"


def _command(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}  # what they say is looked at
    # Names and messages of any encoding: git gives them as they are.
    return subprocess.run(
        command, cwd=root(), env=environment, capture_output=True, encoding="utf-8", errors="replace", timeout=120
    )


def _git() -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield BAD, "git is not installed; DVC's experiments need it: install git"
        return
    # Not the repository but the files are asked, so that this holds too where git does not open the repository.
    torn = _command("git", "grep", "--no-index", "--exclude-standard", "-lIE", CONFLICT).stdout.splitlines()
    if torn:
        yield BAD, f"git's conflict markers are in {', '.join(torn)}: a merge was not finished; {MERGE}"
    opened = _command("git", "rev-parse", "--git-dir")
    if "not a git repository" in opened.stderr:
        yield BAD, "this folder is not a git repository; run: git init"
        return
    if opened.returncode:
        yield BAD, f"git does not open this repository: {' '.join(opened.stderr.split())}"
        return
    if _command("git", "rev-parse", "HEAD").returncode:
        yield NOTE, "git has no commit yet; `dvc exp run` needs one: git add -A && git commit"
    changed = _command("git", "status", "--porcelain").stdout.splitlines()
    yield (NOTE, f"git: changed and not committed: {len(changed)}") if changed else (GOOD, "git: all committed")
    apart = _command("git", "rev-list", "--left-right", "--count", "HEAD...@{upstream}").stdout.split()
    if len(apart) == 2 and "0" not in apart:
        yield BAD, f"{apart[0]} commits are only here, {apart[1]} only upstream, which stops the night: git pull --rebase"
    if (root() / "dvc.lock").exists() and not _command("git", "ls-files", "dvc.lock").stdout:
        yield NOTE, "dvc.lock is not in git; commit it, so that others get your results: git add dvc.lock"


def _dvc() -> Iterator[Finding]:
    if not (root() / ".dvc").is_dir():
        yield BAD, "DVC is not set up here; run: dvc init"
        return
    status = _command(sys.executable, "-m", "dvc", "status", "--json")
    if status.returncode:
        busy = DVC_BUSY.search(status.stderr) is not None
        why = "DVC is at work here; ask again when it is done" if busy else " ".join(status.stderr.split())[:200]
        yield NOTE if busy else BAD, f"dvc status: {why}"
        return
    import json

    stale = sorted(json.loads(status.stdout or "{}"))
    yield (NOTE, f"to be run: {', '.join(stale)}; run: dvc repro") if stale else (GOOD, "DVC: every stage is up to date")


def _cache() -> Iterator[Finding]:
    from fpml.admin.cache import mend

    said = mend(root())
    for well, line in said:
        yield NOTE if well else BAD, line
    if not said:
        yield GOOD, "DVC's cache: every object is what its name says"


def _datasets() -> Iterator[Finding]:
    params = load(root() / "params.yaml")
    for name, dataset in params.datasets.items():
        path = root() / dataset.path
        if path.is_dir():
            continue
        if (path.with_name(path.name + ".dvc")).exists():
            yield BAD, f"dataset {name}: {dataset.path} is not here; run: dvc pull {dataset.path}.dvc"
        elif not dataset.path.startswith("data/synth/"):
            yield BAD, f"dataset {name}: {dataset.path} is not there; mend its path in params.yaml"


def _store() -> Iterator[Finding]:
    from fpml.tracking import registry
    from fpml.tracking import runs as tracking
    from fpml.tracking.places import database

    params = load(root() / "params.yaml")
    uri = tracking.store_uri(params.tracking)
    if (file := database(uri)) and not file.exists():
        yield GOOD, "MLflow's store will be made by the first training"
        return
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        yield BAD, "MLflow's store can't be used (above); training goes on without it, `fpml register` sends the runs later"
        return
    versions, client = [], mlflow.MlflowClient()
    for name in params.run:
        for model in client.search_registered_models(f"name = '{name}'"):
            versions += [f"{name} {alias} = version {v}" for alias, v in model.aliases.items()]
            for alias, version in model.aliases.items():
                if not registry.has_files(client, client.get_model_version(name, version)):
                    yield BAD, f"the files of models:/{name}@{alias} (version {version}) are missing; run: fpml register {name}"
            folder = root() / "models" / name
            if (folder / "model.onnx").exists() and registry.ALIAS in model.aliases:
                here = registry.known_version(mlflow, name, registry.digest(folder))
                if here != str(model.aliases[registry.ALIAS]):
                    said = f"{name}@{registry.ALIAS} is not the model in {folder} (an experiment's?)"
                    yield NOTE, f"{said}; run: fpml register {name}"
    yield GOOD, f"MLflow's store answers; registered: {', '.join(versions) or 'nothing yet'}"


def _prefect() -> Iterator[Finding]:
    """Where a server is named: whether it answers, and a worker is there for the night. By its HTTP API alone."""
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return
    import base64
    import json
    import urllib.error
    import urllib.request

    from fpml.base.environment import through_proxy

    where = address + through_proxy(address)
    password = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", "").encode()).decode()
    headers = {"Authorization": f"Basic {password}", "Content-Type": "application/json"}
    try:
        with urllib.request.build_opener().open(  # one of its own: urllib keeps the proxies of its first call
            urllib.request.Request(f"{address}/work_pools/{POOL}/workers/filter", b"{}", headers), timeout=10
        ) as answer:
            online = [w["name"] for w in json.load(answer) if w["status"] == "ONLINE"]
    except urllib.error.HTTPError as error:
        why = {401: "it refuses $PREFECT_API_AUTH_STRING", 404: f"it has no work pool {POOL}: python -m flows.deploy"}
        yield BAD, f"Prefect at {where}: {why.get(error.code, f'it answers {error.code}')}"
        return
    except OSError as error:
        yield BAD, f"Prefect at {where} does not answer ({error}): no night will run; make up"
        return
    if online:
        yield GOOD, f"Prefect answers; workers: {', '.join(online)}"
    else:
        yield BAD, f"Prefect answers, but no worker of pool {POOL} is there: no night will run; make up"


def _state() -> Iterator[Finding]:
    folder = state_folder()
    left = sorted(folder.glob("checkpoints/*/epoch-*"))
    if left:
        names = ", ".join(sorted({p.parent.name for p in left}))
        where = f"{folder}/checkpoints ({names})"
        yield NOTE, f"trainings that did not end, or were not measured yet: {where}; dvc repro goes on, else remove them"
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(nearest, os.W_OK):
        yield BAD, f"{folder} can't be written to; checkpoints need it: set FPML_STATE to a folder that can"


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        yield GOOD, f"torch {torch.__version__} with {torch.cuda.device_count()} GPU(s): {', '.join(names)}"
    elif shutil.which("nvidia-smi"):
        yield NOTE, f"there is a GPU, but torch {torch.__version__} can't use it; install torch's CUDA build"
    else:
        yield GOOD, f"torch {torch.__version__} on {os.cpu_count()} CPU cores; no GPU"


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(root()).free / 1e9
    yield (GOOD if free > DISK_GB else NOTE), f"{free:.0f} GB of disk free ({DISK_GB} GB are enough for the demo)"


def what_was_made(params: Params) -> str:
    """What a run of the graph left, and where to look."""
    from fpml.tracking import runs as tracking

    def place(path: Path) -> str:
        return str(path) if path.exists() else "not made yet; run: make demo"

    lines = ["", f"report            {place(root() / 'report' / 'index.html')}"]
    mlflow = tracking.connect(params.tracking)
    for name in params.run:
        version = "not registered: the tracking store can't be reached"
        if mlflow is not None:
            found = mlflow.MlflowClient().search_registered_models(f"name = '{name}'")
            version = (
                f"models:/{name}@challenger, version {found[0].aliases.get('challenger')}" if found else "not registered yet"
            )
        lines.append(f"registered model  {version}")
        lines.append(f"weights           {place(root() / 'models' / name)}")
    lines.append("MLflow pages      make ui, then http://127.0.0.1:5000")
    lines.append(
        "your own prints   fpml data add NAME FOLDER --reader folder --dpi 500 --use reconstruct:train, then dvc repro"
    )
    return "\n".join(lines)
