"""Prints for training: uint8 on the device, converted a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from fpml.data.store import Prepared

DEVICE_SHARE = 0.4  # of the device's free memory that the prints may fill


@dataclass(frozen=True)
class Draws:
    """Random numbers for a batch: one row for each print of the global batch, of which a process takes its own. So they
    depend on nothing but the seed, the epoch and the batch's number."""

    generator: torch.Generator
    size: int  # of the global batch
    places: Tensor  # this process's places in it
    device: torch.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(self.size, *shape, generator=self.generator))[self.places].to(self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.size, *shape, generator=self.generator)[self.places].to(self.device)


@dataclass(frozen=True)
class Batch:
    """This process's part of a batch."""

    prints: Tensor  # (b, 1, H, W) float32 in 0..1, channels last
    targets: Tensor  # the same: what should come out; the prints themselves where nothing else was asked for
    classes: Tensor  # (b,) int64; zeros where the prints have none
    stands_for: float  # how many prints of the global batch these stand for
    weight: float  # makes the average of the processes' gradients the average over the global batch's prints
    size: int  # of the global batch
    places: Tensor  # of these prints in it

    def draws(self, seed: int, epoch: int, number: int) -> Draws:
        generator = torch.Generator().manual_seed(((seed * 1_000_003 + epoch) * 1_000_003 + number) % 2**63)
        return Draws(generator, self.size, self.places, self.prints.device)


class Batches:
    """Some prints of a prepared set, in batches, with what they should become and their classes.

    rows: (n,) rows of the prepared set; targets: (n,) rows, or None for the prints themselves; classes: (n,) or None.
    The prints lie on the device as uint8 if they fit, else each batch is read from the memory maps. With several
    processes each batch is divided between them, so that the global batch is `size` for any number."""

    def __init__(
        self,
        prints: Prepared,
        rows: np.ndarray,
        size: int,
        accelerator: Accelerator,
        targets: np.ndarray | None = None,
        classes: np.ndarray | None = None,
    ) -> None:
        self.prints, self.rows, self.size, self.accelerator = prints, rows, size, accelerator
        self.targets = targets
        self.classes = torch.from_numpy(np.zeros(len(rows), np.int64) if classes is None else classes.astype(np.int64))
        height, width = prints.images[0].shape[1:]
        # Each print once, though it be the target of several.
        self.used = np.unique(rows if targets is None else np.concatenate([rows, targets]))
        self.on_device: Tensor | None = None
        if len(self.used) * height * width < DEVICE_SHARE * _free_memory(accelerator.device):
            self.on_device = torch.from_numpy(prints.take(self.used)).to(accelerator.device)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def epoch(self, order: Tensor) -> Iterator[Batch]:
        """Batches in an order of the rows."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        for start in range(0, len(self.rows), self.size):
            whole = order[start : start + self.size]
            # A last batch too small to divide is seen by all: every process must take every step.
            places = torch.arange(len(whole))
            places = places[rank::world] if len(whole) >= world else places
            mine = whole[places]
            stands_for = len(mine) if len(whole) >= world else len(whole) / world
            prints = self._floats(self.rows[mine.numpy()])
            targets = prints if self.targets is None else self._floats(self.targets[mine.numpy()])
            classes = self.classes[mine].to(self.accelerator.device)
            yield Batch(prints, targets, classes, stands_for, stands_for * world / len(whole), len(whole), places)

    def _floats(self, rows: np.ndarray) -> Tensor:
        if self.on_device is not None:
            places = torch.from_numpy(np.searchsorted(self.used, rows))
            chosen = self.on_device[places.to(self.on_device.device)]
        else:
            chosen = torch.from_numpy(self.prints.take(rows)).to(self.accelerator.device)
        return chosen[:, None].float().div_(255).contiguous(memory_format=torch.channels_last)


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch depends on seed and epoch alone: a resumed run sees what an unbroken one does."""
    return torch.randperm(count, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63))


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)
