"""undo: six networks learn from real prints, generated or not, that are altered anew for every batch.

Each has a loss of its own and none waits for another: find sees altered prints, rim what lies across a guess, the
judges candidates round the true alteration, blot prints with noise in them, polish prints that were undone nearly rightly, or
not at all.
"""

import math
import os
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fpml.alteration.seams import of_circle
from fpml.base.errors import FpmlError
from fpml.base.parallel import in_parallel
from fpml.data.pairs import unaltered
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models.layers import binary_cross_entropy
from fpml.models.undo import RADIUS, UNIT, Exported, UndoNet, examples, fitted
from fpml.synth.small import made_small
from fpml.tasks.undo.settings import TrainUndo, Undo
from fpml.training.average import Averaged
from fpml.training.batches import Batches
from fpml.training.export import Registered
from fpml.training.exported import measure
from fpml.training.pictures import picture_loss
from fpml.training.session import Row, Session, Sets
from fpml.training.undoing import AlteredBatches

WARM_UP = 40  # steps, at most, in which the learning rate rises
DECAY, CLIP = 0.003, 3.0  # AdamW's, of the weights; norm of the gradient
LABELLED = (0.5, 1.0, 1.5, 1.5, 1.0)  # what a pixel of each label counts
VALIDATED = 4  # batches
PARTS = ("find", "rim", "turn", "cut", "blot", "polish")


def sets(prints: Prepared, side: np.ndarray, recipe: Undo, accelerator: Accelerator) -> Sets:
    if recipe.data.crop != "none":
        raise FpmlError(f"data.crop is {recipe.data.crop}; an alteration's place is looked for in whole pictures: none")
    if recipe.split.by == "image":
        raise FpmlError("split.by is image, which trains on real prints whose altered copies are held out; for undo: subject")
    real = np.flatnonzero(unaltered(prints.index))
    made = []
    for name in (TRAIN, VALIDATION):
        rows = real[side[real] == name]
        if not len(rows):
            raise FpmlError(f"no unaltered print is on the side '{name}'; split by subject or finger")
        made.append(Batches(prints, rows, recipe.train.batch_size, accelerator))
    return Sets(made[0], made[1])


def train(network: UndoNet, sets: Sets, settings: TrainUndo, session: Session) -> nn.Module:
    """Train in place, from the last checkpoint if there is one. What stands is the running average (settings.average)."""
    accelerator = session.accelerator
    prints = sets.training.prints
    pool, held = ([prints.bare(int(row)) for row in part.rows] for part in (sets.training, sets.validation))
    if settings.fresh_fingers:
        jobs = [(settings.seed, number) for number in range(1, settings.fresh_fingers + 1)]
        threads = torch.get_num_threads()
        pool += [p for made in in_parallel(made_small, jobs, 0, "prints to alter", "fingers", chunk=8) for p in made]
        torch.set_num_threads(threads)
    checked = list(in_turn(AlteredBatches(held, settings.batch_size, settings.seed, 0), range(VALIDATED)))
    bare = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(bare.parameters(), settings.learning_rate, weight_decay=DECAY, fused=True)
    bare, optimiser = accelerator.prepare(bare, optimiser)
    own = accelerator.unwrap_model(bare)
    measure(own, lambda: validate(own, checked[:1]))
    both = Averaged(own, settings.average).to(accelerator.device)
    world, rank = accelerator.num_processes, accelerator.process_index
    draws = AlteredBatches(pool, -(-settings.batch_size // world), settings.seed, rank)
    # Where an accelerator computes, it would wait for batches; on processors alone, drawing ahead would only compete.
    ahead = 0 if accelerator.device.type == "cpu" else max((os.cpu_count() or 1) // world - 1, 1)
    batches: Iterator[Any] | None = None  # of all epochs, so that those who draw ahead start once

    def one_epoch(epoch: int) -> Row:
        nonlocal batches
        numbers = range(VALIDATED + (epoch - 1) * settings.steps, VALIDATED + settings.epochs * settings.steps)
        batches = in_turn(draws, numbers, min(ahead, len(numbers))) if batches is None else batches
        start, totals = perf_counter(), dict.fromkeys(PARTS, torch.zeros((), device=accelerator.device))
        both.network.train()
        for number, batch in zip(numbers[: settings.steps], batches, strict=False):
            for group in optimiser.param_groups:
                group["lr"] = _learning_rate(settings, number - VALIDATED)
            with accelerator.autocast():
                parts = losses(both.network, batch, accelerator.device)
            accelerator.backward(torch.stack(list(parts.values())).sum())
            accelerator.clip_grad_norm_(both.network.parameters(), CLIP)
            optimiser.step()
            optimiser.zero_grad()
            both.average.update_parameters(both.network)
            totals = {name: totals[name] + part.detach() for name, part in parts.items()}
            session.still_wanted()
        seconds = perf_counter() - start
        row: Row = {f"train/{name}_loss": session.mean(t, settings.steps * world) for name, t in totals.items()}
        row["train/loss"] = sum(row[f"train/{name}_loss"] for name in PARTS)
        row["validation/loss"] = validate(both.average.module, checked)
        row["images_per_second"] = settings.steps * settings.batch_size / seconds
        return row

    session.run(settings.epochs, both, [optimiser], one_epoch)
    learned: nn.Module = both.average.module
    return learned


def in_turn(draws: AlteredBatches, numbers: range, ahead: int = 0) -> Iterator[Any]:
    """Batches as tensors, drawn by so many other processes where `ahead` is not 0. Those start anew: a copy of this process
    would end with what its threads left to do at its end (Prefect's fail there), and torch calls that a failure."""
    way, pinned = ("spawn", torch.cuda.is_available()) if ahead else (None, False)
    return iter(DataLoader(draws, None, sampler=numbers, num_workers=ahead, pin_memory=pinned, multiprocessing_context=way))  # type: ignore[arg-type]


def _learning_rate(settings: TrainUndo, step: int) -> float:
    """Rising over WARM_UP steps, or a tenth of all; then falling by a cosine towards a 200th (Loshchilov and Hutter 2017)."""
    every = settings.epochs * settings.steps
    rate = settings.learning_rate * min(1.0, (step + 1) / min(WARM_UP, every / 10))
    return rate * (0.005 + 0.5 * (1 + math.cos(math.pi * step / every)))


@torch.inference_mode()
def validate(network: nn.Module, batches: list[dict[str, list[Tensor]]]) -> float:
    """The mean loss over batches of prints that are not trained on."""
    network.eval()
    device = next(network.parameters()).device
    return float(np.mean([sum(float(part) for part in losses(network, batch, device).values()) for batch in batches]))


def losses(network: nn.Module, drawn: dict[str, list[Tensor]], device: torch.device) -> dict[str, Tensor]:
    """Each network's loss over what was drawn for it (fpml/training/undoing.py)."""
    assert isinstance(network, UndoNet)
    there = {name: [values.to(device, non_blocking=True) for values in part] for name, part in drawn.items()}
    [cuts] = there["cut"]
    told = network.cut(cuts.flatten(0, 1)).view(cuts.shape[:2])
    return {
        "find": of_find(network, *there["find"]),
        "rim": of_rim(network, *there["rim"]),
        "turn": of_turn(network, *there["turn"]),
        "cut": F.cross_entropy(told, told.new_zeros(len(told), dtype=torch.long)),
        "blot": of_blot(network, *there["blot"]),
        "polish": of_polish(network, *there["polish"]),
    }


def of_find(network: UndoNet, pictures: Tensor, labels: Tensor, votes: Tensor, cover: Tensor, kinds: Tensor) -> Tensor:
    """Labels by cross-entropy; votes by the error of each and of what they add up to; cover; kinds."""
    of_labels, of_votes, of_cover, of_kinds = network.find(_grey(pictures))
    turned, cut = (labels == 1).float()[:, None], ((labels == 2) | (labels == 3)).float()[:, None]
    votes_asked = torch.cat([turned.expand(-1, 2, -1, -1), cut.expand(-1, 6, -1, -1), turned], 1)
    count = votes_asked.sum((2, 3)).clamp(min=1)
    unit = torch.tensor([UNIT] * 8 + [RADIUS], device=votes.device)[None, :, None, None]
    each = (F.smooth_l1_loss(of_votes, votes / unit, reduction="none", beta=0.05) * votes_asked).sum((2, 3)) / count
    # A vote and the place it was cast from make a place; the mean of them all is what is taken.
    together = ((of_votes * unit - votes) * votes_asked).sum((2, 3)) / count
    weight = torch.tensor([1.0] * 2 + [0.35] * 6 + [0.7], device=votes.device)
    loss: Tensor = (
        3 * F.cross_entropy(of_labels, labels, weight=torch.tensor(LABELLED, device=votes.device))
        + 0.5 * F.cross_entropy(of_kinds, kinds)
        + binary_cross_entropy(of_cover[:, 0].float().clamp(1e-4, 1 - 1e-4), cover.clamp(0, 1))
        + 2.1 * each.sum(1).mean()
        + 0.12 * (together.abs() * weight).sum(1).mean()
    )
    return loss


def of_rim(network: UndoNet, strips: Tensor, gaps: Tensor) -> Tensor:
    """How far what its answers add up to is off, and each of them."""
    answers = network.rim(strips)
    basis = torch.from_numpy(of_circle(answers.shape[2])).float().to(strips.device)
    whole = F.smooth_l1_loss(fitted(answers, basis), gaps, beta=0.3)
    return 2 * whole + 0.3 * F.smooth_l1_loss(answers[:, 0], gaps @ basis.T, beta=0.5)


def of_turn(network: UndoNet, strips: Tensor, gaps: Tensor, shifts: Tensor) -> Tensor:
    """The judge's cross-entropy over candidates; how wrong it is about the right one's radius, and about the shifts that
    candidates of the right angle leave."""
    judged = network.turn(strips.flatten(0, 1)).unflatten(0, strips.shape[:2])
    known = ~shifts.isnan()
    shifted = F.smooth_l1_loss(judged[..., 2:][known], shifts[known], beta=0.3)
    radius = F.smooth_l1_loss(judged[:, 0, 1], gaps.clamp(-3, 3), beta=0.3)
    first = torch.zeros(len(judged), dtype=torch.long, device=judged.device)
    return F.cross_entropy(judged[..., 0], first) + 0.3 * radius + 0.7 * shifted


def of_blot(network: UndoNet, pictures: Tensor, noises: Tensor, regions: Tensor) -> Tensor:
    """Cross-entropy of the pixels that have the noise in them, and how badly the regions overlap."""
    told, wanted = network.blot(_grey(pictures), _grey(noises)), regions.float()
    chance = torch.sigmoid(told)
    overlap = (2 * (chance * wanted).sum((1, 2, 3)) + 1) / ((chance + wanted).sum((1, 2, 3)) + 1)
    return 3 * F.binary_cross_entropy_with_logits(told, wanted) + 0.5 * (1 - overlap).mean()


def of_polish(network: UndoNet, altered: Tensor, undone: Tensor, moved: Tensor, reals: Tensor) -> Tensor:
    """The repaired picture's loss, over all of it and once more over what was wrong, and the gate's cross-entropy."""
    before, back, real = (_grey(prints) for prints in (altered, undone, reals))
    output, wrong = network.polish(before, back, moved.float())
    truth = F.max_pool2d(((back - real).abs() > 0.03).float(), 3, 1, 1)
    unlike = picture_loss("ssim")
    inside = (
        unlike(torch.where(truth > 0, output.float(), real), real) * truth.numel() / truth.sum().clamp(min=0.02 * truth.numel())
    )
    gate = binary_cross_entropy(wrong.float().clamp(1e-5, 1 - 1e-5), truth)
    return unlike(output.float(), real) + 0.5 * inside + 0.3 * gate


def _grey(prints: Tensor) -> Tensor:
    """uint8 as 0..1."""
    return (prints.float() / 255).contiguous(memory_format=torch.channels_last)


def registered(network: nn.Module, prints: Tensor) -> Registered:
    assert isinstance(network, UndoNet)
    return Registered(
        Exported(network),
        examples(prints),
        Exported.OUTPUTS,
        stepped=("repaired",),
        apart=("noises", "rims", "turns", "cuts"),
        fixed=("rims", "turns", "cuts"),
        any_size=True,
    )
