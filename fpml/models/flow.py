"""A flow from noise to pictures: a U-Net (Ronneberger et al. 2015) that is shown a mixture of both and says which way the
picture lies (flow matching along straight lines, Lipman et al. 2023). Along those ways noise becomes a picture."""

import math
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.follow import follow

KIND = "flow"
FOLDED = 32  # pixels, at most, of the largest maps' shorter side: larger pictures are folded into channels first
WAVES, FASTEST = 32, 1000.0  # that tell the time, and the fastest of them, in radians

L = TypeVar("L", nn.Conv2d, nn.Linear)


class Settings(Protocol):
    """What a recipe's `model` section says of a flow."""

    @property
    def widths(self) -> list[int]: ...
    @property
    def steps(self) -> int: ...


class FlowNet(nn.Module):
    """Pictures (B, 1, H, W), 0 for mid grey and -1..1 from black to white where no noise is left, times (B,) 0..1, class
    numbers (B,) and which of them are turned over (B,) → ways (B, 1, H, W) float32: by how much a picture changes per time.

    The network inside has unit variance in and out whatever the time, as Karras et al. (2022) do it for diffusion; the formulas
    here are those of the best linear guess, for pixels of the prints' mean and spread and noise of spread 1."""

    def __init__(self, widths: list[int], steps: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.size, self.steps = (height, width), steps
        self.fold = fold_of(height, width)
        numbers = 4 * widths[0]
        self.mean, self.spread = nn.Buffer(torch.zeros(())), nn.Buffer(torch.ones(()))  # of all prints' pixels
        self.waves = nn.Buffer(FASTEST ** (torch.arange(WAVES) / WAVES), persistent=False)
        # What a class means to a print that is turned over is another thing: both are there before the first layer.
        self.names = nn.Embedding(classes, 2 * WAVES) if classes else None
        self.turned = nn.Parameter(torch.randn(2 * WAVES))
        self.told = nn.Sequential(nn.Linear(2 * WAVES, numbers), nn.SiLU(), nn.Linear(numbers, numbers), nn.SiLU())
        self.first = nn.Conv2d(self.fold**2, widths[0], 3, padding=1)
        self.down, self.shrink, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        kept, inside = [widths[0]], widths[0]
        for level, outside in enumerate(widths):
            if level:
                self.shrink.append(nn.Conv2d(inside, inside, 3, 2, 1))
                kept.append(inside)
            self.down.append(Block(inside, outside, numbers))
            kept.append(outside)
            inside = outside
        self.middle = nn.ModuleList([Block(inside, inside, numbers), Attention(inside), Block(inside, inside, numbers)])
        for outside in reversed(widths):
            for _ in range(2):
                self.up.append(Block(inside + kept.pop(), outside, numbers))
                inside = outside
        last = silent(nn.Conv2d(inside, self.fold**2, 3, padding=1))
        self.last = nn.Sequential(normalisation(inside), nn.SiLU(), last)

    def forward(self, picture: Tensor, time: Tensor, classes: Tensor, turned: Tensor) -> Tensor:
        t = time[:, None, None, None]
        here = picture - t * self.mean
        size, slope, rest = self.scales(t)
        waves = time[:, None] * self.waves
        known = torch.cat([waves.sin(), waves.cos()], 1) + turned[:, None] * self.turned
        if self.names is not None:
            known = known + self.names(classes)
        way: Tensor = self.mean + slope * here + rest * self._inner(here / size, self.told(known)).float()
        return way

    def _inner(self, picture: Tensor, told: Tensor) -> Tensor:
        maps = self.first(F.pixel_unshuffle(picture, self.fold))
        kept = [maps]
        for number, block in enumerate(self.down):
            if number:
                maps = self.shrink[number - 1](maps)
                kept.append(maps)
            maps = block(maps, told)
            kept.append(maps)
        before, attention, after = self.middle
        maps = after(attention(before(maps, told)), told)
        for number, block in enumerate(self.up):
            if number and number % 2 == 0:
                maps = F.interpolate(maps, scale_factor=2.0)
            maps = block(torch.cat([maps, kept.pop()], 1), told)
        return F.pixel_shuffle(self.last(maps), self.fold)

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At a time: the spread of mixtures t·print + (1 - t)·noise, the slope of the best linear guess of print - noise from
        them, and the spread of what that guess leaves open."""
        size = (t**2 * self.spread**2 + (1 - t) ** 2).sqrt()
        return size, (t * self.spread**2 - (1 - t)) / size**2, self.spread / size


class Block(nn.Module):
    """Two convolutions beside a way past them; the second one's normalised maps are scaled and shifted by what is told."""

    def __init__(self, inside: int, outside: int, numbers: int) -> None:
        super().__init__()
        self.first = nn.Sequential(normalisation(inside), nn.SiLU(), nn.Conv2d(inside, outside, 3, padding=1))
        self.told = silent(nn.Linear(numbers, 2 * outside))
        self.normalised = normalisation(outside)
        self.second = silent(nn.Conv2d(outside, outside, 3, padding=1))
        self.past = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        inner = self.second(F.silu(self.normalised(self.first(maps)) * (1 + scale) + shift))
        out: Tensor = self.past(maps) + inner
        return out


class Attention(nn.Module):
    """Every place looks at every other (Vaswani et al. 2017), in four heads."""

    HEADS = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asked = nn.Sequential(normalisation(width), nn.Conv2d(width, 3 * width, 1))
        self.out = silent(nn.Conv2d(width, width, 1))

    def forward(self, maps: Tensor) -> Tensor:
        width, places = maps.shape[1], maps.shape[2] * maps.shape[3]
        asked = self.asked(maps).reshape(-1, 3, self.HEADS, width // self.HEADS, places)
        query, key, value = asked.transpose(-1, -2).unbind(1)
        seen = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = maps + self.out(seen.transpose(-1, -2).reshape(maps.shape))
        return out


def normalisation(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, width), width)


def silent(layer: L) -> L:
    """A layer that gives zeros until it has learnt something."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def fold_of(height: int, width: int) -> int:
    return -(-min(height, width) // FOLDED)


def build(model: Settings, height: int, width: int, classes: int) -> FlowNet:
    """FpmlError for settings of another family, or a size or widths that it can't have."""
    if not hasattr(model, "widths"):
        raise FpmlError(
            "the recipe's model and train sections are a dcgan's; a flow's are generate-conditional's in params.yaml"
        )
    multiple = fold_of(height, width) * 2 ** (len(model.widths) - 1)
    if height % multiple or width % multiple:
        raise FpmlError(
            f"data.height and data.width are {height} x {width}; a flow of {len(model.widths)} widths makes pictures of about "
            f"this size in multiples of {multiple} pixels"
        )
    if model.widths[-1] % Attention.HEADS:
        raise FpmlError(f"model.widths is {model.widths}; a flow's last one is a multiple of {Attention.HEADS}")
    return FlowNet(model.widths, model.steps, height, width, classes)


def loss(
    network: nn.Module, flow: FlowNet, prints: Tensor, classes: Tensor, noise: Tensor, time: Tensor, turned: Tensor
) -> Tensor:
    """How far the ways of mixtures lie from the true ones, in the spread of what the best linear guess leaves open: 1 for that
    guess. prints (B, 1, H, W) in 0..1; noise, of their shape; time (B,); turned (B,): which are shown turned over, left to
    right. network: flow, or what wraps it."""
    t = time[:, None, None, None]
    real = torch.where(turned[:, None, None, None] > 0, prints.flip(3), prints) * 2 - 1
    mixed = (t * real + (1 - t) * noise).contiguous(memory_format=torch.channels_last)
    rest = flow.scales(t)[2]
    way: Tensor = network(mixed, time, classes, turned)
    return ((way - (real - noise)) / rest).square().mean()


def numbers(network: FlowNet) -> int:
    return math.prod(network.size)


def draw(network: FlowNet, latent: Tensor, classes: Tensor) -> Tensor:
    def way(picture: Tensor, time: float) -> Tensor:
        every = torch.full((len(picture),), time, device=picture.device)
        there: Tensor = network(picture, every, classes, torch.zeros_like(every))
        return there

    start = latent.reshape(-1, 1, *network.size).contiguous(memory_format=torch.channels_last)
    pictures: Tensor = (follow(way, start, network.steps) + 1) / 2
    return pictures
