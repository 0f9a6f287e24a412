"""What stages import on their way, for the process that forks are made of (flows/forked.py). Nothing else imports this."""

import os
import signal
from importlib import import_module

from fpml import tasks

OF_STAGES = (
    "dvc.commands.repro",
    "dvc.repo.reproduce",
    "dvc.scm",
    "fpml.report.page",
    "fpml.stages.evaluate",
    "fpml.stages.train",
    "fpml.synth.write",
    "mlflow.onnx",
    "mlflow.store.tracking.sqlalchemy_store",
    "onnxruntime",
    "sklearn.decomposition",
    "torch._dynamo",
    "torch.onnx.utils",
    "torchmetrics.image",
)
before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C meanwhile ends this process without a traceback
for key, value in import_module("fpml.tracking.runs").ENVIRONMENT.items():  # MLflow reads some as it is imported
    os.environ.setdefault(key, value)
for module in OF_STAGES:
    import_module(module)
for task in tasks.names():
    tasks.task(task)
signal.signal(signal.SIGINT, before)
