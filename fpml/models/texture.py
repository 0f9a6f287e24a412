"""A network that tells the skin round one minutia from that round another, by patches (fpml/matching/texture.py).

It is trained by contrast: two impressions of one minutia are to be more alike than either is to any other in the batch
(InfoNCE; van den Oord et al. 2018). What type a minutia is of, an ending or a bifurcation, is read from the patch's middle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.models.layers import convolution

AREA = 17  # pixels of a patch, the side of the square over which its grey levels are made even
FLOOR = 4.0  # grey levels: what a flat part's noise is divided by, so that it stays small
TEMPERATURE = 0.07
MIDDLE = 16  # pixels of a patch, the side of the square round the minutia by which its type is told


class TextureNet(nn.Module):
    """(N, 1, 48, 48) float, grey 0..255 → textures (N, numbers) of length 1, and the logit of an ending (N,)."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(1, 16, 5, 2), convolution(16, 32), convolution(32, 48, 3, 2), convolution(48, 48),
            convolution(48, 64, 3, 2), convolution(64, 64), nn.Flatten(),
        )  # fmt: skip
        self.texture = nn.Linear(64 * 6 * 6, numbers)
        # Features that tell skin apart do not keep where exactly the minutia lies, which decides its type.
        self.ending = nn.Sequential(nn.Flatten(), nn.Linear(MIDDLE * MIDDLE, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        even = evened(patches)
        first = (patches.shape[-1] - MIDDLE) // 2
        middle = even[..., first : first + MIDDLE, first : first + MIDDLE]
        return F.normalize(self.texture(self.features(even)).float(), dim=1), self.ending(middle).float()[:, 0]


def evened(patches: Tensor) -> Tensor:
    """Each pixel less the mean round it, over the standard deviation round it."""
    centred = patches - 128

    def round_it(values: Tensor) -> Tensor:  # along one axis, then along the other: a tenth of the work
        rows = F.avg_pool2d(values, (AREA, 1), 1, (AREA // 2, 0), count_include_pad=False)
        return F.avg_pool2d(rows, (1, AREA), 1, (0, AREA // 2), count_include_pad=False)

    mean = round_it(centred)
    spread = (round_it(centred * centred) - mean * mean).clamp(min=0).sqrt()
    return ((centred - mean) / (spread + FLOOR)).clamp(-4, 4)


def contrast(first: Tensor, second: Tensor, which: Tensor) -> Tensor:
    """InfoNCE, both ways. first, second: (N, numbers), two impressions of minutia `which` (N,), int64; rows of the same
    minutia are not held against each other."""
    alike = first @ second.T / TEMPERATURE
    twice = (which[:, None] == which) & ~torch.eye(len(which), dtype=torch.bool, device=which.device)
    alike = alike.masked_fill(twice, -1e4)
    own = torch.arange(len(which), device=which.device)
    return (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2
