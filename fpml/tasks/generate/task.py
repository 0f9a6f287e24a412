"""generate, as fpml/tasks/protocol.py wants a task to be."""

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.data.store import Prepared
from fpml.models import Family
from fpml.tasks.generate import evaluate, train
from fpml.tasks.generate.settings import Generate
from fpml.tasks.protocol import Album, Findings, FromWeights, Task, Trained
from fpml.training.export import Registered
from fpml.training.session import Session, Sets


class GenerateTask(FromWeights):
    def sets(self, prints: Prepared, side: np.ndarray, recipe: Generate, accelerator: Accelerator) -> Sets:
        return train.sets(prints, side, recipe, accelerator)

    def train(self, network: nn.Module, family: Family, sets: Sets, recipe: Generate, session: Session) -> nn.Module:
        return train.train(network, family, sets, recipe.train, session)

    def registered(self, network: nn.Module, prints: Tensor) -> Registered:
        return train.registered(network, prints)

    def evaluate(self, trained: Trained[Generate], album: Album) -> Findings:
        return evaluate.evaluate(trained, album)


TASK: Task[Generate] = GenerateTask()
