"""generate: a generator learns to make prints that a discriminator takes for real ones."""

import base64
import io
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fpml.base.errors import FpmlError
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models import Adversary
from fpml.tasks.generate.settings import Generate, TrainGenerate
from fpml.training.batches import Batches, shuffled
from fpml.training.export import Registered
from fpml.training.session import Row, Session, Sets

SHEET = 6  # pictures a side of the sheet of fixed noise


def sets(prints: Prepared, side: np.ndarray, recipe: Generate, accelerator: Accelerator) -> Sets:
    """Prints with the numbers of their classes, if the recipe asks for some: of their hand, finger or pattern."""
    rows = [np.flatnonzero(side == s) for s in (TRAIN, VALIDATION)]
    size, by = recipe.train.batch_size, recipe.model.condition
    if by == "none":
        training, validation = (Batches(prints, r, size, accelerator) for r in rows)
        return Sets(training, validation)
    column = prints.index[by].astype("string")
    known = column.notna().to_numpy()
    rows = [r[known[r]] for r in rows]
    names = sorted(column.iloc[rows[0]].unique())
    if len(names) < 2:
        found = ", ".join(names) or "none"
        raise FpmlError(f"model.condition is {by}, and the training prints say {found}; a condition needs two or more")
    numbers = pd.Series(range(len(names)), index=names)
    rows = [r[column.iloc[r].isin(names).to_numpy()] for r in rows]
    training, validation = (Batches(prints, r, size, accelerator, classes=numbers[column.iloc[r]].to_numpy(int)) for r in rows)
    return Sets(training, validation, tuple(str(n) for n in names))


class _Pair(nn.Module):
    """All that is trained or averaged."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, share: float) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        # It moves towards the generator from step to step; its batch statistics are the generator's.
        moves = get_ema_multi_avg_fn(share)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(generator, multi_avg_fn=moves)
        self.average.n_averaged += 1  # the first weights are in it: without this the first step would replace them


def train(network: nn.Module, family: Adversary, sets: Sets, settings: TrainGenerate, session: Session) -> nn.Module:
    """DCGAN's game: the discriminator tells real from made, the generator makes it err. What stands is the generator's
    running average (settings.average; 0 keeps the generator itself)."""
    accelerator, training = session.accelerator, sets.training
    if min(settings.batch_size, len(training.rows)) < 2 * accelerator.num_processes:
        raise FpmlError(
            f"{len(training.rows)} prints in batches of {settings.batch_size} are too few for {accelerator.num_processes} "
            "training process(es), which need two prints each"
        )
    generator: Any = network
    side, classes = training.prints.images[0].shape[1], len(sets.classes)
    opponent = family.discriminator(generator.model, side, classes)
    betas = (settings.beta1, 0.999)
    optimisers = [torch.optim.Adam(n.parameters(), settings.learning_rate, betas) for n in (generator, opponent)]
    wrapped, other, *optimisers = accelerator.prepare(generator, opponent, *optimisers)
    own, opposing = (accelerator.unwrap_model(n) for n in (wrapped, other))
    pair = _Pair(own, opposing, settings.average).to(accelerator.device)
    device, latent = accelerator.device, generator.model.latent
    fixed = torch.randn(SHEET * SHEET, latent, generator=torch.Generator().manual_seed(settings.seed)).to(device)
    fixed_classes = torch.arange(SHEET * SHEET, device=device) % max(classes, 1)

    def one_epoch(epoch: int) -> Row:
        start = perf_counter()
        wrapped.train()
        other.train()
        totals, seen = torch.zeros(4, device=device), 0
        for number, batch in enumerate(training.epoch(shuffled(len(training.rows), settings.seed, epoch))):
            if batch.size < 2 * accelerator.num_processes:  # too few to normalise over; all processes leave it out
                continue
            real = batch.prints.expand(-1, generator.model.channels, -1, -1)
            noise = batch.draws(settings.seed, epoch, number).normal(latent)
            made = wrapped(noise, batch.classes)

            said_real, said_made = other(real, batch.classes), other(made.detach(), batch.classes)
            loss = _bce(said_real, settings.real_label) + _bce(said_made, 0.0)
            accelerator.backward(loss * batch.weight)
            optimisers[1].step()
            optimisers[1].zero_grad()

            fooled = other(made, batch.classes)
            loss_made = _bce(fooled, 1.0)
            accelerator.backward(loss_made * batch.weight)
            optimisers[0].step()
            for optimiser in optimisers:
                optimiser.zero_grad()
            pair.average.update_parameters(pair.generator)
            share = batch.stands_for
            right = torch.stack([(said_real > 0).float().mean(), (said_made > 0).float().mean()])
            totals += torch.cat([torch.stack([loss.detach(), loss_made.detach()]), right]) * share
            seen += batch.size
            session.still_wanted()
        seconds = perf_counter() - start
        names = (
            "discriminator/loss",
            "generator/loss",
            "discriminator/real_taken_for_real",
            "discriminator/made_taken_for_real",
        )
        row: Row = {name: session.mean(total, seen) for name, total in zip(names, totals, strict=True)}
        row["images_per_second"] = seen / seconds
        if epoch % settings.sheet_every == 0 or epoch in (1, settings.epochs):
            row["sheet"] = _sheet(pair.average, fixed, fixed_classes)
        return row

    session.run(settings.epochs, pair, optimisers, one_epoch)
    return pair.average.module


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@torch.inference_mode()
def _sheet(generator: nn.Module, latent: Tensor, classes: Tensor) -> str:
    """Pictures of fixed noise as one PNG, base64."""
    generator.eval()
    made = generator(latent, classes)[:, 0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
    side = made.shape[1]
    sheet = made.reshape(SHEET, SHEET, side, side).transpose(0, 2, 1, 3).reshape(SHEET * side, SHEET * side)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def registered(network: nn.Module, prints: Tensor) -> Registered:
    """Latent vectors, and classes where there are some → pictures (B, channels, H, H) in 0..1."""
    generator: Any = network
    latent = torch.randn(4, generator.model.latent, generator=torch.Generator().manual_seed(0))
    if generator.names is None:
        return Registered(_Unconditional(generator), {"latent": latent}, ("pictures",))
    return Registered(generator, {"latent": latent, "class": torch.arange(4) % generator.names.num_embeddings}, ("pictures",))


class _Unconditional(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        pictures: Tensor = self.network(latent, torch.zeros(1, dtype=torch.int64))
        return pictures
