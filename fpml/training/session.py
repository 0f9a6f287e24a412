"""What every training loop is given, and the walk over its epochs: resumed, checked, kept, logged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.training.batches import Batches
from fpml.training.checkpoint import Checkpoints

Row = dict[str, Any]  # what one epoch measured: numbers by name, and perhaps a picture in text


@dataclass(frozen=True)
class Sets:
    """A run's prints as its task wants them."""

    training: Batches
    validation: Batches
    classes: tuple[str, ...] = ()  # names of the classes, in the order of their numbers


@dataclass(frozen=True)
class Session:
    accelerator: Accelerator
    checkpoints: Checkpoints
    log_epoch: Callable[[Row], None]
    still_wanted: Callable[[], None]  # raises where the training was given up

    def run(
        self, epochs: int, network: nn.Module, optimisers: list[torch.optim.Optimizer], one_epoch: Callable[[int], Row]
    ) -> None:
        """Call one_epoch(1), one_epoch(2) … from where the last checkpoint stands.

        network: the bare one, which holds all that is trained or averaged. FpmlError where a loss is not a number any
        more, or a weight, as after a last step too wide; the checkpoint before it stays."""
        history = self.checkpoints.restore(network, optimisers)
        for row in history:
            self.log_epoch(row)
        for epoch in range(len(history) + 1, epochs + 1):
            row = {"epoch": epoch, **one_epoch(epoch)}
            losses = {k: v for k, v in row.items() if "loss" in k}
            sound = all(abs(v) < float("inf") for v in losses.values())
            if not sound or self._lost(network):
                found = ", ".join(f"{k} {v}" for k, v in losses.items())
                what = f"{'a weight' if sound else 'the loss'} of epoch {epoch} is not a number"
                rates = " and ".join(f"{group['lr']}" for o in optimisers for group in o.param_groups[:1])
                kept = f"the weights of epoch {epoch - 1} stay in {self.checkpoints.folder}" if history else "nothing was kept"
                raise FpmlError(f"{what}: {found}; {kept}; lower train.learning_rate (it is {rates})")
            history.append(row)
            if self.accelerator.is_main_process:
                self.checkpoints.save(network, optimisers, history)
                self.log_epoch(row)

    def _lost(self, network: nn.Module) -> bool:
        """Whether a weight, or what normalisation keeps, is not a number in any process."""
        numbers = [t for t in network.state_dict().values() if t.is_floating_point()]
        lost = torch.stack([~t.isfinite().all() for t in numbers]).sum()
        return bool(self.accelerator.reduce(lost, "sum"))

    def mean(self, total: Tensor, seen: int) -> float:
        """A sum over this process's prints as the mean over all that the processes saw: the sum of the global batches'
        sizes, which is less than all prints where a batch was left out."""
        summed: Tensor = self.accelerator.reduce(total, "sum")
        return float(summed) / seen
