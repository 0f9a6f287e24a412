"""compress, as fpml/tasks/protocol.py wants a task to be."""

from typing import cast

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.data.store import Prepared
from fpml.models import Family, PictureFamily
from fpml.tasks.compress import evaluate, train
from fpml.tasks.compress.settings import Compress
from fpml.tasks.protocol import Album, Findings, FromWeights, Task, Trained
from fpml.training.export import Registered
from fpml.training.session import Session, Sets


class CompressTask(FromWeights):
    def sets(self, prints: Prepared, side: np.ndarray, recipe: Compress, accelerator: Accelerator) -> Sets:
        return train.sets(prints, side, recipe, accelerator)

    def train(self, network: nn.Module, family: Family, sets: Sets, recipe: Compress, session: Session) -> nn.Module:
        return train.train(network, cast(PictureFamily, family), sets, recipe.train, session)

    def registered(self, network: nn.Module, prints: Tensor) -> Registered:
        return train.registered(network, prints)

    def evaluate(self, trained: Trained[Compress], album: Album) -> Findings:
        return evaluate.evaluate(trained, album)


TASK: Task[Compress] = CompressTask()
