"""A network that lays a print straight before it looks at it. Fixed filters keep its ridges alone; one part tells where the
finger's middle lies and how it is turned, which the generator knows of its prints; another embeds what then lies straight,
whose places mean the same in every impression of a finger (Engelsma et al. 2019 align so, by what serves the embedding, for
want of the truth)."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.base.errors import FpmlError
from fpml.models.layers import convolution

KIND = "embedding"
HEIGHT, WIDTH = 160, 128  # of the prints, at DPI
DPI = 200
VIEW = (144, 112)  # pixels of the finger, laid straight, that are embedded
NUMBERS = 192  # of the embedding
SCALE = 24.0  # of the cosines that become logits
WAYS = 12  # directions of the filters that follow the ridges
PERIOD, ACROSS, ALONG, TAPS = 3.7, 1.7, 3.2, 15  # pixels: of their wave, of their Gaussian, and their side
AROUND = 13  # pixels, over three ridges: of what counts as a place's surroundings
FLAT = 0.04  # of a standard deviation of the grey in 0..1: what is flatter is no ridge
UNIT = 16.0  # pixels: of a shift by 1


class Residual(nn.Module):
    """Two 3 x 3 convolutions, and the input added (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.second(self.first(maps)))


class Aligned(nn.Module):
    """(B, 1, 160, 128) float in 0..1 → logits (B, classes) and embedding (B, 192) of length 1.

    A logit is the embedding's cosine with its class's row, times SCALE."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        w = width
        self.pose = nn.Sequential(
            convolution(3, w // 2), convolution(w // 2, w, 3, 2), convolution(w, w), convolution(w, w, 3, 2), nn.Flatten(),
            nn.Linear(w * (HEIGHT // 16) * (WIDTH // 16), 128), nn.ReLU(), nn.Linear(128, 4),
        )  # fmt: skip
        self.trunk = nn.Sequential(
            convolution(1, w // 2, 5, 2), convolution(w // 2, w, 3, 2), Residual(w),
            convolution(w, 2 * w, 3, 2), Residual(2 * w), Residual(2 * w), convolution(2 * w, 3 * w, 3, 2), Residual(3 * w),
            convolution(3 * w, w, 1), nn.Flatten(), nn.Linear(w * (VIEW[0] // 16) * (VIEW[1] // 16), NUMBERS, bias=False),
            nn.BatchNorm1d(NUMBERS),
        )  # fmt: skip
        self.fc = nn.Linear(NUMBERS, classes, bias=False)
        self.filters: Tensor
        self.register_buffer("filters", _filters(), persistent=False)
        x, y = (torch.arange(n) - (n - 1) / 2 for n in reversed(VIEW))
        self.places: Tensor
        self.register_buffer("places", torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1), persistent=False)

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        ridges = self.ridges(prints)
        shift, turn = self.lie(ridges)
        return self.embedded(self.straight(ridges, shift.detach(), turn.detach()))

    def ridges(self, prints: Tensor) -> Tensor:
        """What of prints (B, 1, H, W) is ridges, of even strength, and 0 elsewhere: sensors and skins differ in all else. By
        filters that follow the ridges (Hong, Wan and Jain 1998)."""
        even = evened(prints)
        fields = F.interpolate(F.avg_pool2d(flow(even), 3, 1, 1), (HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        cosine, sine = fields[:, :1], fields[:, 1:2]  # of twice the angle across the ridges, y down
        agree = torch.sqrt(cosine.square() + sine.square() + 1e-9)
        twice = torch.arange(WAYS, device=prints.device) * (2 * torch.pi / WAYS)
        along = sine * torch.sin(twice)[:, None, None] - cosine * torch.cos(twice)[:, None, None]
        share = torch.softmax(6 * along / (agree + 1e-3), 1)
        found = (share * F.conv2d(even, self.filters, padding=TAPS // 2)).sum(1, keepdim=True)
        strength = _around(found.square()).sqrt()
        sure = torch.sigmoid(16 * (agree - 0.18)) * torch.sigmoid(50 * (strength - 0.08))
        return found / (strength + 0.03) * sure

    def lie(self, ridges: Tensor) -> tuple[Tensor, Tensor]:
        """Where the finger's middle lies, (B, 2): x and y in pixels from the picture's; and cosine and sine of its turn
        counter-clockwise (B, 2)."""
        told = self.pose(flow(ridges)).float()
        return UNIT * told[:, :2], F.normalize(told[:, 2:] + told.new_tensor([1e-3, 0.0]))

    def straight(self, ridges: Tensor, shift: Tensor, turn: Tensor) -> Tensor:
        """(B, 1, *VIEW): the finger's middle in its middle, its axis upright."""
        c, s = turn[:, 0, None, None], turn[:, 1, None, None]
        x, y = self.places[..., 0], self.places[..., 1]
        across, down = c * x + s * y + shift[:, 0, None, None], c * y - s * x + shift[:, 1, None, None]
        grid = torch.stack([across / (WIDTH / 2), down / (HEIGHT / 2)], -1)
        return F.grid_sample(ridges.float(), grid, align_corners=False)

    def embedded(self, view: Tensor) -> tuple[Tensor, Tensor]:
        embedding = F.normalize(self.trunk(view).float())
        return SCALE * F.linear(embedding, F.normalize(self.fc.weight.float())), embedding


def _filters() -> Tensor:
    """(WAYS, 1, TAPS, TAPS): even Gabor filters without a mean, for ridges that run at k / WAYS of half a turn."""
    half = TAPS // 2
    y, x = torch.meshgrid(torch.arange(-half, half + 1.0), torch.arange(-half, half + 1.0), indexing="ij")
    filters = []
    for number in range(WAYS):
        angle = torch.tensor(torch.pi * number / WAYS)
        across, along = x * angle.sin() + y * angle.cos(), x * angle.cos() - y * angle.sin()  # y goes down
        window = torch.exp(-across.square() / (2 * ACROSS**2) - along.square() / (2 * ALONG**2))
        wave = window * torch.cos(2 * torch.pi * across / PERIOD)
        wave = wave - window * (wave.sum() / window.sum())
        filters.append(wave / wave.abs().sum())
    return torch.stack(filters)[:, None]


def evened(prints: Tensor) -> Tensor:
    """Each place less the mean of what is around it, over its spread: sensors differ in grey and contrast, ridges don't."""
    mean = _around(prints)
    spread = _around(prints.square()) - mean.square()
    return (prints - mean) / (spread.clamp(min=0).sqrt() + FLAT)


def flow(even: Tensor) -> Tensor:
    """(B, 1, H, W) → (B, 3, H / 4, W / 4): the ridges' direction, as cosine and sine of twice the gradient's angle times how
    far the gradients round a place agree; and how strong they are, 0 to 1 (the structure tensor; Bigun and Granlund 1987)."""
    inner = F.pad(even, (1, 1, 1, 1), mode="replicate")
    x, y = inner[..., 1:-1, 2:] - inner[..., 1:-1, :-2], inner[..., 2:, 1:-1] - inner[..., :-2, 1:-1]
    products = torch.cat([x.square() - y.square(), 2 * x * y, x.square() + y.square()], 1)
    sums = F.avg_pool2d(products, 8, 4, 2)
    strength = sums[:, 2:] + 0.1
    return torch.cat([sums[:, :2], sums[:, 2:]], 1) / torch.cat([strength, strength, strength + 1], 1)


def _around(values: Tensor) -> Tensor:
    """The mean of a square round each place, by rows and then by columns."""
    half = AROUND // 2
    along = F.avg_pool2d(values, (1, AROUND), 1, (0, half), count_include_pad=False)
    return F.avg_pool2d(along, (AROUND, 1), 1, (half, 0), count_include_pad=False)


class Settings(Protocol):
    """What a recipe's `model` section says of an aligned embedder."""

    @property
    def width(self) -> int: ...


def check(init: str, start_from: str, dpi: float, crop: str) -> None:
    """FpmlError for a recipe by which this model would learn to compare prints that it can't lay straight: how they lie it
    only knows from weights that were told, of prints at DPI, whole fingers in their middle."""
    if init != "shipped" and not start_from:
        raise FpmlError(
            f"model.init is {init}; this model starts from shipped, or from train.start_from: how prints lie it does not learn"
        )
    if (dpi, crop) != (DPI, "print"):
        raise FpmlError(
            f"data.dpi is {dpi:g} and data.crop {crop}; this model needs {DPI} and print, as it learnt how prints lie"
        )


def build(model: Settings, height: int, width: int, classes: int) -> Aligned:
    if (height, width) != (HEIGHT, WIDTH):
        raise FpmlError(f"data.height and data.width are {height} x {width}; this model needs {HEIGHT} x {WIDTH}, at {DPI} dpi")
    if model.width % 2:
        raise FpmlError(f"model.width is {model.width}; this model needs an even number")
    network = Aligned(model.width, classes)
    network.pose.requires_grad_(False)  # how prints lie is not learnt from whose they are
    return network
