"""A network's weights out of its exported form, where the exporter has multiplied normalisation into convolutions."""

from itertools import pairwise

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn


class Kept(nn.BatchNorm2d):
    """Batch normalisation by the statistics it has, in training too: an exported model does not say what they were."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def load_exported(network: nn.Module, content: bytes) -> None:
    """The parameters of an ONNX model that was made of such a network; its outputs are then that model's. What is no parameter
    and is fitted after training stays as it is. RuntimeError where a parameter is not there or has another shape."""
    known = {}
    for stored in onnx.load_from_string(content).graph.initializer:
        values = numpy_helper.to_array(stored).astype(np.float32)
        known[stored.name.removeprefix("network.").removesuffix("/half")] = torch.from_numpy(values)
    for parameter, name, back in getattr(network, "EXPORTED", ()):
        if name in known:
            known[parameter] = back(known[name])
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    for (before, _), (name, module) in pairwise(layers):
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = Kept
            if f"{before}.weight_bias" in known:
                known[f"{name}.bias"] = known[f"{before}.weight_bias"]
            known[f"{name}.weight"] = torch.ones_like(module.weight)
            known[f"{name}.running_mean"] = torch.zeros_like(module.weight)
            known[f"{name}.running_var"] = torch.full_like(module.weight, 1 - module.eps)
    for name, mine in network.named_parameters():
        if name not in known or known[name].shape != mine.shape:
            raise RuntimeError(f"{name} of shape {list(mine.shape)} is not in it")
    network.load_state_dict({name: known[name] for name in network.state_dict() if name in known}, strict=False)
