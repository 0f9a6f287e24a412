"""DCGAN (Radford, Metz and Chintala 2016): a generator of transposed convolutions and a discriminator that mirrors it, for
square pictures of 64, 128 or 256 pixels; with classes, both are told which one is meant."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from fpml.base.errors import FpmlError

KIND = "adversary"
SIDES = (64, 128, 256)


class Settings(Protocol):
    """What a recipe's `model` section says of a DCGAN."""

    @property
    def latent(self) -> int: ...
    @property
    def generator_width(self) -> int: ...
    @property
    def discriminator_width(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def spectral_norm(self) -> bool: ...


class Generator(nn.Module):
    """Latent vectors (B, latent) and class numbers (B,) → pictures (B, channels, H, H) in 0..1. Without classes the numbers
    are not looked at."""

    def __init__(self, model: Settings, side: int, classes: int) -> None:
        super().__init__()
        self.model = model
        levels = side.bit_length() - 4  # doublings after the first 4 x 4 maps, but for the last one
        widths = [model.generator_width * 2**n for n in range(levels, -1, -1)]
        self.names = nn.Embedding(classes, model.latent) if classes else None
        layers: list[nn.Module] = []
        inside = model.latent * (2 if classes else 1)
        for number, outside in enumerate(widths):
            layers.append(nn.ConvTranspose2d(inside, outside, 4, 2 if number else 1, 1 if number else 0, bias=False))
            layers += [nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
            inside = outside
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(inside, model.channels, 4, 2, 1, bias=False))

    def forward(self, latent: Tensor, classes: Tensor) -> Tensor:
        if self.names is not None:
            latent = torch.cat([latent, self.names(classes)], 1)
        return (torch.tanh(self.body(latent[:, :, None, None]).float()) + 1) / 2


class Discriminator(nn.Module):
    """Pictures (B, channels, H, H) in 0..1 and class numbers (B,) → how real they look, logits (B,)."""

    def __init__(self, model: Settings, side: int, classes: int) -> None:
        super().__init__()
        bound = spectral_norm if model.spectral_norm else _as_it_is
        levels = side.bit_length() - 4
        widths = [model.discriminator_width * 2**n for n in range(levels + 1)]
        layers: list[nn.Module] = []
        inside = model.channels
        for number, outside in enumerate(widths):
            layers.append(bound(nn.Conv2d(inside, outside, 4, 2, 1, bias=False)))
            if number and not model.spectral_norm:
                layers.append(nn.BatchNorm2d(outside))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inside = outside
        self.body = nn.Sequential(*layers)
        self.head = bound(nn.Conv2d(inside, 1, 4, bias=False))
        # Projection (Miyato and Koyama 2018): how well the features fit the class.
        self.names = bound(nn.Embedding(classes, inside)) if classes else None

    def forward(self, pictures: Tensor, classes: Tensor) -> Tensor:
        features = self.body(pictures * 2 - 1)
        logits: Tensor = self.head(features).flatten().float()
        if self.names is not None:
            logits = logits + (self.names(classes).float() * features.float().mean((2, 3))).sum(1)
        return logits


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer


def build(model: Settings, height: int, width: int, classes: int) -> Generator:
    """The generator, which is what is kept. FpmlError for settings of another family, or a size that it can't have."""
    if not hasattr(model, "generator_width"):
        raise FpmlError("the recipe's model and train sections are a flow's; a dcgan's are those of generate in params.yaml")
    if height != width or height not in SIDES:
        raise FpmlError(f"data.height and data.width are {height} x {width}; a DCGAN makes squares of {SIDES} pixels")
    if model.channels not in (1, 3):
        raise FpmlError(f"model.channels is {model.channels}; allowed: 1 (grey) or 3 (grey three times, as published)")
    network = Generator(model, height, classes)
    first_weights(network)
    return network


def numbers(network: Generator) -> int:
    return network.model.latent


def draw(network: Generator, latent: Tensor, classes: Tensor) -> Tensor:
    pictures: Tensor = network(latent, classes)
    return pictures


def discriminator(model: Settings, height: int, classes: int) -> Discriminator:
    network = Discriminator(model, height, classes)
    first_weights(network)
    return network


@torch.no_grad()
def first_weights(network: nn.Module) -> None:
    """DCGAN's: normal with a spread of 0.02, round 1 for the scales of normalisation."""
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0, 0.02)
        elif name.endswith("weight"):
            nn.init.normal_(parameter, 1, 0.02)
