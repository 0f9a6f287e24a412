"""The registered form of a network: ONNX with a dynamic batch that says what torch says."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx import TrainingMode

from fpml.base.errors import FpmlError

OPSET = 18  # of ONNX
PARITY = 1e-4  # how far the exported model may be from torch, on a scale of 0..1, or of its largest output
STEPPED = 1e-3  # share of a stepped output that may be farther


@dataclass(frozen=True)
class Registered:
    network: nn.Module  # scaling from bytes included
    inputs: dict[str, Tensor]  # examples by name, each (B, …)
    outputs: tuple[str, ...]  # names, in the order in which the network gives them
    stepped: tuple[str, ...] = ()  # those with a threshold in them: rounding may take a few pixels to its other side
    apart: tuple[str, ...] = ()  # inputs whose batch is another than the others'
    fixed: tuple[str, ...] = ()  # inputs whose size is that of the examples, whatever any_size says
    notes: dict[str, str] = field(default_factory=dict)  # kept in the file's metadata
    any_size: bool = False  # height and width, axes 2 and 3, may be others than those of the examples


def export(registered: Registered, path: Path) -> None:
    """Write ONNX, made from the examples twice over, and compare it with torch on them. FpmlError where they differ.

    By torch's older exporter, which follows one run of the network: the newer one (dynamo=True) makes models that say the same,
    and takes many times as long. PRESERVE, for a network that is in its evaluating state already, leaves normalisation
    apart from convolutions, so that all parameters keep their names; ONNX Runtime joins them as it loads."""
    import onnx
    import onnxruntime

    network = registered.network.eval()
    sides = {2: "rows", 3: "columns"} if registered.any_size else {}
    axes = {
        name: {0: f"batch_of_{name}" if name in registered.apart else "batch", **({} if name in registered.fixed else sides)}
        for name in registered.inputs
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one; and that what it follows may depend on the values
        torch.onnx.export(
            network, tuple(v.repeat(2, *[1] * (v.dim() - 1)) for v in registered.inputs.values()), path, dynamo=False,
            input_names=list(axes), output_names=list(registered.outputs), training=TrainingMode.PRESERVE, opset_version=OPSET,
            dynamic_axes=axes | {name: {0: f"batch_of_{name}"} for name in registered.outputs},
        )  # fmt: skip
    with torch.inference_mode():
        ours = network(*registered.inputs.values())
    ours = ours if isinstance(ours, tuple) else (ours,)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, registered.notes)
    if not registered.any_size:  # the exporter does not say all sizes that it might
        for output, values in zip(model.graph.output, ours, strict=True):
            for dimension, size in zip(output.type.tensor_type.shape.dim[1:], values.shape[1:], strict=True):
                dimension.dim_value = size
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(list(registered.outputs), {k: v.numpy() for k, v in registered.inputs.items()})
    for name, a, b in zip(registered.outputs, ours, theirs, strict=True):
        gaps = np.abs(a.numpy() - b) / max(1.0, float(a.abs().max()))
        gap = float(np.quantile(gaps, 1 - STEPPED) if name in registered.stepped else gaps.max())
        if not gap <= PARITY:
            raise FpmlError(
                f"the exported model's {name} differs from torch's by {gap:.2g} (at most {PARITY} is allowed); not registered"
            )
