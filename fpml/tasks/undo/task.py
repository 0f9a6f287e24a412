"""undo, as fpml/tasks/protocol.py wants a task to be."""

from typing import cast

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.data.store import Prepared
from fpml.models import Family
from fpml.models.undo import UndoNet
from fpml.synth.write import GENERATOR
from fpml.tasks.protocol import Album, Findings, FromWeights, Task, Trained
from fpml.tasks.undo import evaluate, train
from fpml.tasks.undo.settings import Undo
from fpml.training.export import Registered
from fpml.training.session import Session, Sets


class UndoTask(FromWeights):
    def start(self, recipe: Undo) -> str:
        """Also which generator makes the prints: no training goes on with another's."""
        return f"{super().start(recipe)}; prints of generator {GENERATOR}"

    def sets(self, prints: Prepared, side: np.ndarray, recipe: Undo, accelerator: Accelerator) -> Sets:
        return train.sets(prints, side, recipe, accelerator)

    def train(self, network: nn.Module, family: Family, sets: Sets, recipe: Undo, session: Session) -> nn.Module:
        return train.train(cast(UndoNet, network), sets, recipe.train, session)

    def registered(self, network: nn.Module, prints: Tensor) -> Registered:
        return train.registered(network, prints)

    def evaluate(self, trained: Trained[Undo], album: Album) -> Findings:
        return evaluate.evaluate(trained, album)


TASK: Task[Undo] = UndoTask()
