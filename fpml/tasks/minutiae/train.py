"""minutiae: one network learns where minutiae lie, from crops of generated prints whose truth is known exactly; another to
know a minutia again by the skin round it, from patches of several impressions (fpml/training/textures.py)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.base.parallel import in_parallel
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.matching.texture import SIDE
from fpml.models.minutiae import MULTIPLE, PERIOD, Exported, Maps, MinutiaeNet
from fpml.synth.stream import Example, made_for
from fpml.tasks.minutiae.settings import Minutiae, TrainMinutiae
from fpml.training import crops as crop
from fpml.training.average import Averaged
from fpml.training.batches import Batches
from fpml.training.crops import Crops
from fpml.training.export import Registered
from fpml.training.exported import measure
from fpml.training.patches import Patches, cut_patches, joined
from fpml.training.session import Row, Session, Sets
from fpml.training.textures import texture_loss, validate_texture
from fpml.training.truth import prepared

WARM_UP = 150  # steps, at most, in which the learning rate rises
DECAY = 0.02  # of the weights, AdamW's
CLIP = 3.0  # norm of the gradient
SHARES = {"presence": 1.0, "offset": 0.5, "direction": 1.0, "orientation": 0.3, "period": 1.0, "foreground": 0.3}
VALIDATED = 8  # crops of each validation print


def sets(prints: Prepared, side: np.ndarray, recipe: Minutiae, accelerator: Accelerator) -> Sets:
    size = recipe.train.batch_size
    if recipe.data.height % MULTIPLE or recipe.data.width % MULTIPLE:
        found = f"{recipe.data.height} x {recipe.data.width}"
        raise FpmlError(f"data.height x data.width is {found}; for minutiae both are multiples of {MULTIPLE}")
    training, validation = (Batches(prints, np.flatnonzero(side == s), size, accelerator) for s in (TRAIN, VALIDATION))
    return Sets(training, validation)


def losses(maps: Maps, batch: Crops) -> dict[str, Tensor]:
    """Each part of the loss, a scalar: presence by CenterNet's focal loss (Zhou et al. 2019), offset and direction by squared
    errors near minutiae, orientation and period inside the print."""
    logit, chance = maps.presence, torch.sigmoid(maps.presence)
    hit = F.logsigmoid(logit) * (1 - chance) ** 2 * batch.centre
    miss = F.logsigmoid(-logit) * chance**2 * (1 - batch.heat) ** 4 * batch.weight * ~batch.centre
    near = batch.near / batch.near.sum().clamp(min=1)
    skin = batch.mask / batch.mask.sum().clamp(min=1)
    twice = torch.stack([(2 * batch.orientation).cos(), (2 * batch.orientation).sin()], 1)
    period = (batch.period.clamp(4, 25) / PERIOD).log()
    return {
        "presence": -(hit + miss).sum() / batch.centre.sum().clamp(min=1),
        "offset": ((maps.offset - batch.offset).square().sum(1) * near).sum(),
        "direction": ((maps.direction - batch.direction).square().sum(1) * near).sum(),
        "orientation": ((maps.orientation - twice).square().sum(1) * skin).sum(),
        "period": (F.smooth_l1_loss(maps.period, period, reduction="none", beta=0.05) * skin).sum(),
        "foreground": F.binary_cross_entropy_with_logits(maps.foreground, batch.mask),
    }


@dataclass(frozen=True)
class Lesson:
    """What one of the two networks learns in an epoch."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    steps: int  # batches an epoch
    seed: list[int]  # of its batches, beside the epoch, the step and the process
    shares: dict[str, float]  # what each part of the loss counts
    losses: Callable[[np.random.Generator], dict[str, Tensor]]  # the parts, scalars, of a batch drawn at random


def train(network: MinutiaeNet, sets: Sets, settings: TrainMinutiae, session: Session) -> nn.Module:
    """Train in place, from the last checkpoint if there is one. What stands is the running average (settings.average)."""
    accelerator, prints = session.accelerator, sets.training.prints
    own = [prepared(prints, int(row)) for row in sets.training.rows]
    held = [prepared(prints, int(row)) for row in sets.validation.rows]
    own_fingers = by_finger(prints, sets.training.rows, own)
    held_patches = _held_patches(by_finger(prints, sets.validation.rows, held), settings, accelerator.device)
    bare = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    find = torch.optim.AdamW(bare.maps.parameters(), settings.learning_rate, weight_decay=DECAY, fused=True)
    tell = torch.optim.AdamW(bare.texture.parameters(), settings.learning_rate, weight_decay=DECAY, fused=True)
    finder, teller, find, tell = accelerator.prepare(bare.maps, bare.texture, find, tell)

    def look() -> None:
        validate(bare.maps, held[: -(-settings.batch_size // VALIDATED)], settings)  # one batch
        if held_patches is not None:
            validate_texture(bare.texture, held_patches, settings.minutiae, settings.seed)

    measure(bare, look)
    both = Averaged(bare, settings.average).to(accelerator.device)
    world = accelerator.num_processes
    fresh: dict[int, list[list[Example]]] = {}
    patches: dict[int, Patches] = {}

    def one_epoch(epoch: int) -> Row:
        wanted = range(max(1, epoch - settings.kept_epochs + 1), epoch + 1) if settings.fresh_fingers else range(1, 2)
        for made in [number for number in fresh if number not in wanted]:
            del fresh[made]
            patches.pop(made, None)
        for number in wanted:  # all of them after a killed run
            if number not in fresh:
                fresh[number] = _made(settings, number) if settings.fresh_fingers else own_fingers
            if settings.texture_steps and number not in patches:
                generator = torch.Generator(accelerator.device).manual_seed(settings.seed * 1_000_003 + number)
                patches[number] = cut_patches(fresh[number], generator, spoil=True, first=number * len(fresh[number]))
        pool = own + [example for number in wanted for finger in fresh[number] for example in finger]
        every = joined([patches[number] for number in wanted]) if settings.texture_steps else None

        def of_crops(rng: np.random.Generator) -> dict[str, Tensor]:
            chosen = [pool[i] for i in rng.integers(len(pool), size=-(-settings.batch_size // world))]
            generator = torch.Generator(accelerator.device).manual_seed(int(rng.integers(2**62)))
            batch = crop.batch(crop.cut(chosen, settings.crop, rng), generator, spoil=True)
            return losses(finder.train()(batch.pictures), batch)

        def of_patches(rng: np.random.Generator) -> dict[str, Tensor]:
            assert every is not None
            count = -(-settings.minutiae // world)
            return {"texture": texture_loss(teller.train(), every, count, rng, accelerator.device, moved=True)}

        start = perf_counter()
        row = _taught(Lesson(bare.maps, find, settings.steps, [], SHARES, of_crops), epoch, both, settings, session)
        lesson = Lesson(bare.texture, tell, settings.texture_steps, [1], {"texture": 1.0}, of_patches)
        row |= _taught(lesson, epoch, both, settings, session)
        seen = settings.steps * settings.batch_size + 2 * settings.texture_steps * settings.minutiae  # crops and patches
        row["images_per_second"] = seen / (perf_counter() - start)
        learned = _learned(both)
        if settings.steps:
            row["train/loss"] = sum(SHARES[name] * row[f"train/{name}_loss"] for name in SHARES)
            row["validation/loss"] = validate(learned.maps, held, settings)
        if held_patches is not None:
            row["validation/texture_loss"] = validate_texture(learned.texture, held_patches, settings.minutiae, settings.seed)
        return row

    session.run(settings.epochs, both, [find, tell], one_epoch)
    learned = _learned(both)
    calibrate(learned.maps, held, settings)
    return learned


def _taught(lesson: Lesson, epoch: int, both: Averaged, settings: TrainMinutiae, session: Session) -> Row:
    """One epoch of a lesson; the mean of each part of its loss."""
    accelerator = session.accelerator
    totals: dict[str, Tensor] = {name: torch.zeros((), device=accelerator.device) for name in lesson.shares}
    for step in range(lesson.steps):
        for group in lesson.optimiser.param_groups:
            group["lr"] = _learning_rate(settings, (epoch - 1) * lesson.steps + step, lesson.steps)
        parts = lesson.losses(np.random.default_rng([settings.seed, epoch, step, accelerator.process_index, *lesson.seed]))
        accelerator.backward(torch.stack([lesson.shares[name] * part for name, part in parts.items()]).sum())
        accelerator.clip_grad_norm_(lesson.network.parameters(), CLIP)
        lesson.optimiser.step()
        lesson.optimiser.zero_grad()
        both.average.update_parameters(both.network)
        for name, part in parts.items():
            totals[name] += part.detach()
        session.still_wanted()
    batches = lesson.steps * accelerator.num_processes
    return {f"train/{name}_loss": session.mean(total, batches) for name, total in totals.items()} if lesson.steps else {}


def _held_patches(fingers: list[list[Example]], settings: TrainMinutiae, device: torch.device) -> Patches | None:
    """Those of the validation prints, as they are; None where textures are not trained or no minutia is seen twice."""
    if not settings.texture_steps:
        return None
    found = cut_patches(fingers, torch.Generator(device), spoil=False)
    return found if len(found.minutia) else None


def _learned(both: Averaged) -> MinutiaeNet:
    network = both.average.module
    assert isinstance(network, MinutiaeNet)
    return network


def by_finger(prints: Prepared, rows: np.ndarray, examples: list[Example]) -> list[list[Example]]:
    """The prints of each finger."""
    index: Any = prints.index
    found: dict[str, list[Example]] = {}
    for row, example in zip(rows, examples, strict=True):
        found.setdefault(str(index["finger_id"].iat[row]), []).append(example)
    return list(found.values())


def _made(settings: TrainMinutiae, epoch: int) -> list[list[Example]]:
    """The prints that come in with an epoch, by finger, the same in every process."""
    first = (epoch - 1) * settings.fresh_fingers + 1
    jobs = [(settings.seed, number) for number in range(first, first + settings.fresh_fingers)]
    threads = torch.get_num_threads()
    made = in_parallel(made_for, jobs, 0, f"prints of epoch {epoch}", "fingers", chunk=8)
    torch.set_num_threads(threads)  # the generator takes one, in this process where there are few fingers
    return list(made)


def _learning_rate(settings: TrainMinutiae, step: int, an_epoch: int) -> float:
    """Rising over WARM_UP steps, or a tenth of all; then, cosine: falling towards a fiftieth (Loshchilov and Hutter 2017)."""
    rate = settings.learning_rate * min(1.0, (step + 1) / min(WARM_UP, settings.epochs * an_epoch / 10))
    if settings.schedule == "constant":
        return rate
    return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / (settings.epochs * an_epoch))))


def _held_crops(held: list[Example], settings: TrainMinutiae, device: torch.device) -> list[Crops]:
    """The same crops of the validation prints each time, as they are."""
    rng = np.random.default_rng(settings.seed)
    taken = crop.cut([example for example in held for _ in range(VALIDATED)], settings.crop, rng)
    starts = range(0, len(taken), settings.batch_size)
    return [crop.batch(taken[s : s + settings.batch_size], torch.Generator(device), spoil=False) for s in starts]


@torch.inference_mode()
def validate(network: nn.Module, held: list[Example], settings: TrainMinutiae) -> float:
    """The mean loss over crops of prints that are not trained on."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    for batch in _held_crops(held, settings, device):
        parts = losses(network(batch.pictures), batch)
        found.append(sum(SHARES[name] * float(part) for name, part in parts.items()))
    return float(np.mean(found))


@torch.inference_mode()
def calibrate(network: nn.Module, held: list[Example], settings: TrainMinutiae) -> None:
    """Fit what makes a peak's presence the share of such peaks that are minutiae (Platt 1999), on the validation prints."""
    from sklearn.linear_model import LogisticRegression

    network.eval()
    logits, right = [], []
    for batch in _held_crops(held, settings, next(network.parameters()).device):
        presence = network(batch.pictures).presence
        peaks = (F.max_pool2d(presence[:, None], 3, 1, 1)[:, 0] == presence) & (presence > -6) & (batch.weight > 0)
        logits.append(presence[peaks].cpu().numpy())
        right.append(batch.near[peaks].cpu().numpy())
    every, truly = np.concatenate(logits), np.concatenate(right)
    if truly.all() or not truly.any():
        return  # too few prints to fit on; the presence stays as it is
    fitted = LogisticRegression(C=1e6).fit(every[:, None], truly)
    calibration = network.get_buffer("calibration")
    calibration.copy_(torch.tensor([float(fitted.coef_[0, 0]), float(fitted.intercept_[0])]))


def registered(network: nn.Module, prints: Tensor) -> Registered:
    """Grey pictures of any size, and patches → what fpml.models.minutiae.Exported says."""
    assert isinstance(network, MinutiaeNet)
    inputs = {"prints": prints, "patches": prints[:, :, :SIDE, :SIDE].contiguous()}
    return Registered(Exported(network), inputs, Exported.OUTPUTS, any_size=True, apart=("patches",), fixed=("patches",))


assert set(SHARES) == {field.name for field in fields(Maps)}
