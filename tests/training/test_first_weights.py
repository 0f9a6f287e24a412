import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fpml.base.errors import FpmlError
from fpml.data.pictures import read_grey
from fpml.data.placing import whole_print
from fpml.inference.load import load
from fpml.metrics.verification import all_pairs, eer
from fpml.models import aligned, resnet
from fpml.settings.recipe import Data
from fpml.synth.generate import generate
from fpml.tasks.recognise.settings import ModelRecognise
from fpml.training import first_weights
from tests.conftest import write_fvc

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


def test_the_shipped_weights_know_how_prints_lie_and_whose_they_are() -> None:
    """Eight fingers that they never saw, four impressions each, on a sensor of the generator."""
    settings = ModelRecognise(**{**TINY.__dict__, "width": 48, "init": "shipped", "blocks": []})
    network = aligned.build(settings, aligned.HEIGHT, aligned.WIDTH, 3).eval()
    last = network.fc.weight.clone()
    first_weights.load_shipped(network)
    assert torch.equal(network.fc.weight, last)
    made = generate(fingers=8, impressions=4, sensor="fvc2002-db1", seed=77, condition="rotated", device="cpu")
    canvas = Data(["x"], [], aligned.HEIGHT, aligned.WIDTH, aligned.DPI, "print")
    placed = np.stack([whole_print(picture, made.sensor.dpi, canvas)[0] for picture in made.pictures])
    prints = torch.from_numpy(placed)[:, None].float() / 255
    with torch.inference_mode():
        vectors = network(prints)[1].numpy()
        _, turn = network.lie(aligned.evened(prints))
    pairs = all_pairs(np.repeat(np.arange(8), 4))
    assert eer((vectors[pairs.a] * vectors[pairs.b]).sum(1), pairs.genuine) < 0.1
    told = torch.atan2(turn[:, 1], turn[:, 0]).numpy()
    assert np.corrcoef(told, [c.rotation for c in made.captures])[0, 1] > 0.8


def test_the_shipped_weights_fit_one_network_alone(project: Path) -> None:
    with pytest.raises(FpmlError, match="fits the model 'aligned' with width 48, and not this one; take that, or another init"):
        first_weights.load_shipped(resnet.build(TINY, 64, 64, 5))
    narrow = ModelRecognise(**{**TINY.__dict__, "width": 16})
    with pytest.raises(FpmlError, match="fits the model 'aligned' with width 48"):
        first_weights.load_shipped(aligned.build(narrow, 160, 128, 5))


def test_training_starts_from_the_shipped_weights_and_says_so(project: Path, fpml: Any, change_params: Any) -> None:
    shutil.rmtree(project / "raw/prints")
    write_fvc(project / "raw/prints", ("DB1_B",), 4, 5)
    change_params("run", {"recognise": {"task": "recognise", "model": "aligned"}})
    size = {"height": aligned.HEIGHT, "width": aligned.WIDTH, "dpi": aligned.DPI}
    change_params("recipes.recognise.data", {"train": ["prints"], "test": [], "crop": "print", **size})
    change_params("recipes.recognise.split.unseen", 0.0)
    change_params("recipes.recognise.train.epochs", 1)
    change_params("recipes.recognise.model.width", 48)
    change_params("recipes.recognise.model.init", "shipped")
    for command in (("ingest", "prints"), ("ingest", "other"), ("prepare", "recognise"), ("split", "recognise")):
        fpml(*command)
    change_params("recipes.recognise.model.init", "imagenet")
    assert "this model starts from shipped" in fpml("train", "recognise", code=2).err
    change_params("run", {"recognise": {"task": "recognise", "model": "resnet"}})
    assert "ImageNet's weights fit blocks [3, 4, 6, 3] and width 64" in fpml("train", "recognise", code=2).err
    change_params("run", {"recognise": {"task": "recognise", "model": "aligned"}})
    change_params("recipes.recognise.model.init", "shipped")
    assert "training starts from first-1, which comes with the package" in fpml("train", "recognise").err
    start = json.loads((project / "models/recognise/run.json").read_text(encoding="utf-8"))["params"]["start"]
    assert start.startswith("shipped, first-1, SHA-256 ")
    model = load("recognise")  # the whole of it, its laying straight too, is in the ONNX file
    grey = read_grey(next((project / "raw/prints/DB1_B").iterdir()), 10**8)
    vectors = model.embed([grey, grey], dpi=500)
    assert vectors.shape == (2, aligned.NUMBERS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_generated_fingers_come_first(project: Path, fpml: Any, change_params: Any) -> None:
    """With init: synthetic the training starts elsewhere than with none, and says so."""
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
