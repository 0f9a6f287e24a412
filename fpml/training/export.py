"""The registered form of a network: ONNX with a dynamic batch that says what torch says."""

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fpml.base.errors import FpmlError

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
    any_size: int = 0  # height and width, axes 2 and 3, may be any multiple of this; 0: they are those of the examples


def export(registered: Registered, path: Path) -> None:
    """Write ONNX, and compare it with torch on the examples. FpmlError where they differ."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    network = registered.network.eval()
    # A batch of 1 would be taken for a constant.
    examples = {k: v if len(v) > 1 else v.repeat(2, *[1] * (v.dim() - 1)) for k, v in registered.inputs.items()}
    batch = torch.export.Dim("batch", min=1)
    multiple = registered.any_size
    sides = {axis: multiple * torch.export.Dim(name, min=2) for axis, name in ((2, "rows"), (3, "columns")) if multiple}
    own = {name: torch.export.Dim(f"batch_of_{name}", min=1) for name in registered.apart}
    shapes = tuple({0: own.get(name, batch), **({} if name in registered.fixed else sides)} for name in examples)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # the exporter prints its steps
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, tuple(examples.values()), dynamo=True, input_names=list(examples), output_names=list(registered.outputs),
            dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
    assert program is not None
    program.model.metadata_props.update(registered.notes)
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(list(registered.outputs), {k: v.numpy() for k, v in registered.inputs.items()})
    with torch.inference_mode():
        ours = network(*registered.inputs.values())
    for name, a, b in zip(registered.outputs, ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
        gaps = np.abs(a.numpy() - b) / max(1.0, float(a.abs().max()))
        gap = float(np.quantile(gaps, 1 - STEPPED) if name in registered.stepped else gaps.max())
        if not gap <= PARITY:
            raise FpmlError(
                f"the exported model's {name} differs from torch's by {gap:.2g} (at most {PARITY} is allowed); not registered"
            )
