"""Where on a print a recogniser looks: a square hides each part of it in turn (Zeiler and Fergus 2014)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

BATCH = 128
Logits = Callable[[Tensor], Tensor]  # (B, 1, H, W) → (B, classes)


def places(length: int, square: int, stride: int) -> list[int]:
    """Where the square begins, so that the last one ends at the rim."""
    last = max(0, length - square)
    return sorted({*range(0, last + 1, stride), last})


@torch.inference_mode()
def occlusion(
    logits: Logits, print_: Tensor, finger: int, square: int, stride: int, grey: float
) -> tuple[np.ndarray, np.ndarray]:
    """Maps over a print (1, H, W): how often a pixel was hidden when the print was taken for another finger, as a share of
    the times that it was hidden; and by how much the finger's probability fell, on average over those times.

    finger: the class that is right. square, stride: pixels; grey: what hides, 0..1."""
    height, width = print_.shape[-2:]
    corners = [(top, left) for top in places(height, square, stride) for left in places(width, square, stride)]
    whole = torch.softmax(logits(print_[None]).float(), 1)[0, finger]
    wrong, fall, hidden = (np.zeros((height, width)) for _ in range(3))
    for start in range(0, len(corners), BATCH):
        part = corners[start : start + BATCH]
        batch = print_.expand(len(part), -1, -1, -1).clone()
        for number, (top, left) in enumerate(part):
            batch[number, :, top : top + square, left : left + square] = grey
        said = torch.softmax(logits(batch).float(), 1)
        missed = (said.argmax(1) != finger).cpu().numpy()
        lost = (whole - said[:, finger]).cpu().numpy()
        for (top, left), is_missed, by in zip(part, missed, lost, strict=True):
            here = np.s_[top : top + square, left : left + square]
            wrong[here] += is_missed
            fall[here] += by
            hidden[here] += 1
    return wrong / hidden, fall / hidden
