"""ResNet-50 (He et al. 2016), its layers and parameters named as torchvision names them, so that its ImageNet weights load.

A grey print becomes three equal channels with ImageNet's mean and spread. The embedding is the average-pooled last map,
brought to length 1."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError

KIND = "embedding"
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
EXPANSION = 4


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (with the stride), 1 x 1, and the input added."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = EXPANSION * width
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, maps: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(maps)))
        out = self.relu(self.bn2(self.conv2(out)))
        beside = maps if self.downsample is None else self.downsample(maps)
        added: Tensor = self.relu(self.bn3(self.conv3(out)) + beside)
        return added


class ResNet(nn.Module):
    """(B, 1, H, W) float in 0..1 → logits (B, classes) and embedding (B, 32 * width) of length 1."""

    def __init__(self, blocks: list[int], width: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = width
        for number, count in enumerate(blocks):
            each = width * 2**number
            layers = []
            for place in range(count):
                layers.append(Bottleneck(inside, each, 2 if number and place == 0 else 1))
                inside = EXPANSION * each
            self.add_module(f"layer{number + 1}", nn.Sequential(*layers))
        self.levels = len(blocks)
        self.mean: Tensor
        self.spread: Tensor
        self.fc = nn.Linear(inside, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1), persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        maps = (prints.expand(-1, 3, -1, -1) - self.mean) / self.spread
        maps = self.maxpool(self.relu(self.bn1(self.conv1(maps))))
        for number in range(self.levels):
            maps = self.get_submodule(f"layer{number + 1}")(maps)
        features = maps.mean((2, 3))
        return self.fc(features), F.normalize(features.float())


class Settings(Protocol):
    """What a recipe's `model` section says of a ResNet. blocks: of its four levels."""

    @property
    def blocks(self) -> list[int]: ...
    @property
    def width(self) -> int: ...


def build(model: Settings, height: int, width: int, classes: int) -> ResNet:
    if len(model.blocks) != 4:
        raise FpmlError(f"model.blocks is {model.blocks}; a ResNet has four numbers, ResNet-50 [3, 4, 6, 3]")
    if min(height, width) < 32:
        raise FpmlError(f"data.height and data.width are {height} x {width}; a ResNet needs 32 or more")
    return ResNet(model.blocks, model.width, classes)
