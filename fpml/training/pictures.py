"""The loop that trains a network to turn the picture it is shown into another one: itself, or what it should have been."""

import math
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models import PictureFamily
from fpml.models.layers import PictureLoss, binary_cross_entropy
from fpml.settings.recipe import Recipe, Schedule, Train
from fpml.training.batches import Batches, Draws, shuffled
from fpml.training.session import Row, Session, Sets

SSIM_SHARE = 0.84  # Zhao et al.'s mix
WINDOW = 7  # pixels


def picture_loss(name: str) -> PictureLoss:
    """mse, l1, bce or ssim between pictures in 0..1, in float32 whatever the network ran in.

    Binary cross-entropy of grey targets has a floor above 0: the targets' own entropy. ssim is 1 - SSIM and a share of
    the absolute difference (Zhao et al. 2017)."""
    functions: dict[str, PictureLoss] = {
        "mse": F.mse_loss,
        "l1": F.l1_loss,
        "bce": binary_cross_entropy,
        "ssim": _unlike,
    }
    function = functions[name]

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        return function(output.float(), targets)

    return loss


def _unlike(output: Tensor, targets: Tensor) -> Tensor:
    """By an even window of WINDOW pixels, four times as fast here as the Gaussian one that is measured with."""

    def mean(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, WINDOW, 1)

    a, b = mean(output), mean(targets)
    aa, bb, ab = mean(output * output) - a * a, mean(targets * targets) - b * b, mean(output * targets) - a * b
    c1, c2 = 0.01**2, 0.03**2  # Wang et al. 2004, range 1
    similar = (2 * a * b + c1) * (2 * ab + c2) / ((a * a + b * b + c1) * (aa + bb + c2))
    return SSIM_SHARE * (1 - similar.mean()) + (1 - SSIM_SHARE) * F.l1_loss(output, targets)


def optimizer(settings: Train, network: nn.Module) -> torch.optim.Optimizer:
    """Keras's defaults, which the published works used; torch's own are others. Fused: one step for all of a network's weights,
    which spares small networks in small batches up to a tenth of their time."""
    parameters = network.parameters()
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, settings.learning_rate, alpha=0.9, eps=1e-7)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, settings.learning_rate, eps=1e-7, fused=True)
    return torch.optim.AdamW(parameters, settings.learning_rate, eps=1e-7, weight_decay=0.004, fused=True)


def own_targets(prints: Prepared, side: np.ndarray, recipe: Recipe, accelerator: Accelerator) -> Sets:
    """Every print is its own target. side: (n,) what each prepared print is for."""
    size = recipe.train.batch_size
    training, validation = (Batches(prints, np.flatnonzero(side == s), size, accelerator) for s in (TRAIN, VALIDATION))
    return Sets(training, validation)


def train(network: nn.Module, family: PictureFamily, sets: Sets, settings: Train, session: Session) -> nn.Module:
    """Train in place, from the last checkpoint if there is one; the last epoch's weights stand.

    No epoch is picked by its validation loss, so the validation prints may be measured on afterwards."""
    accelerator, training = session.accelerator, sets.training
    loss_of = picture_loss(settings.loss)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimiser = accelerator.prepare(network, optimizer(settings, network))  # its forward autocasts from here

    def one_epoch(epoch: int) -> Row:
        start = perf_counter()
        wrapped.train()
        total, seen = torch.zeros((), device=accelerator.device), 0
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, epoch)
        for number, batch in enumerate(training.epoch(shuffled(len(training.rows), settings.seed, epoch))):
            prints, targets = batch.prints, batch.targets
            if settings.flips:
                prints, targets = flipped(prints, targets, batch.draws(settings.seed, epoch, number))
            loss = family.loss(wrapped(prints), prints, targets, loss_of)
            accelerator.backward(loss * batch.weight)
            optimiser.step()
            optimiser.zero_grad()
            total += loss.detach() * batch.stands_for
            seen += batch.size
            session.still_wanted()
        seconds = perf_counter() - start
        return {
            "train/loss": session.mean(total, seen),
            "validation/loss": validate(wrapped, family, sets.validation, loss_of, session),
            "images_per_second": seen / seconds,
        }

    bare: nn.Module = accelerator.unwrap_model(wrapped)
    session.run(settings.epochs, bare, [optimiser], one_epoch)
    return bare


def learning_rate(settings: Schedule, epoch: int) -> float:
    """The epoch's, from 1 on; cosine: falling from the whole rate towards 0 (Loshchilov and Hutter 2017)."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / settings.epochs))


def flipped(prints: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Each print (B, 1, H, W) turned over or not, in either direction, its target as it is."""
    for side in (-1, -2):
        turn = draws.uniform(0, 1, 1, 1, 1) < 0.5
        prints, targets = (torch.where(turn, p.flip(side), p) for p in (prints, targets))
    return prints, targets


@torch.inference_mode()
def validate(network: nn.Module, family: PictureFamily, validation: Batches, loss_of: PictureLoss, session: Session) -> float:
    """The mean loss over prints that are not trained on."""
    network.eval()
    total, seen = torch.zeros((), device=session.accelerator.device), 0
    for batch in validation.epoch(torch.arange(len(validation.rows))):
        total += family.loss(network(batch.prints), batch.prints, batch.targets, loss_of) * batch.stands_for
        seen += batch.size
    return session.mean(total, seen)
