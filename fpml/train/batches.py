"""Prints for training: uint8 on the device, converted a batch at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from fpml.data.store import Prepared

DEVICE_SHARE = 0.4  # of the device's free memory that the prints may fill


class Batches:
    """Some prints of a prepared set, in batches of (b, 1, H, W) float32 in 0..1, channels last.

    They lie on the device as uint8 if they fit, else each batch is read from the memory maps. With several
    processes each batch is divided between them, so that the global batch is `size` for any number."""

    def __init__(self, prints: Prepared, rows: np.ndarray, size: int, accelerator: Accelerator) -> None:
        self.prints, self.rows, self.size, self.accelerator = prints, rows, size, accelerator
        self.on_device: Tensor | None = None
        height, width = prints.images[0].shape[1:]
        if len(rows) * height * width < DEVICE_SHARE * _free_memory(accelerator.device):
            self.on_device = torch.from_numpy(prints.take(rows)).to(accelerator.device)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def epoch(self, order: Tensor) -> Iterator[tuple[Tensor, float, float]]:
        """Batches in an order of the rows: (prints, how many prints of the global batch they stand for, weight).

        The weight makes the average of the processes' gradients the average over the global batch's prints."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        for start in range(0, len(self.rows), self.size):
            whole = order[start : start + self.size]
            # A last batch too small to divide is seen by all: every process must take every step.
            mine = whole[rank::world] if len(whole) >= world else whole
            stands_for = len(mine) if len(whole) >= world else len(whole) / world
            yield self._floats(mine), stands_for, stands_for * world / len(whole)

    def _floats(self, places: Tensor) -> Tensor:
        if self.on_device is not None:
            chosen = self.on_device[places.to(self.on_device.device)]
        else:
            chosen = torch.from_numpy(self.prints.take(self.rows[places.numpy()])).to(self.accelerator.device)
        return chosen[:, None].float().div_(255).contiguous(memory_format=torch.channels_last)


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)
