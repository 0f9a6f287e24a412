"""recognise: a network learns to name the finger; what it learned to look at, its embedding, compares fingers it never saw."""

import copy
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models import Family
from fpml.tasks.recognise.settings import Recognise, TrainRecognise
from fpml.training.batches import Batches, Draws, shuffled
from fpml.training.export import Registered
from fpml.training.pictures import learning_rate
from fpml.training.session import Row, Session, Sets

KNOTS = 4  # of the grid that a print is distorted by, a side


def sets(prints: Prepared, side: np.ndarray, recipe: Recognise, accelerator: Accelerator) -> Sets:
    """Prints with the numbers of their fingers; the classes are the fingers that are trained on."""
    rows = [np.flatnonzero(side == s) for s in (TRAIN, VALIDATION)]
    fingers = prints.index["finger_id"].astype(str)
    names = sorted(fingers.iloc[rows[0]].unique())
    if len(names) < 2:
        raise FpmlError(f"recognise needs two fingers or more to tell apart; the training prints are of {len(names)}")
    numbers = pd.Series(range(len(names)), index=names)
    training, validation = (
        Batches(prints, r, recipe.train.batch_size, accelerator, classes=numbers[fingers.iloc[r]].to_numpy()) for r in rows
    )
    return Sets(training, validation, tuple(names))


@torch.no_grad()  # not inference_mode: what it moves to the device is trained afterwards
def imprint(network: Any, training: Batches, accelerator: Accelerator) -> None:
    """Let each finger's row of the last layer be the mean embedding of its training prints, where a network that knows other
    fingers begins with these (Qi, Brown and Lowe 2018). For a network whose logits are cosines."""
    network.to(accelerator.device).eval()
    sums = torch.zeros_like(network.fc.weight)
    for batch in training.epoch(torch.arange(len(training.rows))):
        sums.index_add_(0, batch.classes, network(batch.prints)[1])
    network.fc.weight.copy_(F.normalize(accelerator.reduce(sums, "sum")))


class _Kept(nn.Module):
    """The network as it stands, and as it was in its best epoch."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: Any = network
        self.best = copy.deepcopy(network)
        self.least: Tensor
        self.register_buffer("least", torch.tensor(float("inf")))

    @torch.no_grad()
    def note(self, loss: float) -> None:
        if loss < float(self.least):
            self.least.fill_(loss)
            self.best.load_state_dict(self.network.state_dict())


def train(network: nn.Module, family: Family, sets: Sets, settings: TrainRecognise, session: Session) -> nn.Module:
    """Cross-entropy over the fingers and a penalty on the last layer's weights. The epoch with the least validation loss
    stands: so its validation prints say nothing about it, and the test prints do."""
    accelerator, training = session.accelerator, sets.training
    if len(training.rows) < 2:
        raise FpmlError("recognise needs two training prints or more in a batch")
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
    wrapped, optimiser = accelerator.prepare(network, optimiser)
    kept = _Kept(accelerator.unwrap_model(wrapped)).to(accelerator.device)

    def one_epoch(epoch: int) -> Row:
        start = perf_counter()
        wrapped.train()
        total, right = torch.zeros((), device=accelerator.device), torch.zeros((), device=accelerator.device)
        seen = 0
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, epoch)
        for number, batch in enumerate(training.epoch(shuffled(len(training.rows), settings.seed, epoch))):
            prints = augmented(batch.prints, settings, batch.draws(settings.seed, epoch, number))
            if len(prints) == 1:  # its normalisation over the batch would be of one print
                prints, classes = prints.repeat(2, 1, 1, 1), batch.classes.repeat(2)
            else:
                classes = batch.classes
            logits, _ = wrapped(prints)
            loss = F.cross_entropy(logits.float(), classes)
            penalty = settings.fc_penalty * kept.network.fc.weight.float().square().sum()
            accelerator.backward((loss + penalty) * batch.weight)
            optimiser.step()
            optimiser.zero_grad()
            total += loss.detach() * batch.stands_for
            right += (logits.argmax(1) == classes).float().mean() * batch.stands_for
            seen += batch.size
            session.still_wanted()
        seconds = perf_counter() - start
        validation_loss, accuracy = validate(wrapped, sets.validation, session)
        kept.note(validation_loss)
        return {
            "train/loss": session.mean(total, seen),
            "validation/loss": validation_loss,
            "train/accuracy": session.mean(right, seen),
            "validation/accuracy": accuracy,
            "images_per_second": seen / seconds,
        }

    session.run(settings.epochs, kept, [optimiser], one_epoch)
    best: nn.Module = kept.best
    return best


@torch.inference_mode()
def validate(network: nn.Module, validation: Batches, session: Session) -> tuple[float, float]:
    """The mean loss and the accuracy over the validation prints."""
    network.eval()
    total, right = (torch.zeros((), device=session.accelerator.device) for _ in range(2))
    seen = 0
    for batch in validation.epoch(torch.arange(len(validation.rows))):
        logits, _ = network(batch.prints)
        total += F.cross_entropy(logits.float(), batch.classes) * batch.stands_for
        right += (logits.argmax(1) == batch.classes).float().mean() * batch.stands_for
        seen += batch.size
    return session.mean(total, seen), session.mean(right, seen)


def augmented(prints: Tensor, settings: TrainRecognise, draws: Draws) -> Tensor:
    """Each print (B, 1, H, W) cropped, turned a little, distorted and, if the settings say so, mirrored, all at random.

    Outside the print its own corner's grey is repeated. A crop keeps its share of each side and is enlarged to the whole."""
    height, width = prints.shape[-2:]
    uniform = draws.uniform
    zoom = uniform(1 - settings.crops, 1.0)
    angle = uniform(-settings.turns, settings.turns) * torch.pi / 180
    shift = uniform(-1, 1, 2) * (1 - zoom)[:, None]
    mirror = torch.ones(len(prints), device=prints.device)
    if settings.flips:
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    c, s = zoom * torch.cos(angle), zoom * torch.sin(angle)
    matrix = torch.stack([torch.stack([c * mirror, -s, shift[:, 0]], 1), torch.stack([s * mirror, c, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(matrix, list(prints.shape), align_corners=False)
    if settings.distortion:
        knots = uniform(-1, 1, 2, KNOTS, KNOTS) * settings.distortion
        field = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(prints, grid, padding_mode="border", align_corners=False)


class _FromBytes(nn.Module):
    """uint8 (B, 1, H, W) → logits (B, classes) and embedding (B, numbers), both float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self.network(prints.float() / 255)
        return logits, embedding


def registered(network: nn.Module, prints: Tensor) -> Registered:
    return Registered(_FromBytes(network), {"prints": prints}, ("logits", "embedding"))
