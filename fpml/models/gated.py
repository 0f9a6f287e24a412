"""A U-Net that says where a print is damaged, and repairs it only there.

It gives two pictures of the print's size: a proposal of how the whole print should look, and the damage map, the
probability that a pixel is damaged. The repaired print is the proposal where the map says so, and the input elsewhere:
when it is applied, a pixel below SURE keeps its value exactly. (The autoencoder's author wished for such a network.)
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import DIFFERENT, PictureLoss, binary_cross_entropy
from fpml.settings.recipe import Model

KIND = "pictures"
SURE = 0.1  # below this probability of damage a pixel is not touched


def _block(inside: int, outside: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, each normalised and rectified."""
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers += [nn.Conv2d(channels, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class GatedUNet(nn.Module):
    """(B, 1, H, W) float in 0..1 → the repaired print and the damage map, both of that shape and range."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([1, *widths], widths, strict=False))
        pairs = list(pairwise(widths))[::-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in pairs)
        self.up = nn.ModuleList(_block(2 * shallow, shallow) for shallow, _ in pairs)
        self.heads = nn.Conv2d(widths[0], 2, 1)
        self.multiple = 2 ** (len(widths) - 1)

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        height, width = prints.shape[-2:]
        pad = [-height % self.multiple, -width % self.multiple]
        maps = F.pad(prints, (0, pad[1], 0, pad[0]), mode="replicate")
        kept = []
        for number, block in enumerate(self.down):
            maps = block(maps if number == 0 else F.max_pool2d(maps, 2))
            kept.append(maps)
        for grow, block, beside in zip(self.grow, self.up, kept[-2::-1], strict=True):
            maps = block(torch.cat([grow(maps), beside], 1))
        both = torch.sigmoid(self.heads(maps)[..., :height, :width].float())
        proposal, damage = both[:, :1], both[:, 1:]
        gate = damage if self.training else damage * (damage > SURE)
        return prints + gate * (proposal - prints), damage


def build(model: Model, height: int, width: int, classes: int) -> GatedUNet:
    if not 2 <= len(model.widths) <= 6:
        raise FpmlError(f"model.widths is {model.widths}; the gated U-Net has two to six numbers, as [16, 32, 64, 128]")
    if min(height, width) < 2 ** (len(model.widths) - 1):
        raise FpmlError(f"model.widths has {len(model.widths)} levels, too many for prints of {height} x {width}")
    return GatedUNet(model.widths)


def loss(output: tuple[Tensor, Tensor], prints: Tensor, targets: Tensor, picture_loss: PictureLoss) -> Tensor:
    """The repaired picture's loss, over all of it and once more over what was damaged, and the damage map's binary
    cross-entropy against the true difference of altered and real print."""
    repaired, damage = output
    differs = ((prints - targets).abs() > DIFFERENT).float()
    truth = F.max_pool2d(differs, 3, stride=1, padding=1)  # ridges that happen to agree inside the damage belong to it
    repaired = repaired.float().clamp(0, 1)
    inside = picture_loss(torch.where(truth > 0, repaired, targets), targets) * truth.numel() / truth.sum().clamp(min=1)
    return picture_loss(repaired, targets) + inside + binary_cross_entropy(damage, truth)
