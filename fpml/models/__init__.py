"""The networks: one family a file. MODELS is the table of them; a name in it is a file's name.

A family has TASKS, the tasks that it can do, and build(recipe.model, height, width, classes) -> nn.Module, which raises
FpmlError for settings that don't fit. Those that turn pictures into pictures have loss(output, prints, targets,
picture_loss) -> a scalar; autoencoders have code_size(recipe.model, height, width) -> int."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import nn

from fpml.errors import FpmlError
from fpml.models import autoencoder, dcgan, embedder, gated, resnet, small, tight

MODELS: dict[str, ModuleType] = {
    "autoencoder": autoencoder,
    "tight": tight,
    "gated": gated,
    "small": small,
    "resnet": resnet,
    "embedder": embedder,
    "dcgan": dcgan,
}


def family_of(model: str, task: str) -> ModuleType:
    """The family of a name. FpmlError where it can't do the task."""
    family = MODELS[model]
    if task not in family.TASKS:
        able = [name for name, other in MODELS.items() if task in other.TASKS]
        raise FpmlError(f"the model '{model}' does {' and '.join(family.TASKS)}, not {task}; for that: {', '.join(able)}")
    return family


def summary(network: nn.Module, run: Callable[[], Any]) -> list[dict[str, Any]]:
    """A row for each layer, in the order in which run() passes them: name, type, shape of its output, parameters."""
    rows: list[dict[str, Any]] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
            shape, count = list(output.shape[1:]), sum(p.numel() for p in layer.parameters())
            rows.append({"layer": name, "type": type(layer).__name__, "output": shape, "parameters": count})

        return hook

    leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    with torch.inference_mode():
        run()
    for hook in hooks:
        hook.remove()
    return rows
