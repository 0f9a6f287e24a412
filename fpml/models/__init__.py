"""The networks: one family a file. MODELS is the table of them; a name in it is a file's name.

A family has two functions: build(recipe.model, height, width) -> nn.Module, which raises FpmlError for settings that
don't fit, and code_size(recipe.model, height, width) -> int."""

from types import ModuleType
from typing import Any

import torch
from torch import nn

from fpml.models import autoencoder, tight

MODELS: dict[str, ModuleType] = {"autoencoder": autoencoder, "tight": tight}


def summary(network: nn.Module, height: int, width: int) -> list[dict[str, Any]]:
    """A row for each layer, in the order in which a print passes: name, type, shape of its output, parameters."""
    rows: list[dict[str, Any]] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
            shape, count = list(output.shape[1:]), sum(p.numel() for p in layer.parameters())
            rows.append({"layer": name, "type": type(layer).__name__, "output": shape, "parameters": count})

        return hook

    leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    with torch.inference_mode():
        network(torch.zeros(1, 1, height, width))
    for hook in hooks:
        hook.remove()
    return rows
