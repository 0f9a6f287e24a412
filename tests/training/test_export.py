from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models import minutiae, undo
from fpml.tasks.minutiae.train import registered as of_minutiae
from fpml.tasks.undo.train import registered as of_undo
from fpml.training.export import Registered, export


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def forward(self, prints: Tensor) -> Tensor:
        said: Tensor = self.layers(prints.float() / 255)
        return said


def prints(count: int, height: int = 16, width: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, 1, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


def test_a_model_s_parameters_keep_their_names_and_its_sizes_are_said(tmp_path: Path) -> None:
    network = Small()
    for parameter in network.parameters():
        nn.init.normal_(parameter)  # equal ones would be stored once
    export(Registered(network, {"prints": prints(1)}, ("said",), notes={"steps": "6"}), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {name for name, _ in network.named_parameters()} <= {stored.name for stored in model.graph.initializer}
    assert [(p.key, p.value) for p in model.metadata_props] == [("steps", "6")]
    (said,) = model.graph.output
    assert [d.dim_param or d.dim_value for d in said.type.tensor_type.shape.dim] == ["batch_of_said", 12]


class ByTheNumber(nn.Module):
    """What the exporter takes for a constant: how many prints there are."""

    def forward(self, prints: Tensor) -> Tensor:
        return prints.float() / 255 * len([*prints])


def test_a_model_that_says_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FpmlError, match=r"the exported model's said differs from torch's by .*; not registered"):
        export(Registered(ByTheNumber(), {"prints": prints(2)}, ("said",)), tmp_path / "model.onnx")


@pytest.mark.parametrize(("family", "registered"), [(minutiae, of_minutiae), (undo, of_undo)])
def test_prints_of_any_number_and_size(tmp_path: Path, family: Any, registered: Any) -> None:
    torch.manual_seed(0)
    network = family.build(SimpleNamespace(widths=[4, 4, 8, 8]), 64, 64, 0)
    made = registered(network, prints(1, 64, 64))
    export(made, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count, height, width in ((1, 96, 80), (3, 48, 112)):
        inputs = {
            name: values if name in made.fixed else torch.zeros((count, values.shape[1], height, width), dtype=values.dtype)
            for name, values in made.inputs.items()
        } | {"prints": prints(count, height, width)}
        with torch.inference_mode():
            ours = made.network.eval()(*inputs.values())
        theirs = session.run(None, {name: values.numpy() for name, values in inputs.items()})
        for name, a, b in zip(made.outputs, ours, theirs, strict=True):
            gaps = np.abs(a.numpy() - b) / max(1.0, float(a.abs().max()))
            assert np.quantile(gaps, 0.999) < 1e-4, (name, count, height, width)
