import pytest
import torch

from fpml.synth.field import CLASS_SHARES, Finger, draw_finger
from fpml.synth.ridges import grow_masters


@pytest.fixture(scope="session")
def fingers() -> dict[str, Finger]:
    """One finger of each class."""
    return {pattern: draw_finger(3, number, pattern) for number, pattern in enumerate(CLASS_SHARES)}


@pytest.fixture(scope="session")
def masters(fingers: dict[str, Finger]) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return dict(zip(fingers, grow_masters(list(fingers.values())), strict=True))
