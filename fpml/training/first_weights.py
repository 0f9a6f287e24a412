"""What training starts from: chance, a file of weights, ImageNet, generated fingers, or the weights that come with the package,
which learnt from generated fingers. Always said, never silent."""

import hashlib
import sys
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from torch import nn

from fpml.base.errors import FpmlError
from fpml.base.files import new_file, root, state_folder
from fpml.base.parallel import Workers, in_parallel
from fpml.base.shipped import SHIPPED, as_shipped, card_of, shipped
from fpml.data.store import Prepared
from fpml.models import Family
from fpml.settings.recipe import Data
from fpml.training.batches import Batches
from fpml.training.checkpoint import Checkpoints
from fpml.training.exported import load_exported
from fpml.training.session import Session, Sets

IMAGENET = "https://download.pytorch.org/models/resnet50-0676ba61.pth"  # torchvision's ResNet50_Weights.IMAGENET1K_V1
IMAGENET_SHA256 = "0676ba61"  # the first digits, which torchvision puts into the file's name
FIRST = SHIPPED / "first-1"  # made by docs/scripts/make_first.py
SEED, SENSOR, IMPRESSIONS = 2024, "fvc2002-db1", 4  # of the generated fingers that come first


def of_start(start_from: str) -> str:
    """A file of weights or a model that comes with the package, in one line; 'none' for ''."""
    if not start_from:
        return "none"
    if start_from in shipped():
        return f"{start_from}, SHA-256 {card_of(shipped()[start_from])['sha256']}"
    return f"{start_from}, SHA-256 {hashlib.sha256(_read(root() / start_from)).hexdigest()}"


def of_imagenet(weights: str) -> str:
    """ImageNet's weights, in one line."""
    path = root() / weights
    if weights and path.exists():  # where it is not, load_imagenet says so
        return f"imagenet, {weights}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"imagenet, {weights or IMAGENET}"


def of_shipped() -> str:
    """The weights that come with the package, in one line."""
    return f"shipped, {FIRST.name}, SHA-256 {card_of(FIRST)['sha256']}"


def of_generated(fingers: int, epochs: int) -> str:
    """Generated fingers, in one line."""
    from fpml.synth.write import GENERATOR

    return f"synthetic, {fingers} fingers of generator {GENERATOR}, {epochs} epochs"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        names = ", ".join(sorted({folder.name for folder in shipped().values()}))
        what = f"give a weights.safetensors, a model that comes with fpml ({names}), or '' to start anew"
        raise FpmlError(f"train.start_from: {path} is not there; {what}") from None


def load_start(network: nn.Module, start_from: str) -> None:
    """A file of weights, or a model that comes with the package. FpmlError for those of another network."""
    try:
        if start_from in shipped():
            load_exported(network, as_shipped(shipped()[start_from] / "model.onnx"))
            print(f"training starts from {start_from}, which comes with the package", file=sys.stderr)
        else:
            network.load_state_dict(from_bytes(_read(root() / start_from)))
    except SafetensorError as error:
        raise FpmlError(f"train.start_from: {root() / start_from} is not a safetensors file ({error})") from None
    except RuntimeError as error:
        why = " ".join(str(error).split())[:200]
        raise FpmlError(f"train.start_from: {start_from} does not fit this model and its settings: {why}") from None


def load_shipped(network: nn.Module) -> None:
    """The shipped weights of an aligned embedder, but for its last layer. FpmlError for a network of other parts or sizes."""
    known, mine = from_bytes(as_shipped(FIRST / "weights.safetensors")), network.state_dict()
    wanted = {k: v.shape for k, v in mine.items() if not k.startswith("fc.")}
    if {k: v.shape for k, v in known.items()} != wanted:
        fits = f"the model 'aligned' with width {card_of(FIRST)['width']}"
        raise FpmlError(f"model.init is shipped: {FIRST.name} fits {fits}, and not this one; take that, or another init")
    network.load_state_dict(known, strict=False)
    print(f"training starts from {FIRST.name}, which comes with the package", file=sys.stderr)


def load_imagenet(network: nn.Module, weights: str) -> None:
    """torchvision's ResNet-50, but for its last layer. weights: a file, or '' to download it once."""
    path = root() / weights if weights else _downloaded()
    if not path.exists():
        raise FpmlError(f"model.weights: {path} is not there; give resnet50 as safetensors, or '' to have it downloaded")
    known = _tensors(path)
    mine = network.state_dict()
    # Older files lack the counters, which torch can do without.
    wanted = {k for k in mine if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}
    if missing := sorted(wanted - set(known)):
        raise FpmlError(f"model.weights: {path} lacks {len(missing)} tensors of this network, first {missing[0]}")
    if other := [k for k in wanted if known[k].shape != mine[k].shape]:
        raise FpmlError(
            f"model.weights: {path} has {other[0]} of shape {list(known[other[0]].shape)}, this network "
            f"{list(mine[other[0]].shape)}; ImageNet's fit blocks [3, 4, 6, 3] and width 64"
        )
    network.load_state_dict({k: known[k] for k in wanted}, strict=False)
    print(f"training starts from ImageNet's weights in {path}", file=sys.stderr)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        try:
            return from_bytes(content)
        except SafetensorError as error:
            raise FpmlError(f"model.weights: {path} is not a safetensors file ({error})") from None
    if not _is_imagenets(content):
        digest = hashlib.sha256(content).hexdigest()
        raise FpmlError(
            f"model.weights: {path} has the SHA-256 {digest[:8]}…, torchvision's file {IMAGENET_SHA256}…; give that one, or "
            "your own as safetensors"
        )
    # The one file that is known by its hash; torch's reader for tensors only, which runs no code from it.
    tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _downloaded() -> Path:
    import urllib.request

    path = state_folder() / "weights" / IMAGENET.rpartition("/")[2]
    if path.exists():
        return path
    print(f"downloading {IMAGENET} ...", file=sys.stderr)
    try:
        with urllib.request.urlopen(IMAGENET, timeout=60) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:
        raise FpmlError(
            f"ImageNet's weights can't be downloaded ({error}); give a file by model.weights, or set model.init to "
            "synthetic or none"
        ) from None
    if not _is_imagenets(content):
        raise FpmlError(f"{IMAGENET} gave another file than the one whose SHA-256 begins with {IMAGENET_SHA256}; try again")
    with new_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def _is_imagenets(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest().startswith(IMAGENET_SHA256)


class Learn(Protocol):
    """Trains a network of a family to tell some fingers apart."""

    def __call__(self, network: nn.Module, family: Family, sets: Sets, session: Session) -> nn.Module: ...


def learn_generated(
    network: nn.Module, first: nn.Module, family: Family, fingers: int, data: Data, batch_size: int, learn: Learn,
    session: Session, workers: Workers,
) -> None:  # fmt: skip
    """Train a network on generated fingers first, and keep all but its last layer. first: the same with as many classes as
    there are fingers."""
    print(f"training starts from {fingers} generated fingers", file=sys.stderr)
    threads = torch.get_num_threads()
    made = in_parallel(partial(_generated, data=data), list(range(fingers)), workers, "generate", "fingers", chunk=4)
    torch.set_num_threads(threads)  # the generator takes one, in this process where there are few fingers
    prints, masks = (np.concatenate([part[place] for part in made]) for place in (0, 1))
    whole = Prepared([prints], [masks], None, {"rows_per_shard": len(prints)})  # type: ignore[arg-type]
    classes = np.repeat(np.arange(fingers), IMPRESSIONS)
    last = np.arange(len(prints)) % IMPRESSIONS == IMPRESSIONS - 1  # of each finger, for validation
    accelerator = session.accelerator
    training, validation = (
        Batches(whole, np.flatnonzero(m), batch_size, accelerator, classes=classes[m]) for m in (~last, last)
    )
    own = Checkpoints(session.checkpoints.folder / "synthetic")
    own.folder.mkdir(parents=True, exist_ok=True)
    named = tuple(str(n) for n in range(fingers))
    session = Session(session.accelerator, own, _quiet, session.still_wanted)
    learned = learn(first, family, Sets(training, validation, named), session)
    weights = {k: v.cpu() for k, v in learned.state_dict().items() if not k.startswith("fc.")}
    network.load_state_dict(weights, strict=False)


def _generated(number: int, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The impressions of one finger on the recipe's canvas."""
    from fpml.data.placing import whole_print
    from fpml.synth.field import draw_finger
    from fpml.synth.generate import prints_of
    from fpml.synth.sensors import SENSORS

    torch.set_num_threads(1)
    sensor = SENSORS[SENSOR]
    parts = prints_of([draw_finger(SEED, number + 1)], IMPRESSIONS, [sensor], "fvc", torch.device("cpu"))
    canvases = [whole_print(picture, sensor.dpi, data) for part in parts for picture in part.pictures]
    return np.stack([c for c, _ in canvases]), np.stack([m for _, m in canvases])


def _quiet(row: dict[str, float]) -> None:
    pass
