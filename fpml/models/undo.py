"""Small networks that undo alterations between them, and one model that holds them.

find    where a print was altered and how: maps at half its size, of which numpy makes places (fpml/inference/alterations.py)
rim     where exactly the rim of a turned disc lies
turn    how right a way to turn a disc back is: it sees the ridges on both sides of the rim, laid straight
cut     the same for a cut, and its seams
blot    which pixels a given noise was blended into
polish  what is lost for good is painted: a gated U-Net, which sees the altered and the undone print
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpml.alteration.kinds import CLASSES
from fpml.base.errors import FpmlError
from fpml.settings.recipe import Model

KIND = "undo"
LABELS = 5  # of a pixel: undamaged, CR, Zcut's first and second triangle, Obl
VOTES = 9  # of a pixel: CR's centre (y, x), V0, V1, V2 (y, x each), all as seen from it, and CR's radius
UNIT, RADIUS = 16.0, 32.0  # pixels that a vote's 1 stands for
SURE = 0.1  # below this probability of damage a pixel is not touched
STRIPS = {"rims": (14, 120), "turns": (20, 120), "cuts": (14, 240)}  # rows across a seam, and columns along it


def _block(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers += [nn.Conv2d(channels, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(B, inside, H, W) → (B, outside, H, W), and the deepest maps; H and W multiples of 2 to the levels - 1."""

    def __init__(self, inside: int, outside: int, widths: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([inside, *widths], widths, strict=False))
        pairs = list(pairwise(widths))[::-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in pairs)
        self.up = nn.ModuleList(_block(2 * shallow, shallow) for shallow, _ in pairs)
        self.head = nn.Conv2d(widths[0], outside, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        kept = []
        for number, block in enumerate(self.down):
            maps = block(maps if number == 0 else F.max_pool2d(maps, 2))
            kept.append(maps)
        deepest = maps
        for grow, block, beside in zip(self.grow, self.up, kept[-2::-1], strict=True):
            maps = block(torch.cat([grow(maps), beside], 1))
        return self.head(maps), deepest


class Find(nn.Module):
    """(B, 1, H, W) grey 0..1 → labels (B, 5, H/2, W/2) as logits, votes (B, 9, H/2, W/2), cover (B, 1, H/2, W/2) 0..1: how
    much white lies over a pixel; kinds (B, 4) as logits. H and W multiples of 16."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.unet = UNet(4, LABELS + VOTES + 1, widths)
        self.kinds = nn.Linear(2 * widths[-1], len(CLASSES))

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        maps, deepest = self.unet(F.pixel_unshuffle(prints, 2))
        kinds = self.kinds(torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1))
        labels, votes, cover = maps.float().split([LABELS, VOTES, 1], 1)
        return labels, votes, torch.sigmoid(cover), kinds.float()


class CutJudge(nn.Module):
    """(B, 2, 14, 240) strips across a cut's seams (fpml/alteration/seams.py) → (B,): how right a candidate is, a logit."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            nn.Conv2d(2, w, 5, (1, 2), 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True),
            nn.Conv2d(w, w + 12, (3, 5), (2, 1), (1, 2), bias=False), nn.BatchNorm2d(w + 12), nn.ReLU(inplace=True),
            nn.Conv2d(w + 12, 2 * w, (7, 3), 1, (0, 1), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 2 * w, (1, 5), 1, (0, 2), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 1, 1),
        )  # fmt: skip

    def forward(self, strips: Tensor) -> Tensor:
        out: Tensor = 8 * self.body(strips).float().mean((1, 2, 3))
        return out


class TurnJudge(nn.Module):
    """(B, 2, 20, 120) strips across a rim → (B, 4): how right a candidate is, a logit; by how many pixels its radius is too
    small; and how many pixels farther down and to the right belongs what it shows inside.

    Each column says how far its ridges are out of step, and across which direction; least squares over all columns make the
    shift of it. A candidate that leaves a shift is wrong."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            nn.Conv2d(2, w, 5, (1, 2), 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True),
            nn.Conv2d(w, w, 3, 1, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True),
            nn.Conv2d(w, w + 16, (3, 5), (2, 1), (1, 2), bias=False), nn.BatchNorm2d(w + 16), nn.ReLU(inplace=True),
            nn.Conv2d(w + 16, 2 * w, (10, 3), 1, (0, 1), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 2 * w, (1, 5), 1, (0, 2), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 5, 1),
        )  # fmt: skip
        self.worth = nn.Parameter(torch.zeros(()))  # logarithm of what a pixel of shift costs

    def forward(self, strips: Tensor) -> Tensor:
        out = self.body(strips).float()[:, :, 0]
        logit, radius, outward, along, gap = out.unbind(1)
        angle = torch.arange(out.shape[2], device=out.device) * (2 * torch.pi / out.shape[2])
        sine, cosine = torch.sin(angle), torch.cos(angle)
        y, x = outward * sine + along * cosine, outward * cosine - along * sine  # y is down, and the angle grows from x to y
        yy, xx, xy = (y * y).mean(1) + STIFF, (x * x).mean(1) + STIFF, (x * y).mean(1)
        of_y, of_x = (y * gap).mean(1), (x * gap).mean(1)
        determinant = yy * xx - xy * xy
        down, right = (xx * of_y - xy * of_x) / determinant, (yy * of_x - xy * of_y) / determinant
        told = 8 * logit.mean(1) - self.worth.exp() * (down**2 + right**2)
        return torch.stack([told, 8 * radius.mean(1), down, right], 1)


class Rim(nn.Module):
    """(B, 2, 14, 120) strips across a guessed rim, nothing turned → (B, 2, 60): by how many pixels it lies farther out in
    each column, and the logarithm of how much that is to be believed."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            nn.Conv2d(2, w, 5, (1, 2), 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True),
            nn.Conv2d(w, w + 8, (3, 5), (2, 1), (1, 2), bias=False), nn.BatchNorm2d(w + 8), nn.ReLU(inplace=True),
            nn.Conv2d(w + 8, 2 * w, (7, 3), 1, (0, 1), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 2 * w, (1, 9), 1, (0, 4), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 2 * w, (1, 9), 1, (0, 4), bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(inplace=True),
            nn.Conv2d(2 * w, 2, 1),
        )  # fmt: skip

    def forward(self, strips: Tensor) -> Tensor:
        out: Tensor = self.body(strips).float()[:, :, 0]
        return out


def fitted(answers: Tensor, basis: Tensor) -> Tensor:
    """What a Rim's answers (B, 2, n) add up to, by weighted least squares: (B, k). basis: (n, k), by how much each column
    moves with each of k numbers (of_circle of fpml/alteration/seams.py)."""
    with torch.autocast(answers.device.type, enabled=False):  # CUDA solves nothing in bf16
        weight = torch.softmax(answers[:, 1].float(), 1)
        normal = torch.einsum("bn,ni,nj->bij", weight, basis, basis)
        normal = normal + STIFF * torch.eye(basis.shape[1], device=answers.device)
        right = torch.einsum("bn,ni->bi", weight * answers[:, 0], basis)
        out: Tensor = torch.linalg.solve(normal, right[..., None])[..., 0]
    return out


STIFF = 0.01  # what keeps a number at 0 that no column tells of


class Blot(nn.Module):
    """Altered print and a noise (B, 1, H, W) each, grey 0..1 → (B, 1, H, W): has each pixel that noise in it? Logits."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(4, 1, [8, 12, 16, 24])

    def forward(self, altered: Tensor, noise: Tensor) -> Tensor:
        alike = torch.cat([(altered - noise).abs(), 4 * (altered - 0.5) * (noise - 0.5)], 1)
        out: Tensor = self.unet(torch.cat([altered, noise, alike], 1))[0].float()
        return out


class Polish(nn.Module):
    """Altered and undone print (B, 1, H, W) each, grey 0..1, and which pixels were moved, 0 or 1 → the repaired print and the
    probability that a pixel of the undone one is not the real one's. Pixels below SURE keep the undone one's value exactly."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.unet = UNet(3, 2, widths)

    def forward(self, altered: Tensor, undone: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.sigmoid(self.unet(torch.cat([altered, undone, moved], 1))[0].float())
        proposal, damage = both[:, :1], both[:, 1:]
        gate = damage if self.training else damage * (damage > SURE)
        return undone + gate * (proposal - undone), damage


class UndoNet(nn.Module):
    FOLDED = (("turn.worth", "exp", torch.log),)  # what repair-1 holds in another form: its name there, and the way back

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.find = Find([2 * w for w in widths])
        self.rim, self.turn, self.cut = Rim(), TurnJudge(), CutJudge()
        self.blot = Blot()
        self.polish = Polish(widths)


def build(model: Model, height: int, width: int, classes: int) -> UndoNet:
    if len(model.widths) != 4:
        raise FpmlError(f"model.widths is {model.widths}; the networks that undo take four numbers, as [16, 32, 64, 80]")
    return UndoNet(model.widths)


class Exported(nn.Module):
    """The networks as they are registered: one model, of whose outputs a caller asks for those that it wants.

    prints, altered, undone (B, 1, H, W) uint8 and moved, 0 or 1, uint8; noises (K, 2, H, W) uint8, a print and a noise; H and W
    multiples of 16; rims (K, 2, 14, 120), turns (K, 2, 20, 120) and cuts (K, 2, 14, 240) float32. → labels, votes, cover, kinds
    of find; rim (K, 2, 60); turned (K, 4) and cut (K,) of the judges; covered (K, 1, H, W) of blot, 0..1; repaired and wrong of
    polish."""

    INPUTS = ("prints", "altered", "undone", "moved", "noises", "rims", "turns", "cuts")
    OUTPUTS = ("labels", "votes", "cover", "kinds", "rim", "turned", "cut", "covered", "repaired", "wrong")

    def __init__(self, network: UndoNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        prints: Tensor,
        altered: Tensor,
        undone: Tensor,
        moved: Tensor,
        noises: Tensor,
        rims: Tensor,
        turns: Tensor,
        cuts: Tensor,
    ) -> tuple[Tensor, ...]:
        judged = self.network.rim(rims), self.network.turn(turns), self.network.cut(cuts)
        return *self.found(prints), *judged, self.covered(noises), *self.painted(altered, undone, moved)

    def found(self, prints: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self.network.find(prints.float() / 255)
        return found

    def covered(self, noises: Tensor) -> Tensor:
        return torch.sigmoid(self.network.blot(noises[:, :1].float() / 255, noises[:, 1:].float() / 255))

    def painted(self, altered: Tensor, undone: Tensor, moved: Tensor) -> tuple[Tensor, ...]:
        painted: tuple[Tensor, ...] = self.network.polish(altered.float() / 255, undone.float() / 255, moved.float())
        return painted


def examples(prints: Tensor) -> dict[str, Tensor]:
    """Inputs of Exported made of some pictures (B, 1, H, W) uint8. No two are one: the exporter would make one of them."""
    height, width = (side - side % 16 for side in prints.shape[-2:])
    pictures = prints[..., :height, :width]
    strips = {name: torch.rand(2, 2, *shape) for name, shape in STRIPS.items()}
    return {
        "prints": pictures, "altered": pictures.flip(2), "undone": pictures.flip(3), "moved": (pictures > 128).to(torch.uint8),
        "noises": torch.cat([pictures, 255 - pictures], 1), **strips,
    }  # fmt: skip
