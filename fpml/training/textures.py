"""What is asked of textures: a minutia known again in another impression by the skin round it, and its type."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.models.texture import contrast
from fpml.training.patches import Patches, as_found

VALIDATED = 4  # batches
ENDING = 0.3  # weight of the type's loss beside the contrast


def texture_loss(
    network: nn.Module, patches: Patches, minutiae: int, rng: np.random.Generator, device: torch.device, moved: bool
) -> Tensor:
    """A scalar, of two impressions of so many minutiae drawn at random."""
    first, second = patches.pairs(minutiae, rng)
    rows = np.concatenate([first, second])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    given = as_found(patches.pixels[rows], generator, device, moved).contiguous(memory_format=torch.channels_last)
    textures, ending = network(given)
    which = torch.from_numpy(patches.minutia[first]).to(device)
    typed = patches.typed[rows].to(device).float()
    wrong = F.binary_cross_entropy_with_logits(ending, patches.ending[rows].to(device), reduction="none")
    one, other = textures.split(len(first))
    return contrast(one, other, which) + ENDING * (wrong * typed).sum() / typed.sum().clamp(min=1)


@torch.inference_mode()
def validate_texture(network: nn.Module, held: Patches, minutiae: int, seed: int) -> float:
    """The loss over the same pairs of the held-out fingers each time, as they are."""
    network.eval()
    device = next(network.parameters()).device
    pairs = (np.random.default_rng([seed, number]) for number in range(VALIDATED))
    return float(np.mean([float(texture_loss(network, held, minutiae, rng, device, moved=False)) for rng in pairs]))
