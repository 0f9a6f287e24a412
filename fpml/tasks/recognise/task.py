"""recognise, as fpml/tasks/protocol.py wants a task to be."""

from dataclasses import replace

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.base.parallel import Workers
from fpml.data.store import Prepared
from fpml.models import Family, Particular
from fpml.tasks.protocol import Album, Findings, FromWeights, Task, Trained
from fpml.tasks.recognise import evaluate, train
from fpml.tasks.recognise.settings import Recognise
from fpml.training import first_weights
from fpml.training.export import Registered
from fpml.training.session import Session, Sets


class RecogniseTask(FromWeights):
    def start(self, recipe: Recognise) -> str:
        init, model = recipe.model.init, recipe.model
        if recipe.train.start_from or init == "none":
            return super().start(recipe)
        if init == "imagenet":
            return first_weights.of_imagenet(model.weights)
        if init == "shipped":
            return first_weights.of_shipped()
        return first_weights.of_generated(model.synthetic_fingers, model.synthetic_epochs)

    def begin(self, network: nn.Module, family: Family, recipe: Recognise, session: Session, workers: Workers) -> None:
        model, data = recipe.model, recipe.data
        if isinstance(family, Particular):
            family.check(model.init, recipe.train.start_from, data.dpi, data.crop)
        if recipe.train.start_from or model.init == "none":
            super().begin(network, family, recipe, session, workers)
        elif model.init == "imagenet":
            if not model.weights and (model.blocks, model.width) != ([3, 4, 6, 3], 64):  # before they are downloaded
                raise FpmlError(
                    f"model.init is imagenet, and model.blocks {model.blocks} with width {model.width}; ImageNet's weights fit "
                    "blocks [3, 4, 6, 3] and width 64"
                )
            first_weights.load_imagenet(network, model.weights)
        elif model.init == "shipped":
            first_weights.load_shipped(network)
        else:
            briefly = replace(recipe.train, epochs=model.synthetic_epochs)

            def learn(network: nn.Module, family: Family, sets: Sets, session: Session) -> nn.Module:
                return train.train(network, family, sets, briefly, session)

            first = family.build(model, data.height, data.width, model.synthetic_fingers)
            fingers, size = model.synthetic_fingers, recipe.train.batch_size
            first_weights.learn_generated(network, first, family, fingers, data, size, learn, session, workers)

    def sets(self, prints: Prepared, side: np.ndarray, recipe: Recognise, accelerator: Accelerator) -> Sets:
        return train.sets(prints, side, recipe, accelerator)

    def train(self, network: nn.Module, family: Family, sets: Sets, recipe: Recognise, session: Session) -> nn.Module:
        if recipe.model.init == "shipped" and not recipe.train.start_from:
            train.imprint(network, sets.training, session.accelerator)
        return train.train(network, family, sets, recipe.train, session)

    def registered(self, network: nn.Module, prints: Tensor) -> Registered:
        return train.registered(network, prints)

    def evaluate(self, trained: Trained[Recognise], album: Album) -> Findings:
        return evaluate.evaluate(trained, album)


TASK: Task[Recognise] = RecogniseTask()
