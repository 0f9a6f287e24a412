"""A network that finds minutiae, fully convolutional, for grey pictures of any size at about 500 dpi; and one that says what
the skin looks like round each (fpml/models/texture.py).

Strides 4, 8 and 16, joined again on the way up (a feature pyramid, Lin et al. 2017). Minutiae are read at stride 4, as
CenterNet reads objects (Zhou et al. 2019): how likely a cell holds one, and where in it and in which direction. The print's own
fields are read at stride 8. Local contrast normalisation comes first, inside the network, so that grey levels, gain and uneven
light of a sensor do not matter.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import convolution
from fpml.models.texture import TextureNet
from fpml.settings.recipe import Model

KIND = "minutiae"
MULTIPLE = 16  # of height and width
FLOOR = 3.0  # grey levels: what a flat part's noise is divided by, so that it stays small
TEXTURE = 64  # numbers of a texture
PERIOD = 9.0  # pixels: the ridge period that the network's output 0 stands for


@dataclass(frozen=True)
class Maps:
    """What the network says of B pictures, as logits and raw numbers: at stride 4 (h, w) and at stride 8 (h / 2, w / 2)."""

    presence: Tensor  # (B, h, w) logit that a cell holds a minutia
    offset: Tensor  # (B, 2, h, w) x and y of the minutia from the middle of the cell, in cells
    direction: Tensor  # (B, 2, h, w) cosine and sine of its angle (ISO/IEC 19794-2)
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


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.norm(self.second(self.first(maps))))


def _stage(inside: int, outside: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(convolution(inside, outside, stride=2), *(_Residual(outside) for _ in range(blocks)))


class MapsNet(nn.Module):
    """(B, 1, H, W) float, grey 0..255, H and W multiples of 16 → Maps."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        first, quarter, eighth, sixteenth = widths
        self.stem = convolution(4, first)  # at half size: four pixels a place
        self.down4 = _stage(first, quarter, 1)
        self.down8 = _stage(quarter, eighth, 2)
        self.down16 = _stage(eighth, sixteenth, 3)
        self.to8, self.to4 = convolution(sixteenth, eighth, 1), convolution(eighth, quarter, 1)
        self.join8, self.join4 = _Residual(eighth), _Residual(quarter)
        self.of_minutiae = nn.Sequential(convolution(quarter, 64), nn.Conv2d(64, 5, 1))
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
            presence=found[:, 0], offset=found[:, 1:3], direction=found[:, 3:5],
            orientation=fields[:, :2], period=fields[:, 2], foreground=fields[:, 3],
        )  # fmt: skip


class MinutiaeNet(nn.Module):
    """The two, which share nothing and are trained side by side."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.maps, self.texture = MapsNet(widths), TextureNet(TEXTURE)


def build(model: Model, height: int, width: int, classes: int) -> MinutiaeNet:
    if len(model.widths) != 4:
        raise FpmlError(f"model.widths is {model.widths}; the minutiae network has four numbers, as [24, 48, 80, 144]")
    return MinutiaeNet(model.widths)


class Exported(nn.Module):
    """The network as it is registered. uint8 prints (B, 1, H, W), H and W multiples of 16 → at stride 4 presence (B, 1, h, w)
    as a calibrated probability, offset (B, 2, h, w) in pixels, direction (cosine, sine); at stride 8 orientation (cosine and
    sine of twice the angle), period in pixels, foreground as a probability. Where it is not sure of an angle, cosine and sine
    are both small. uint8 patches (N, 1, 48, 48) → texture (N, 64) of length 1, ending (N,) as a probability."""

    MAPS = ("presence", "offset", "direction", "orientation", "period", "foreground")
    OUTPUTS = (*MAPS, "texture", "ending")

    def __init__(self, network: MinutiaeNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, prints: Tensor, patches: Tensor) -> tuple[Tensor, ...]:
        maps = self.network.maps(prints.float())
        texture, ending = self.network.texture(patches.float())
        scale, shift = self.network.maps.calibration.unbind()  # type: ignore[operator]
        return (
            torch.sigmoid(scale * maps.presence + shift)[:, None],
            4 * maps.offset,
            maps.direction,
            maps.orientation,
            PERIOD * torch.exp(maps.period)[:, None],
            torch.sigmoid(maps.foreground)[:, None],
            texture,
            torch.sigmoid(ending),
        )
