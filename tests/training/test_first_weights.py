import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fpml.base.errors import FpmlError
from fpml.models import resnet
from fpml.settings.recipe import Data
from fpml.tasks.recognise.settings import ModelRecognise
from fpml.training import first_weights

TINY = ModelRecognise(blocks=[1, 1, 1, 1], width=4, init="imagenet", weights="", synthetic_fingers=2, synthetic_epochs=1)
WHOLE = ModelRecognise(blocks=[3, 4, 6, 3], width=64, init="imagenet", weights="", synthetic_fingers=2, synthetic_epochs=1)


def test_resnet_50_has_torchvisions_parameters() -> None:
    network = resnet.build(WHOLE, 224, 224, 1000)
    assert sum(p.numel() for p in network.parameters()) == 25_557_032
    names = set(network.state_dict())
    assert {
        "conv1.weight",
        "layer1.0.downsample.1.running_var",
        "layer3.5.conv2.weight",
        "layer4.2.bn3.bias",
        "fc.bias",
    } <= names
    assert len(names) == 320
    logits, embedding = resnet.build(TINY, 64, 48, 7)(torch.rand(2, 1, 64, 48))
    assert logits.shape == (2, 7)
    assert embedding.shape == (2, 128)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2))


def test_imagenets_weights_come_from_a_file_with_torchvisions_names(project: Path) -> None:
    known = resnet.build(TINY, 64, 64, 1000)
    older = {k: v for k, v in known.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(older, project / "resnet.safetensors")
    network = resnet.build(TINY, 64, 64, 5)
    last = network.fc.weight.clone()
    first_weights.load_imagenet(network, "resnet.safetensors")
    assert torch.equal(network.layer4[0].conv3.weight, known.layer4[0].conv3.weight)  # type: ignore[index, union-attr]
    assert torch.equal(network.fc.weight, last)


def test_weights_of_another_shape_or_hash_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = resnet.build(ModelRecognise(**{**TINY.__dict__, "width": 8}), 64, 64, 5)
    save_file(other.state_dict(), project / "other.safetensors")
    network = resnet.build(TINY, 64, 64, 5)
    with pytest.raises(FpmlError, match=r"of shape .* this network"):
        first_weights.load_imagenet(network, "other.safetensors")
    save_file({"conv1.weight": torch.zeros(1)}, project / "few.safetensors")
    with pytest.raises(FpmlError, match=r"lacks .* tensors of this network"):
        first_weights.load_imagenet(network, "few.safetensors")
    (project / "bad.safetensors").write_bytes(b"x" * 50)
    with pytest.raises(FpmlError, match="is not a safetensors file"):
        first_weights.load_imagenet(network, "bad.safetensors")
    with pytest.raises(FpmlError, match=r"away.safetensors is not there"):
        first_weights.load_imagenet(network, "away.safetensors")
    torch.save(network.state_dict(), project / "weights.pth")
    with pytest.raises(FpmlError, match="give that one, or your own as safetensors"):
        first_weights.load_imagenet(network, "weights.pth")
    # The file whose hash is known is read for its tensors only.
    digest = hashlib.sha256((project / "weights.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(first_weights, "IMAGENET_SHA256", digest[:8])
    first_weights.load_imagenet(network, "weights.pth")


def test_no_net_is_one_clear_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_weights, "IMAGENET", "http://127.0.0.1:9/resnet.pth")
    with pytest.raises(FpmlError, match=r"can't be downloaded .* set model.init to synthetic or none"):
        first_weights.load_imagenet(resnet.build(TINY, 64, 64, 5), "")


def test_generated_fingers_come_first(project: Path, fpml: Any, change_params: Any) -> None:
    """With init: synthetic the training starts elsewhere than with none, and says so."""
    import json
    import shutil

    from tests.conftest import write_fvc

    shutil.rmtree(project / "raw/prints")
    write_fvc(project / "raw/prints", ("DB1_B",), 4, 5)
    change_params("run", {"recognise": {"task": "recognise", "model": "resnet"}})
    change_params("recipes.recognise.data.test", [])
    change_params("recipes.recognise.split.unseen", 0.0)
    change_params("recipes.recognise.train.epochs", 1)
    for command in (("ingest", "prints"), ("ingest", "other"), ("prepare", "recognise"), ("split", "recognise")):
        fpml(*command)
    weights = {}
    for init in ("none", "synthetic"):
        change_params("recipes.recognise.model.init", init)
        said = fpml("train", "recognise").err
        weights[init] = (project / "models/recognise/weights.safetensors").read_bytes()
        start = json.loads((project / "models/recognise/run.json").read_text(encoding="utf-8"))["params"]["start"]
        assert start.startswith(init)
    assert "training starts from 2 generated fingers" in said
    assert weights["none"] != weights["synthetic"]


def test_a_generated_finger_lies_on_the_recipes_canvas() -> None:
    data = Data(["x"], [], 96, 80, 180.0, "print")
    prints, masks = first_weights._generated(0, data)
    assert prints.shape == masks.shape == (first_weights.IMPRESSIONS, 96, 80)
    assert 0.1 < masks.mean() < 1
    assert len(np.unique(prints)) > 20
