"""A network that finds minutiae: fully convolutional, for grey pictures of any size at about 500 dpi.

Strides 4, 8 and 16, joined again on the way up (a feature pyramid, Lin et al. 2017). Minutiae are read at stride 4, as
CenterNet reads objects (Zhou et al. 2019): how likely a cell holds one, and where in it, in which direction and of which type.
The print's own fields are read at stride 8. Local contrast normalisation comes first, inside the network, so that grey levels,
gain and uneven light of a sensor do not matter.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.settings.recipe import Model

KIND = "minutiae"
MULTIPLE = 16  # of height and width
FLOOR = 3.0  # grey levels: what a flat part's noise is divided by, so that it stays small
PERIOD = 9.0  # pixels: the ridge period that the network's output 0 stands for


@dataclass(frozen=True)
class Maps:
    """What the network says of B pictures, as logits and raw numbers: at stride 4 (h, w) and at stride 8 (h / 2, w / 2)."""

    presence: Tensor  # (B, h, w) logit that a cell holds a minutia
    offset: Tensor  # (B, 2, h, w) x and y of the minutia from the middle of the cell, in cells
    direction: Tensor  # (B, 2, h, w) cosine and sine of its angle (ISO/IEC 19794-2)
    ending: Tensor  # (B, h, w) logit of an ending, not a bifurcation
    orientation: Tensor  # (B, 2, h / 2, w / 2) cosine and sine of twice the ridges' orientation
    period: Tensor  # (B, h / 2, w / 2) natural logarithm of the ridge period over PERIOD
    foreground: Tensor  # (B, h / 2, w / 2) logit of skin


def normalised(pictures: Tensor) -> Tensor:
    """Local contrast normalisation of grey 0..255, (B, 1, H, W): each pixel less the mean round it, over the standard deviation
    round it. Both are taken over nine cells of four pixels a side, and drawn smoothly between them."""
    centred = pictures - 128

    def round_it(maps: Tensor) -> Tensor:
        cells = F.avg_pool2d(F.avg_pool2d(maps, 4), 9, stride=1, padding=4, count_include_pad=False)
        return F.interpolate(cells, scale_factor=4.0, mode="bilinear", align_corners=False)

    mean = round_it(centred)
    spread = (round_it(centred * centred) - mean * mean).clamp(min=0).sqrt()
    return ((centred - mean) / (spread + FLOOR)).clamp(-4, 4)


def _convolution(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.norm(self.second(self.first(maps))))


def _stage(inside: int, outside: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inside, outside, stride=2), *(_Residual(outside) for _ in range(blocks)))


class MinutiaeNet(nn.Module):
    """(B, 1, H, W) float, grey 0..255, H and W multiples of 16 → Maps."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        first, quarter, eighth, sixteenth = widths
        self.stem = _convolution(4, first)  # at half size: four pixels a place
        self.down4 = _stage(first, quarter, 1)
        self.down8 = _stage(quarter, eighth, 2)
        self.down16 = _stage(eighth, sixteenth, 3)
        self.to8, self.to4 = _convolution(sixteenth, eighth, 1), _convolution(eighth, quarter, 1)
        self.join8, self.join4 = _Residual(eighth), _Residual(quarter)
        self.of_minutiae = nn.Sequential(_convolution(quarter, 64), nn.Conv2d(64, 6, 1))
        self.of_fields = nn.Conv2d(eighth, 4, 1)
        # Of each cell's presence: what turns the logit into a calibrated one (Platt 1999). Fitted after training.
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        last = self.of_minutiae[1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.constant_(last.bias[0], -3.5)  # few cells hold a minutia

    def forward(self, pictures: Tensor) -> Maps:
        maps4 = self.down4(self.stem(F.pixel_unshuffle(normalised(pictures), 2)))
        maps8 = self.down8(maps4)
        maps16 = self.down16(maps8)
        maps8 = self.join8(maps8 + F.interpolate(self.to8(maps16), scale_factor=2.0, mode="nearest"))
        maps4 = self.join4(maps4 + F.interpolate(self.to4(maps8), scale_factor=2.0, mode="nearest"))
        found, fields = self.of_minutiae(maps4).float(), self.of_fields(maps8).float()
        return Maps(
            presence=found[:, 0], offset=found[:, 1:3], direction=found[:, 3:5], ending=found[:, 5],
            orientation=fields[:, :2], period=fields[:, 2], foreground=fields[:, 3],
        )  # fmt: skip


def build(model: Model, height: int, width: int, classes: int) -> MinutiaeNet:
    if len(model.widths) != 4:
        raise FpmlError(f"model.widths is {model.widths}; the minutiae network has four numbers, as [24, 48, 80, 144]")
    return MinutiaeNet(model.widths)


class Exported(nn.Module):
    """The network as it is registered: uint8 (B, 1, H, W), H and W multiples of 16 → at stride 4 presence (B, 1, h, w) as a
    calibrated probability, offset (B, 2, h, w) in pixels, direction (cosine, sine), ending as a probability; at stride 8
    orientation (cosine and sine of twice the angle), period in pixels, foreground as a probability. Where it is not sure of
    an angle, cosine and sine are both small."""

    OUTPUTS = ("presence", "offset", "direction", "ending", "orientation", "period", "foreground")

    def __init__(self, network: MinutiaeNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(prints.float())
        scale, shift = self.network.calibration.unbind()  # type: ignore[operator]
        return (
            torch.sigmoid(scale * maps.presence + shift)[:, None],
            4 * maps.offset,
            maps.direction,
            torch.sigmoid(maps.ending)[:, None],
            maps.orientation,
            PERIOD * torch.exp(maps.period)[:, None],
            torch.sigmoid(maps.foreground)[:, None],
        )
