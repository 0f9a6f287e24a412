"""The loop that trains a network to give back the print it is shown."""

from collections.abc import Callable
from time import perf_counter

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fpml.config import Train
from fpml.errors import FpmlError
from fpml.models.autoencoder import loss as reconstruction_loss
from fpml.train.batches import Batches
from fpml.train.checkpoint import Checkpoints


def optimizer(settings: Train, network: nn.Module) -> torch.optim.Optimizer:
    """Keras's defaults, which the published work used; torch's own are others."""
    parameters = network.parameters()
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, settings.learning_rate, alpha=0.9, eps=1e-7)
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, settings.learning_rate, eps=1e-7)
    return torch.optim.AdamW(parameters, settings.learning_rate, eps=1e-7, weight_decay=0.004)


def train(
    network: nn.Module,
    training: Batches,
    validation: Batches,
    settings: Train,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    log_epoch: Callable[[dict[str, float]], None],
    still_wanted: Callable[[], None],
) -> None:
    """Train in place, from the last checkpoint if there is one; the last epoch's weights stand.

    No epoch is picked by its validation loss, so the validation prints may be measured on afterwards.
    FpmlError where the loss is no number any more; the checkpoint before it stays."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, optimiser = accelerator.prepare(network, optimizer(settings, network))  # its forward autocasts from here
    history = checkpoints.restore(accelerator.unwrap_model(network), optimiser)
    for row in history:
        log_epoch(row)

    for epoch in range(len(history) + 1, settings.epochs + 1):
        start = perf_counter()
        network.train()
        total = torch.zeros((), device=accelerator.device)
        # The order of an epoch depends on seed and epoch alone: a resumed run sees what an unbroken one does.
        shuffle = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        for prints, stands_for, weight in training.epoch(torch.randperm(len(training.rows), generator=shuffle)):
            loss = reconstruction_loss(network(prints), prints)
            accelerator.backward(loss * weight)
            optimiser.step()
            optimiser.zero_grad()
            total += loss.detach() * stands_for
            still_wanted()
        seconds = perf_counter() - start

        row = {
            "epoch": epoch,
            "train/loss": _mean(total, training, accelerator),
            "validation/loss": validate(network, validation, accelerator),
            "images_per_second": len(training.rows) / seconds,
        }
        if not (row["train/loss"] < float("inf") and row["validation/loss"] < float("inf")):
            raise FpmlError(
                f"the loss of epoch {epoch} is {row['train/loss']} (validation {row['validation/loss']}); the weights of "
                f"epoch {epoch - 1} stay in {checkpoints.folder}; lower train.learning_rate (it is {settings.learning_rate})"
            )
        history.append(row)
        if accelerator.is_main_process:
            checkpoints.save(accelerator.unwrap_model(network), optimiser, history)
            log_epoch(row)


@torch.inference_mode()
def validate(network: nn.Module, validation: Batches, accelerator: Accelerator) -> float:
    """The mean loss over prints that are not trained on."""
    network.eval()
    total = torch.zeros((), device=accelerator.device)
    for prints, stands_for, _ in validation.epoch(torch.arange(len(validation.rows))):
        total += reconstruction_loss(network(prints), prints) * stands_for
    return _mean(total, validation, accelerator)


def _mean(total: Tensor, batches: Batches, accelerator: Accelerator) -> float:
    summed: Tensor = accelerator.reduce(total, "sum")
    return float(summed) / len(batches.rows)
