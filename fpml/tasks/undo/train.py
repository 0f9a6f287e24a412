"""undo: six networks learn from real prints, generated or not, that are altered anew for every batch.

Each has a loss of its own and none waits for another: find sees altered prints, rim what lies across a guess, the
judges candidates round the true alteration, blot prints with noise in them, polish prints that were undone nearly rightly, or
not at all.
"""

import math
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.alteration.kinds import Obliteration, Rotation, ZCut, point
from fpml.alteration.noise import KNOWN, cover, unblended, weights
from fpml.alteration.seams import of_circle, turn_strips
from fpml.alteration.traces import Turn
from fpml.alteration.undo import undo
from fpml.base.errors import FpmlError
from fpml.base.parallel import in_parallel
from fpml.data.pairs import unaltered
from fpml.data.split import TRAIN, VALIDATION
from fpml.data.store import Prepared
from fpml.models.layers import binary_cross_entropy
from fpml.models.undo import RADIUS, UNIT, Exported, UndoNet, examples, fitted
from fpml.synth.small import made_small
from fpml.tasks.undo.settings import TrainUndo, Undo
from fpml.training.altered import Altered, altered, asked
from fpml.training.average import Averaged
from fpml.training.batches import Batches
from fpml.training.export import Registered
from fpml.training.judged import CANDIDATES, TurnSet, cut_set, turn_set
from fpml.training.pictures import picture_loss
from fpml.training.session import Row, Session, Sets

MULTIPLE = 16
WARM_UP = 40  # steps in which the learning rate rises
DECAY, CLIP = 0.003, 3.0  # AdamW's, of the weights; norm of the gradient
LABELLED = (0.5, 1.0, 1.5, 1.5, 1.0)  # what a pixel of each label counts
PAINTED = ("CR", "Zcut", "Obl", "none"), (0.36, 0.32, 0.29, 0.03)  # what polish sees, and how often
UNDONE = 0.78  # share of the prints that polish sees undone, of those that can be
BLOTTED = (0.75, 0.6)  # share of obliterations among what blot sees, and of those beside whose own noise
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
    bare = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(bare.parameters(), settings.learning_rate, weight_decay=DECAY)
    bare, optimiser = accelerator.prepare(bare, optimiser)
    both = Averaged(accelerator.unwrap_model(bare), settings.average).to(accelerator.device)
    world, rank = accelerator.num_processes, accelerator.process_index
    size = -(-settings.batch_size // world)

    def one_epoch(epoch: int) -> Row:
        start, totals = perf_counter(), dict.fromkeys(PARTS, torch.zeros((), device=accelerator.device))
        both.network.train()
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = _learning_rate(settings, (epoch - 1) * settings.steps + step)
            rng = np.random.default_rng([settings.seed, epoch, step, rank])
            with accelerator.autocast():
                parts = losses(both.network, pool, size, rng, accelerator.device)
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
        row["validation/loss"] = validate(both.average.module, held, settings)
        row["images_per_second"] = settings.steps * settings.batch_size / seconds
        return row

    session.run(settings.epochs, both, [optimiser], one_epoch)
    learned: nn.Module = both.average.module
    return learned


def _learning_rate(settings: TrainUndo, step: int) -> float:
    """Rising over WARM_UP steps, and falling by a cosine towards a two-hundredth (Loshchilov and Hutter 2017)."""
    share = step / (settings.epochs * settings.steps)
    return settings.learning_rate * min(1.0, (step + 1) / WARM_UP) * (0.005 + 0.5 * (1 + math.cos(math.pi * share)))


@torch.inference_mode()
def validate(network: nn.Module, held: list[np.ndarray], settings: TrainUndo) -> float:
    """The mean loss over prints that are not trained on, altered the same way each time."""
    network.eval()
    device = next(network.parameters()).device
    rng = np.random.default_rng(settings.seed)
    found = [sum(float(p) for p in losses(network, held, settings.batch_size, rng, device).values()) for _ in range(4)]
    return float(np.mean(found))


def losses(
    network: nn.Module, pool: list[np.ndarray], size: int, rng: np.random.Generator, device: torch.device
) -> dict[str, Tensor]:
    """Each network's loss over `size` prints of the pool, altered anew."""
    assert isinstance(network, UndoNet)
    made = [altered(pool, rng) for _ in range(size)]
    few = max(size // 2, 1)  # each of them is searched, which takes longest
    turned = [turn_set(altered(pool, rng, "CR"), rng) for _ in range(few)]
    cut = [cut_set(altered(pool, rng, "Zcut"), rng) for _ in range(few)]
    first = torch.zeros(few, dtype=torch.long, device=device)
    cuts = network.cut(torch.from_numpy(np.concatenate(cut)).to(device)).view(few, CANDIDATES)
    return {
        "find": of_find(network, made, device),
        "rim": of_rim(network, [altered(pool, rng, "CR") for _ in range(size)], rng, device),
        "turn": of_turn(network, turned, first, device),
        "cut": F.cross_entropy(cuts, first),
        "blot": of_blot(
            network, [altered(pool, rng, "Obl" if rng.random() < BLOTTED[0] else None) for _ in range(size)], rng, device
        ),
        "polish": of_polish(
            network, [altered(pool, rng, str(rng.choice(PAINTED[0], p=PAINTED[1]))) for _ in range(size)], rng, device
        ),
    }


def of_find(network: UndoNet, made: list[Altered], device: torch.device) -> Tensor:
    """Labels by cross-entropy; votes by the error of each and of what they add up to; cover; kinds."""
    pictures = _stacked([m.picture for m in made], device) / 255
    height, width = pictures.shape[-2:]
    wanted = [asked(m, height, width) for m in made]
    labels = torch.from_numpy(np.stack([w.labels for w in wanted])).to(device)
    votes, cover = (torch.from_numpy(np.stack([getattr(w, n) for w in wanted])).to(device) for n in ("votes", "cover"))
    kinds = torch.tensor([w.kind for w in wanted], device=device)
    of_labels, of_votes, of_cover, of_kinds = network.find(pictures)
    turned, cut = (labels == 1).float()[:, None], ((labels == 2) | (labels == 3)).float()[:, None]
    votes_asked = torch.cat([turned.expand(-1, 2, -1, -1), cut.expand(-1, 6, -1, -1), turned], 1)
    count = votes_asked.sum((2, 3)).clamp(min=1)
    unit = torch.tensor([UNIT] * 8 + [RADIUS], device=device)[None, :, None, None]
    each = (F.smooth_l1_loss(of_votes, votes / unit, reduction="none", beta=0.05) * votes_asked).sum((2, 3)) / count
    # A vote and the place it was cast from make a place; the mean of them all is what is taken.
    together = ((of_votes * unit - votes) * votes_asked).sum((2, 3)) / count
    weight = torch.tensor([1.0] * 2 + [0.35] * 6 + [0.7], device=device)
    loss: Tensor = (
        3 * F.cross_entropy(of_labels, labels, weight=torch.tensor(LABELLED, device=device))
        + 0.5 * F.cross_entropy(of_kinds, kinds)
        + binary_cross_entropy(of_cover[:, 0].float().clamp(1e-4, 1 - 1e-4), cover.clamp(0, 1))
        + 2.1 * each.sum(1).mean()
        + 0.12 * (together.abs() * weight).sum(1).mean()
    )
    return loss


def of_rim(network: UndoNet, made: list[Altered], rng: np.random.Generator, device: torch.device) -> Tensor:
    """How far what its answers add up to is off, and each of them; of two guesses of each disc, a rough one and a fine one."""
    strips, gaps = [], []
    for one in made:
        true = one.alteration
        assert isinstance(true, Rotation)
        for spread in (2.0, 0.5):
            gap = rng.normal(0, spread * rng.uniform(0.3, 1.2), 3)
            y, x, radius = np.subtract([*true.middle, true.radius], gap)
            strips.append(turn_strips(one.picture, [Turn(y, x, 0, 0.0)], y, x, max(radius, 4))[0])
            gaps.append(gap)
    answers = network.rim(torch.from_numpy(np.stack(strips)).to(device))
    wanted = torch.from_numpy(np.stack(gaps)).float().to(device)
    basis = torch.from_numpy(of_circle(answers.shape[2])).float().to(device)
    whole = F.smooth_l1_loss(fitted(answers, basis), wanted, beta=0.3)
    return 2 * whole + 0.3 * F.smooth_l1_loss(answers[:, 0], wanted @ basis.T, beta=0.5)


def of_turn(network: UndoNet, sets: list[TurnSet], first: Tensor, device: torch.device) -> Tensor:
    """The judge's cross-entropy over candidates; how wrong it is about the right one's radius, and about the shifts that
    candidates of the right angle leave."""
    strips, gaps, shifts = (torch.from_numpy(np.stack(values)).float().to(device) for values in zip(*sets, strict=True))
    judged = network.turn(strips.flatten(0, 1)).unflatten(0, strips.shape[:2])
    known = ~shifts.isnan()
    shifted = F.smooth_l1_loss(judged[..., 2:][known], shifts[known], beta=0.3)
    radius = F.smooth_l1_loss(judged[:, 0, 1], gaps.clamp(-3, 3), beta=0.3)
    return F.cross_entropy(judged[..., 0], first) + 0.3 * radius + 0.7 * shifted


def of_blot(network: UndoNet, made: list[Altered], rng: np.random.Generator, device: torch.device) -> Tensor:
    """Cross-entropy of the pixels that have the noise in them, and how badly the regions overlap: each print beside its own
    noise or another, which has no part in it."""
    noises, regions = [], []
    for one in made:
        true = one.alteration
        known = isinstance(true, Obliteration) and true.noise < KNOWN
        own = known and rng.random() < BLOTTED[1]
        number = true.noise if own else int(rng.integers(KNOWN))  # type: ignore[union-attr]
        has = known and number == true.noise  # type: ignore[union-attr]
        noises.append(np.rint(cover(number, one.picture.shape, float(one.picture.min()))))
        regions.append(one.damage if has else np.zeros_like(one.damage))
    told = network.blot(_stacked([m.picture for m in made], device) / 255, _stacked(noises, device) / 255)
    wanted = _stacked(regions, device)
    chance = torch.sigmoid(told)
    overlap = (2 * (chance * wanted).sum((1, 2, 3)) + 1) / ((chance + wanted).sum((1, 2, 3)) + 1)
    return 3 * F.binary_cross_entropy_with_logits(told, wanted) + 0.5 * (1 - overlap).mean()


def of_polish(network: UndoNet, made: list[Altered], rng: np.random.Generator, device: torch.device) -> Tensor:
    """The repaired picture's loss, over all of it and once more over what was wrong, and the gate's cross-entropy."""
    backs, moves = [], []
    for one in made:
        undone, moved = one.picture.astype(np.float64), np.zeros(one.picture.shape, bool)
        true = one.alteration
        if isinstance(true, (Rotation, ZCut)) and rng.random() < UNDONE:
            undone, moved = undo(one.picture, nearly(true, rng))
        elif isinstance(true, Obliteration) and true.noise < KNOWN and rng.random() < UNDONE:
            moved = nearly_covered(one.damage, rng)
            noise = cover(true.noise, one.picture.shape, float(one.picture.min()))
            undone = unblended(one.picture, weights(moved), noise)
        backs.append(np.rint(undone))
        moves.append(moved)
    before, back, real = (_stacked(v, device) / 255 for v in ([m.picture for m in made], backs, [m.real for m in made]))
    output, wrong = network.polish(before, back, _stacked(moves, device))
    truth = F.max_pool2d(((back - real).abs() > 0.03).float(), 3, 1, 1)
    unlike = picture_loss("ssim")
    inside = (
        unlike(torch.where(truth > 0, output.float(), real), real) * truth.numel() / truth.sum().clamp(min=0.02 * truth.numel())
    )
    gate = binary_cross_entropy(wrong.float().clamp(1e-5, 1 - 1e-5), truth)
    return unlike(output.float(), real) + 0.5 * inside + 0.3 * gate


def nearly(true: Rotation | ZCut, rng: np.random.Generator) -> Rotation | ZCut:
    """An alteration as the search places it: mostly within a tenth of a pixel, along a cut's lines within one."""
    off = float(np.exp(rng.normal(np.log(0.06), 0.9)))
    if isinstance(true, Rotation):
        y, x = (float(v + rng.normal(0, off)) for v in (true.y, true.x))
        return replace(true, y=y, x=x, radius=true.radius + float(rng.normal(0, 0.5)))
    base = np.subtract(true.v2, true.v1)
    first, zero = rng.normal(0, 0.7, (2, 1)) * base / np.hypot(*base)
    v0, v1, v2 = (v + s + rng.normal(0, off, 2) for v, s in ((true.v0, zero), (true.v1, first), (true.v2, first)))
    return replace(true, v0=point(v0), v1=point(v1), v2=point(v2))


def nearly_covered(true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A region (H, W) bool as the search finds it: its edge off by a pixel or two here and there."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    off = float(np.exp(rng.normal(0, 0.6)))
    waves = gaussian_filter(rng.standard_normal(true.shape), float(rng.uniform(0.8, 5)))
    inside = distance_transform_edt(true) - distance_transform_edt(~true)
    return np.asarray(inside + off * waves / waves.std() > 0)


def _stacked(pictures: list[np.ndarray], device: torch.device) -> Tensor:
    """(B, 1, H, W) float, padded below and right by their edge to the largest, in multiples of MULTIPLE."""
    height, width = (-(-max(p.shape[axis] for p in pictures) // MULTIPLE) * MULTIPLE for axis in (0, 1))
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1])), mode="edge") for p in pictures]
    out = torch.from_numpy(np.stack(padded).astype(np.float32))[:, None].to(device)
    return out.contiguous(memory_format=torch.channels_last)


def registered(network: nn.Module, prints: Tensor) -> Registered:
    assert isinstance(network, UndoNet)
    return Registered(
        Exported(network),
        examples(prints),
        Exported.OUTPUTS,
        stepped=("repaired",),
        apart=("noises", "rims", "turns", "cuts"),
        fixed=("rims", "turns", "cuts"),
        any_size=MULTIPLE,
    )
