"""A network's weights out of its exported form, where the exporter has multiplied normalisation into convolutions."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn


class Unmeasured(nn.BatchNorm2d):
    """A batch normalisation whose statistics an exported model does not say. From the first batch that it sees, which all
    processes have to share, it takes them, so that its output is what it was: an ordinary one from then on."""

    def forward(self, maps: Tensor) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        with torch.no_grad():
            variance, mean = torch.var_mean(maps.float(), (0, 2, 3), correction=0)
            self.running_mean.copy_(mean)
            self.running_var.copy_(variance)
            self.weight.copy_((variance + self.eps).sqrt())
            self.bias.add_(mean)
        self.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        return self(maps)  # type: ignore[no-any-return]


def unmeasured(network: nn.Module) -> list[nn.Module]:
    """The normalisations that have yet to see their first batch since load_exported."""
    return [module for module in network.modules() if isinstance(module, Unmeasured)]


def measure(network: nn.Module, look: Callable[[], object]) -> None:
    """After load_exported, and before training: look shows the network prints. What it does not show them to, because it is not
    trained, stays as it was exported."""
    if unmeasured(network):
        look()
    for module in unmeasured(network):
        module.__class__ = nn.BatchNorm2d


def load_exported(network: nn.Module, content: bytes) -> None:
    """The parameters of an ONNX model that was made of such a network; its outputs are then that model's. What is no parameter
    and is fitted after training stays as it is. RuntimeError where a parameter is not there or has another shape."""
    import onnx
    from onnx import numpy_helper

    known = {}
    for stored in onnx.load_from_string(content).graph.initializer:
        values = numpy_helper.to_array(stored).astype(np.float32)
        known[stored.name.removeprefix("network.").removesuffix("/half")] = torch.from_numpy(values)
    for parameter, name, back in getattr(network, "FOLDED", ()):
        if name in known:
            known[parameter] = back(known[name])
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    folded = [(before, name, module) for (before, _), (name, module) in pairwise(layers) if isinstance(module, nn.BatchNorm2d)]
    for before, name, module in folded:
        if f"{before}.weight_bias" in known:
            known[f"{name}.bias"] = known[f"{before}.weight_bias"]
            known[f"{name}.weight"] = torch.ones_like(module.weight)
            known[f"{name}.running_mean"] = torch.zeros_like(module.bias)
            known[f"{name}.running_var"] = torch.full_like(module.weight, 1 - module.eps)
    for name, mine in network.named_parameters():
        if name not in known or known[name].shape != mine.shape:
            raise RuntimeError(f"{name} of shape {list(mine.shape)} is not in it")
    network.load_state_dict({name: known[name] for name in network.state_dict() if name in known}, strict=False)
    for _, _, module in folded:
        module.__class__ = Unmeasured
