"""Runs in MLflow. Where it is not installed or its server unreachable, training goes on and keeps its history in files, from
which `ensure_run` makes the run later."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fpml.base.environment import AWAY, make_ready, sqlite_uri, through_proxy, undisturbed
from fpml.base.files import home, state_folder
from fpml.project.identity import Identity, run_name
from fpml.settings.sections import Tracking
from fpml.tracking.places import ARTIFACTS, database, follow_the_project, path_of

RUN_TAG = "fpml.run"  # the id under which a run was first made; a rebuilt one keeps it, so links go on working
REBUILT_TAG = "rebuilt"
SYSTEM_METRICS_SECONDS = 5.0
MODEL_NAME = "model"  # of the whole model in its run; a part of it has another
CURVE = "images_per_second"  # what every loop logs each epoch
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def store_uri(settings: Tracking) -> str:
    """Where runs are kept: the address in params.yaml, else $MLFLOW_TRACKING_URI, else mlflow.db in the root."""
    # Where its path is an address of its own, MLflow would take 'sqlite:///' and all for a folder's name, and make it.
    file = home() / "mlflow.db"
    return (
        settings.uri
        or os.environ.get("MLFLOW_TRACKING_URI")
        or sqlite_uri("sqlite+pysqlite" if "?" in str(file) else "sqlite", file)
    )


def connect(settings: Tracking, read_only: bool = False) -> Any | None:
    """mlflow with its store ready and the experiment made (unless it is only to be read), or None, having said why."""
    make_ready()
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    uri = store_uri(settings)
    where = public(uri) + through_proxy(uri)
    if uri.startswith("http") and not _answers(uri):
        say(f"tracking: {where} does not answer; metrics stay in files, `fpml register` sends them later")
        return None
    try:
        import mlflow
    except ImportError:
        say("tracking: mlflow is not installed; metrics stay in files")
        return None
    import fcntl
    import logging

    from mlflow.store.artifact import local_artifact_repo

    # MLflow decodes plain paths as if they were addresses, and so loses a folder that is named a%20b.
    local_artifact_repo.local_file_uri_to_path = path_of
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        state_folder().mkdir(parents=True, exist_ok=True)
        # Several stages may meet a store that nobody has made yet: the first makes it, the others wait.
        with (state_folder() / "mlflow.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            client = mlflow.MlflowClient()
            client.get_experiment_by_name(settings.experiment)  # makes the tables where there are none
            if (file := database(uri)) and file.exists() and file.resolve().is_relative_to(home().resolve()):
                follow_the_project(file)
            if read_only:
                return mlflow
            experiment = client.get_experiment_by_name(settings.experiment)
            if experiment is not None and experiment.lifecycle_stage == "deleted":
                client.restore_experiment(experiment.experiment_id)
                say(f"tracking: the experiment '{settings.experiment}' had been deleted; it is restored")
            if experiment is None:
                place = None if uri.startswith("http") else (home() / ARTIFACTS).resolve().as_uri()
                client.create_experiment(
                    settings.experiment, artifact_location=place, tags={"mlflow.experimentKind": "custom_model_development"}
                )
    except Exception as error:  # a damaged database, a missing driver, no permission: any failure of the store
        say(f"tracking: {where} refuses ({_one_line(error)}); metrics stay in files")
        return None
    return mlflow


def _answers(uri: str) -> bool:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    try:
        # An opener of its own: urllib keeps the proxies of its first call.
        urllib.request.build_opener().open(public(uri).rstrip("/") + "/health", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code not in AWAY  # it answers, if only to ask for a password
    except (OSError, ValueError, HTTPException):
        return False
    return True


def public(uri: str) -> str:
    """An address without the user and password that it may carry: fit for logs, files and links."""
    scheme, separator, rest = uri.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


@dataclass
class RunLog:
    """An open training run. `mlflow` is None where metrics only go to files."""

    mlflow: Any | None
    identity: Identity
    history: list[dict[str, float]] = field(default_factory=list)
    logged: set[int] = field(default_factory=set)

    @undisturbed()
    def epoch(self, row: dict[str, float]) -> None:
        """One batch of metrics an epoch; a store that fails is left alone from then on."""
        self.history.append(row)
        step = int(row["epoch"])
        if self.mlflow is None or step in self.logged:
            return
        try:
            self.mlflow.log_metrics(numbers(row), step=step)
        except Exception as error:  # any failure of the store: training matters more, and it is said
            say(f"tracking: the store failed at epoch {step} ({_one_line(error)}); metrics stay in files from here")
            self.mlflow = None

    @undisturbed()
    def model(self, folder: Path, example: Any) -> None:
        if self.mlflow is None:
            return
        try:
            self.identity.model_id = log_model(self.mlflow, folder, example)
        except Exception as error:  # as above
            say(f"tracking: the model could not be logged ({_one_line(error)}); `fpml register` sends it later")
            self.mlflow = None


def numbers(row: dict[Any, Any]) -> dict[str, float]:
    """What an epoch measured, without its number and without what is not a number."""
    return {str(k): v for k, v in row.items() if k != "epoch" and isinstance(v, (int, float))}


@contextmanager
def training_run(settings: Tracking, identity: Identity, resume: Path) -> Iterator[RunLog]:
    """A run in MLflow for one training. `resume` remembers its id, so that a run that was killed goes on."""
    identity.store = public(store_uri(settings))
    log = RunLog(connect(settings), identity)
    status = "FAILED"
    try:
        _open(log, settings, resume)
        yield log
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        _close(log, status)


@undisturbed()
def _open(log: RunLog, settings: Tracking, resume: Path) -> None:
    """Start the run, or go on with the one that `resume` names."""
    mlflow, identity = log.mlflow, log.identity
    if mlflow is None:
        return
    try:
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(settings.experiment).experiment_id
        known = _find(client, settings, resume.read_text(encoding="utf-8").strip()) if resume.exists() else None
        if known:
            log.logged = {m.step for m in client.get_metric_history(known, CURVE)}
        mlflow.set_system_metrics_sampling_interval(SYSTEM_METRICS_SECONDS)
        run = mlflow.start_run(
            run_id=known,
            experiment_id=None if known else experiment,
            run_name=None if known else identity.name,
            log_system_metrics=True,
        )
        identity.run_id, identity.experiment_id = run.info.run_id, experiment
        if known is None:
            _describe(mlflow, identity, {RUN_TAG: run.info.run_id})
        resume.write_text(run.info.run_id, encoding="utf-8")
    except Exception as error:  # training matters more than its run, and it is said
        say(f"tracking: the store failed ({_one_line(error)}); metrics stay in files")
        log.mlflow = None


@undisturbed()
def _close(log: RunLog, status: str) -> None:
    if log.identity.run_id is None:
        return
    try:
        sys.modules["mlflow"].end_run(status)  # also where the store failed in the middle and log.mlflow is None
    except Exception as error:  # the run is only left open; the work is done
        say(f"tracking: the run could not be closed ({_one_line(error)})")


def _describe(mlflow: Any, identity: Identity, tags: dict[str, str]) -> None:
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    mlflow.log_params(identity.params)
    mlflow.set_tags({**identity.tags, **tags})
    for d in identity.datasets:
        source = LocalArtifactDatasetSource(d["source"])
        mlflow.log_input(MetaDataset(source, name=d["name"], digest=d["digest"]), "training", {"digest_from": d["digest_from"]})


def log_model(mlflow: Any, folder: Path, example: Any, name: str = MODEL_NAME) -> str:
    """Log a folder's model.onnx, under `name` in the open run, as a model that needs neither this project nor pickle; its
    model id.

    example: uint8 (1, 1, H, W), the input example of a model that takes prints."""
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    model = onnx.load(str(folder / "model.onnx"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    metadata = {k: str(v) for k, v in config["input"].items()}
    if config.get("classes"):
        metadata["classes"] = json.dumps(config["classes"])

    def specs(values: Any) -> list[Any]:
        out = []
        for value in values:
            tensor = value.type.tensor_type
            shape = (-1, *(d.dim_value or -1 for d in tensor.shape.dim[1:]))  # -1: any
            out.append(TensorSpec(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), shape, value.name))
        return out

    inputs, outputs = specs(model.graph.input), specs(model.graph.output)
    # A size that may be any is that of the prints.
    shapes = {s.name: [n if n > 0 else size for n, size in zip(s.shape[1:], example.shape[1:], strict=False)] for s in inputs}
    examples = {s.name: example if s.name == "prints" else np.zeros((1, *shapes[s.name]), s.type) for s in inputs}
    info = mlflow.onnx.log_model(
        model,
        name=name,
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        input_example=examples,
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=["mlflow", "onnx", "onnxruntime", "numpy"],
        metadata=metadata,
        save_as_external_data=False,
    )
    return str(info.model_id)


def _find(client: Any, settings: Tracking, run_id: str) -> str | None:
    """The run first made under an id, or the one rebuilt from its files; None where the store knows neither."""
    experiment = client.get_experiment_by_name(settings.experiment)
    found = client.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1)
    return found[0].info.run_id if found else None


def ensure_run(mlflow: Any, settings: Tracking, model_folder: Path, example: Any) -> tuple[str, str]:
    """The run id and model id of trained files in this store; made from those files where it does not know them."""
    identity = Identity.read(model_folder / "run.json")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(settings.experiment)
    name = run_name(identity, model_folder)
    known = _find(client, settings, name)
    history = pd.read_parquet(model_folder / "history.parquet").to_dict("records")
    if known is None:
        with mlflow.start_run(experiment_id=experiment.experiment_id, run_name=identity.name) as run:
            _describe(mlflow, identity, {RUN_TAG: name, REBUILT_TAG: "from files"})
            known = run.info.run_id
        say(f"tracking: run {known} made from the files in {model_folder}")
    steps = {m.step for m in client.get_metric_history(known, CURVE)}
    # Only whole models; the status is compared here because the store's own filter on it finds nothing (3.17).
    models = client.search_logged_models([experiment.experiment_id], f"source_run_id = '{known}'")
    whole = (m.model_id for m in models if str(m.status) == "READY" and m.name == MODEL_NAME)
    model_id = next((m for m in whole if client.list_logged_model_artifacts(m)), None)  # its files may be lost
    missing = [row for row in history if int(row["epoch"]) not in steps]
    if missing or model_id is None:
        with mlflow.start_run(run_id=known, log_system_metrics=False):
            for row in missing:
                mlflow.log_metrics(numbers(row), step=int(row["epoch"]))
            model_id = model_id or log_model(mlflow, model_folder, example)
    return known, str(model_id)
