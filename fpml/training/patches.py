"""Patches round minutiae for training: of each minutia those of several impressions, spoilt as sensors and skin spoil them."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.matching.texture import BLUR, SIDE, places
from fpml.synth.noise import blur
from fpml.synth.stream import Example
from fpml.training.crops import padded, spoilt

WIDE = 64  # pixels, side of a patch as it is kept: room to turn and move it
SHALLOWEST = 6.0  # pixels inside the print's edge: minutiae nearer to it are left out
TYPED = 0.2  # clarity from which a minutia's type is asked for
TOGETHER = 16  # prints that are spoilt at a time
FINGER = 4096  # more minutiae than a finger has
# What an extractor and skin may be off by, standard deviations: radians, pixels of a patch, logarithm of the scale, shear.
TURNED, MOVED, GROWN, SHEARED = math.radians(7), 0.75, 0.05, 0.04


@dataclass(frozen=True)
class Patches:
    """n patches of minutiae that two impressions or more show."""

    pixels: Tensor  # uint8 (n, WIDE, WIDE)
    ending: Tensor  # float32 (n,)
    typed: Tensor  # bool (n,): the type is clear
    minutia: np.ndarray  # int64 (n,): finger x FINGER + number; the same for all patches of one minutia

    def pairs(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two rows of each of `count` minutiae: half of them from few fingers, so that neighbours are told apart too.
        FpmlError where there is none."""
        if not len(self.minutia):
            raise FpmlError("no minutia is seen in two prints of a finger; give more fingers, or train.texture_steps: 0")
        names, starts, sizes = np.unique(self.minutia, return_index=True, return_counts=True)
        fingers = names // FINGER
        few = rng.permutation(np.unique(fingers))[: max(1, count // 24)]
        near = rng.permutation(np.flatnonzero(np.isin(fingers, few)))[: count // 2]
        others = rng.choice(len(names), count - len(near), replace=len(names) < count)
        chosen = np.concatenate([near, others])
        first = (rng.random(len(chosen)) * sizes[chosen]).astype(int)
        second = (first + 1 + (rng.random(len(chosen)) * (sizes[chosen] - 1)).astype(int)) % sizes[chosen]
        return starts[chosen] + first, starts[chosen] + second


def joined(parts: list[Patches]) -> Patches:
    """Patches of other fingers each, whose numbers rise from part to part."""
    pixels, ending, typed = (torch.cat([getattr(p, name) for p in parts]) for name in ("pixels", "ending", "typed"))
    return Patches(pixels, ending, typed, np.concatenate([p.minutia for p in parts]))


def cut_patches(fingers: list[list[Example]], generator: torch.Generator, spoil: bool, first: int = 0) -> Patches:
    """The patches of some fingers' prints, minutiae sorted. spoil: as in training; else as they are. first: number of
    the first finger."""
    prints = [(finger, example) for finger, examples in enumerate(fingers, first) for example in examples]
    order = torch.randperm(len(prints), generator=generator, device=generator.device).tolist()
    side = max(max(example.picture.shape) for _, example in prints)
    pixels, tables = [], []
    for start in range(0, len(order), TOGETHER):
        some = [prints[i] for i in order[start : start + TOGETHER]]
        laid = [padded(example, side, side) for _, example in some]
        most = max(1, *(len(example.minutiae) for example in laid))
        found, patches = _cut(laid, most, generator, spoil)
        pixels.append(patches)
        tables += [np.column_stack([t, np.full(len(t), finger)]) for (finger, _), t in zip(some, found, strict=True)]
    table = np.concatenate(tables)
    minutia = (table[:, 7] * FINGER + table[:, 6]).astype(np.int64)
    names, count = np.unique(minutia, return_counts=True)
    rows = np.flatnonzero(np.isin(minutia, names[count >= 2]))
    rows = rows[np.argsort(minutia[rows], kind="stable")]
    return Patches(
        torch.cat(pixels)[rows], torch.from_numpy(table[rows, 3].astype(np.float32)),
        torch.from_numpy(table[rows, 4] > TYPED), minutia[rows],
    )  # fmt: skip


def _cut(prints: list[Example], most: int, generator: torch.Generator, spoil: bool) -> tuple[list[np.ndarray], Tensor]:
    """Of each print the minutiae that are taken, and the patches of them all."""
    pictures = torch.from_numpy(np.stack([p.picture for p in prints])).to(generator.device).float()[:, None]
    minutiae = torch.from_numpy(np.stack([np.pad(p.minutiae, ((0, most - len(p.minutiae)), (0, 0))) for p in prints]))
    minutiae = minutiae.to(generator.device)
    hidden = torch.zeros(minutiae.shape[:2], dtype=torch.bool, device=generator.device)
    if spoil:
        masks = torch.from_numpy(np.stack([p.mask for p in prints])).to(generator.device).float()
        pictures, minutiae, hidden = spoilt(pictures, masks, minutiae, generator)
    along, right = (torch.from_numpy(v).to(generator.device) for v in places(WIDE))
    side = pictures.shape[-1]
    tables, found = [], []
    for picture, table, covered, example in zip(pictures, minutiae, hidden, prints, strict=True):
        count = len(example.minutiae)
        taken = table[:count][(table[:count, 5] >= SHALLOWEST) & ~covered[:count]]
        x, y, angle = (v[:, None, None] for v in taken[:, :3].unbind(1))
        c, s = angle.cos(), angle.sin()
        at = torch.stack([x + along * c + right * s, y - along * s + right * c], -1)
        soft = blur(picture, BLUR)[None].expand(len(taken), -1, -1, -1)
        sampled = F.grid_sample(soft, (2 * at + 1) / side - 1, padding_mode="border", align_corners=False)[:, 0]
        found.append(sampled.clamp(0, 255).round().byte().cpu())
        tables.append(taken.cpu().numpy())
    return tables, torch.cat(found)


def as_found(pixels: Tensor, generator: torch.Generator, device: torch.device, moved: bool) -> Tensor:
    """Kept patches (n, WIDE, WIDE) as the network takes them, float32 (n, 1, SIDE, SIDE). moved: turned, moved and stretched
    at random, as an extractor errs and skin gives; else their middles."""
    count, share = len(pixels), SIDE / WIDE

    def normal(spread: float) -> Tensor:
        return spread * torch.randn(count, generator=generator) if moved else torch.zeros(count)

    turn, grown, wider, sheared = normal(TURNED), normal(GROWN).exp(), normal(GROWN / 2).exp(), normal(SHEARED)
    dx, dy = (normal(MOVED * 2 / WIDE) for _ in range(2))
    c, s = grown * share * turn.cos(), grown * share * turn.sin()
    way = torch.stack([torch.stack([c * wider, sheared * grown * share - s, dx], 1), torch.stack([s * wider, c, dy], 1)], 1)
    grid = F.affine_grid(way, [count, 1, SIDE, SIDE], align_corners=False).to(device)
    return F.grid_sample(pixels[:, None].to(device).float(), grid, padding_mode="border", align_corners=False)
