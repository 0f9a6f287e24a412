"""generate: a network learns to make prints from noise, in a game against a discriminator or along a flow."""

import base64
import io
from time import perf_counter
from typing import Any, cast

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
from fpml.models import Adversary, Family, Flow, Generator
from fpml.tasks.generate.settings import Generate, TrainAdversary, TrainFlow
from fpml.tasks.protocol import some
from fpml.training.average import Averaged
from fpml.training.batches import Batch, Batches, Draws, shuffled
from fpml.training.export import Registered
from fpml.training.session import Row, Session, Sets

SHEET = 6  # pictures a side of the sheet of fixed noise
MOST = 2000  # prints that a flow's mean and spread are measured of
BETAS, CLIP = (0.9, 0.99), 1.0  # of a flow's optimiser, and the longest step
WARM_UP, FALLING = 50, 0.3  # steps in which the learning rate rises, and the last share of all steps, in which it falls


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
    if not len(rows[1]):
        there = ", ".join(names)
        raise FpmlError(f"no held-out print has a {by} that training knows ({there}); change split.seed, or model.condition")
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


def train(network: nn.Module, family: Family, sets: Sets, settings: TrainAdversary | TrainFlow, session: Session) -> nn.Module:
    """Train in place, from the last checkpoint if there is one; the network whose weights stand. FpmlError for settings of
    another family."""
    own, other = ("a flow", "a dcgan") if isinstance(settings, TrainFlow) else ("a dcgan", "a flow")
    if (family.KIND == "flow") != isinstance(settings, TrainFlow):
        raise FpmlError(f"the recipe's train section is {own}'s, and its model section {other}'s; take both of one")
    if isinstance(settings, TrainFlow):
        return flow(network, cast(Flow, family), sets, settings, session)
    return adversary(network, cast(Adversary, family), sets, settings, session)


def adversary(network: nn.Module, family: Adversary, sets: Sets, settings: TrainAdversary, session: Session) -> nn.Module:
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
    optimisers = [torch.optim.Adam(n.parameters(), settings.learning_rate, betas, fused=True) for n in (generator, opponent)]
    wrapped, other, *optimisers = accelerator.prepare(generator, opponent, *optimisers)
    own, opposing = (accelerator.unwrap_model(n) for n in (wrapped, other))
    pair = _Pair(own, opposing, settings.average).to(accelerator.device)
    device, latent = accelerator.device, generator.model.latent
    fixed, fixed_classes = _fixed(latent, classes, settings.seed, device)

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

            opposing.requires_grad_(False)  # it learns nothing here: its gradients need not be computed
            fooled = opposing(made, batch.classes)
            opposing.requires_grad_(True)
            loss_made = _bce(fooled, 1.0)
            accelerator.backward(loss_made * batch.weight)
            optimisers[0].step()
            optimisers[0].zero_grad()
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
        if _shown(epoch, settings):
            row["sheet"] = _sheet(family, pair.average.module, fixed, fixed_classes)
        return row

    session.run(settings.epochs, pair, optimisers, one_epoch)
    return pair.average.module


def flow(network: Any, family: Flow, sets: Sets, settings: TrainFlow, session: Session) -> nn.Module:
    """Mixtures of prints and noise, and which way the print lies. What stands is the running average (settings.average)."""
    accelerator, training = session.accelerator, sets.training
    device = accelerator.device
    known = torch.from_numpy(training.prints.take(training.rows[some(len(training.rows), MOST)])).float() / 127.5 - 1
    network.mean.copy_(known.mean())
    network.spread.copy_(known.std())
    if device.type != "cpu":  # where group normalisation is slower so
        network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate, BETAS, fused=True)
    wrapped, optimiser = accelerator.prepare(network, optimiser)
    both = Averaged(accelerator.unwrap_model(wrapped), settings.average).to(device)
    fixed, fixed_classes = _fixed(family.numbers(network), len(sets.classes), settings.seed, device)

    def one(batch: Batch, network: nn.Module, bare: Any, draws: Draws, turned: Tensor) -> Tensor:
        noise, time = draws.normal(*batch.prints.shape[1:]), draws.normal().sigmoid()
        return family.loss(network, bare, batch.prints, batch.classes, noise, time, turned)

    def one_epoch(epoch: int) -> Row:
        start = perf_counter()
        both.network.train()
        total, seen = torch.zeros((), device=device), 0
        for number, batch in enumerate(training.epoch(shuffled(len(training.rows), settings.seed, epoch))):
            done = (epoch - 1 + number / len(training)) / settings.epochs
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * _pace(done, (epoch - 1) * len(training) + number)
            draws = batch.draws(settings.seed, epoch, number)
            turned = (draws.uniform(0, 1) < 0.5 * settings.flips).float()
            loss = one(batch, wrapped, both.network, draws, turned)
            accelerator.backward(loss * batch.weight)
            accelerator.clip_grad_norm_(both.network.parameters(), CLIP)
            optimiser.step()
            optimiser.zero_grad()
            both.average.update_parameters(both.network)
            total += loss.detach() * batch.stands_for
            seen += batch.size
            session.still_wanted()
        seconds = perf_counter() - start
        row: Row = {"train/loss": session.mean(total, seen), "validation/loss": validate(), "images_per_second": seen / seconds}
        if _shown(epoch, settings):
            with accelerator.autocast():
                row["sheet"] = _sheet(family, both.average.module, fixed, fixed_classes)
        return row

    @torch.inference_mode()
    def validate() -> float:
        """Over prints that are not trained on, mixed with the same noise each time."""
        held = both.average.module.eval()
        total, seen = torch.zeros((), device=device), 0
        for number, batch in enumerate(sets.validation.epoch(torch.arange(len(sets.validation.rows)))):
            draws = batch.draws(settings.seed, 0, number)
            with accelerator.autocast():
                total += one(batch, held, held, draws, draws.uniform(0, 0)) * batch.stands_for
            seen += batch.size
        return session.mean(total, seen)

    session.run(settings.epochs, both, [optimiser], one_epoch)
    learned: nn.Module = both.average.module
    return learned


def _pace(done: float, step: int) -> float:
    """The share of the learning rate at a step, of which a share of all is done: rising, standing, falling towards nothing."""
    return min(1.0, (step + 1) / WARM_UP) * min(1.0, (1 - done) / FALLING)


def _fixed(numbers: int, classes: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The noise that sheets are made from, and its classes."""
    noise = torch.randn(SHEET * SHEET, numbers, generator=torch.Generator().manual_seed(seed))
    return noise.to(device), torch.arange(SHEET * SHEET, device=device) % max(classes, 1)


def _shown(epoch: int, settings: TrainAdversary | TrainFlow) -> bool:
    return epoch % settings.sheet_every == 0 or epoch in (1, settings.epochs)


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@torch.inference_mode()
def _sheet(family: Generator, network: nn.Module, latent: Tensor, classes: Tensor) -> str:
    """Pictures of fixed noise as one PNG, base64."""
    made = family.draw(network.eval(), latent, classes)[:, 0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
    height, width = made.shape[1:]
    sheet = made.reshape(SHEET, SHEET, height, width).transpose(0, 2, 1, 3).reshape(SHEET * height, SHEET * width)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def registered(network: nn.Module, prints: Tensor) -> Registered:
    """Latent vectors, and classes where there are some → pictures (B, channels, H, H) in 0..1. Of a flow: pictures, times and
    classes → ways, along which fpml/models/follow.py goes."""
    generator: Any = network
    if hasattr(generator, "steps"):  # a flow, which is followed
        noise = torch.randn(4, 1, *generator.size, generator=torch.Generator().manual_seed(0))
        examples = {"picture": noise, "time": torch.linspace(0.1, 0.9, 4)}
        if generator.names is not None:
            examples["class"] = torch.arange(4) % generator.names.num_embeddings
        return Registered(_Way(generator), examples, ("way",), notes={"steps": str(generator.steps)})
    latent = torch.randn(4, generator.model.latent, generator=torch.Generator().manual_seed(0))
    if generator.names is None:
        return Registered(_Unconditional(generator), {"latent": latent}, ("pictures",))
    return Registered(generator, {"latent": latent, "class": torch.arange(4) % generator.names.num_embeddings}, ("pictures",))


class _Way(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, time: Tensor, classes: Tensor | None = None) -> Tensor:
        way: Tensor = self.network(picture, time, classes, torch.zeros_like(time))
        return way


class _Unconditional(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        pictures: Tensor = self.network(latent, torch.zeros(1, dtype=torch.int64))
        return pictures
