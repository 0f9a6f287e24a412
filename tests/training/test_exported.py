from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from fpml.base.errors import FpmlError
from fpml.base.shipped import as_shipped, shipped
from fpml.models import minutiae, undo
from fpml.training.exported import load_exported, measure, unmeasured
from fpml.training.first_weights import load_start, of_start

WIDTHS = {"repair-1": [16, 32, 64, 80], "minutiae-1": [24, 48, 80, 144]}
FAMILIES: dict[str, Any] = {"repair-1": undo, "minutiae-1": minutiae}
PRINTS = torch.randint(0, 256, (2, 1, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INPUTS = {"repair-1": undo.examples(PRINTS), "minutiae-1": {"prints": PRINTS, "patches": PRINTS[..., :48, :].clone()}}


def _network(name: str) -> torch.nn.Module:
    network: torch.nn.Module = FAMILIES[name].build(SimpleNamespace(widths=WIDTHS[name]), 64, 48, 0)
    return network


@pytest.mark.parametrize("name", FAMILIES)
def test_a_shipped_model_s_weights_come_back(name: str) -> None:
    """The network says what the model says, but for what is fitted after training. From its first batch on it normalises as any
    other: the same batch gives the same while it learns (but for a gate), there and where its weights are taken along."""
    content = as_shipped(shipped()[name] / "model.onnx")
    network, wrapped = _network(name), FAMILIES[name].Exported
    load_exported(network, content)
    inputs = INPUTS[name]
    expected = onnxruntime.InferenceSession(content).run(None, {key: values.numpy() for key, values in inputs.items()})
    unseen = _network(name)
    load_exported(unseen, content)
    measure(unseen, lambda: None)
    assert unmeasured(network)
    with torch.no_grad():
        measure(network, lambda: wrapped(network).eval()(**inputs))
    assert not unmeasured(network)
    taken = _network(name)
    taken.load_state_dict(network.state_dict())
    for same, training, other in (
        (network, False, {"presence"}),
        (network, True, {"presence", "repaired"}),
        (taken, False, {"presence"}),
        (taken, True, {"presence", "repaired"}),
        (unseen, False, {"presence"}),
    ):
        with torch.no_grad():
            outputs = wrapped(same).train(training)(**inputs)
        for output, asked, what in zip(outputs, expected, wrapped.OUTPUTS, strict=True):
            if what not in other:
                np.testing.assert_allclose(output, asked, atol=2e-3, err_msg=f"{what}, training: {training}")


def test_only_the_network_that_it_was_made_of_takes_a_shipped_model() -> None:
    for one, other in (("repair-1", "minutiae-1"), ("minutiae-1", "repair-1")):
        with pytest.raises(FpmlError, match=f"start_from: {one} does not fit this model and its settings: .* is not in it"):
            load_start(_network(other), one)
    narrow = undo.build(SimpleNamespace(widths=[8, 16, 32, 40]), 64, 48, 0)  # type: ignore[arg-type]
    with pytest.raises(FpmlError, match="does not fit this model and its settings"):
        load_start(narrow, "repair-1")
    with pytest.raises(FpmlError, match=r"minutiae-2 is not there; .* comes with fpml \(minutiae-1, repair-1\)"):
        of_start("minutiae-2")
    assert of_start("minutiae-1").startswith("minutiae-1, SHA-256 ")
