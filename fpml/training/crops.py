"""Crops of prints for training: cut, turned, spoilt as sensors and skin spoil them, with what the network should say."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.noise import blur
from fpml.synth.stream import Example
from fpml.synth.truth import BLOCK

CELL = 4  # pixels: the stride at which minutiae are read
SPREAD = 3.2  # pixels, standard deviation of the Gaussian round a minutia, within which a wrong cell costs less
NEAR = 7.5  # pixels: cells so near learn its place, direction and type
DOUBTFUL = 13.0  # pixels round a minutia that can't be asked for
SHALLOW, UNCLEAR = 9.0, 0.06  # depth (pixels) and clarity below which a minutia is doubtful


@dataclass(frozen=True)
class Crops:
    """A batch. S: side in pixels; h = S / 4; N: the largest number of minutiae in a crop."""

    pictures: Tensor  # (B, 1, S, S) float32, grey
    mask: Tensor  # (B, S / 8, S / 8) float32, 1 skin
    orientation: Tensor  # (B, S / 8, S / 8) float32, radians
    period: Tensor  # (B, S / 8, S / 8) float32, pixels
    heat: Tensor  # (B, h, h) float32: 1 on a minutia, falling to 0 round it
    weight: Tensor  # (B, h, h) float32: 0 where it can't be said whether there is one
    centre: Tensor  # (B, h, h) bool: the cells that hold one
    near: Tensor  # (B, h, h) bool: the cells that learn the nearest one's
    offset: Tensor  # (B, 2, h, h) x and y of the nearest from the middle of the cell, in cells
    direction: Tensor  # (B, 2, h, h) cosine and sine


def cut(examples: list[Example], side: int, rng: np.random.Generator) -> list[Example]:
    """A crop of each, side x side, mostly of skin, turned and mirrored at random."""
    return [_turned(_cut_one(example, side, rng), rng) for example in examples]


def _cut_one(example: Example, side: int, rng: np.random.Generator) -> Example:
    height, width = example.mask.shape
    if min(height, width) < side:  # a small print is laid on a larger plate of its own grey
        return _cut_one(padded(example, max(height, side), max(width, side)), side, rng)
    for _ in range(5):
        top, left = (BLOCK * int(rng.integers(0, (size - side) // BLOCK + 1)) for size in (height, width))
        skin = example.mask[top : top + side : BLOCK, left : left + side : BLOCK].mean()
        if skin > 0.45 or (skin > 0.1 and rng.random() < 0.3):
            break
    here = np.s_[top : top + side, left : left + side]
    blocks = np.s_[top // BLOCK : (top + side) // BLOCK, left // BLOCK : (left + side) // BLOCK]
    minutiae = example.minutiae - np.array([left, top, 0, 0, 0, 0, 0], np.float32)
    inside = ((minutiae[:, :2] > -BLOCK) & (minutiae[:, :2] < side + BLOCK)).all(1)
    return Example(
        example.picture[here], example.mask[here], example.orientation[blocks], example.period[blocks], minutiae[inside]
    )


def padded(example: Example, height: int, width: int) -> Example:
    """A print laid on a larger plate, its own grey drawn out to the right and below."""
    below, right = height - example.mask.shape[0], width - example.mask.shape[1]
    picture = np.pad(example.picture, ((0, below), (0, right)), mode="edge")
    theta, period = (
        np.pad(f, ((0, below // BLOCK), (0, right // BLOCK)), mode="edge") for f in (example.orientation, example.period)
    )
    return Example(picture, np.pad(example.mask, ((0, below), (0, right))), theta, period, example.minutiae)


def _turned(crop: Example, rng: np.random.Generator) -> Example:
    """Mirrored (another finger, as good to learn from) and turned by quarters, counter-clockwise."""
    picture, mask, theta, period = crop.picture, crop.mask, crop.orientation, crop.period
    minutiae, last = crop.minutiae.copy(), len(crop.picture) - 1
    if rng.random() < 0.5:
        picture, mask, theta, period = picture[:, ::-1], mask[:, ::-1], np.pi - theta[:, ::-1], period[:, ::-1]
        minutiae[:, 0], minutiae[:, 2] = last - minutiae[:, 0], np.pi - minutiae[:, 2]
    for _ in range(int(rng.integers(4)) if rng.random() < 0.5 else 0):
        picture, mask, theta, period = np.rot90(picture), np.rot90(mask), np.rot90(theta) + np.pi / 2, np.rot90(period)
        minutiae[:, 0], minutiae[:, 1] = minutiae[:, 1].copy(), last - minutiae[:, 0]
        minutiae[:, 2] += np.pi / 2
    return Example(picture, mask, theta, period, minutiae)


def batch(crops: list[Example], generator: torch.Generator, spoil: bool) -> Crops:
    """Crops as a batch on the generator's device. spoil: as in training; else as they are."""
    device = generator.device

    def stacked(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack([np.ascontiguousarray(a) for a in arrays])).to(device).float()

    pictures = stacked([c.picture for c in crops])[:, None]
    masks = stacked([c.mask for c in crops])
    most = max(1, *(len(c.minutiae) for c in crops))
    minutiae = stacked([np.pad(c.minutiae, ((0, most - len(c.minutiae)), (0, 0))) for c in crops])
    there = stacked([np.arange(most) < len(c.minutiae) for c in crops]) > 0
    hidden = torch.zeros_like(there)
    if spoil:
        pictures, minutiae, hidden = spoilt(pictures, masks, minutiae, generator)
    x, y, angle, _, clarity, depth, _ = minutiae.unbind(2)
    asked = there & (depth >= SHALLOW) & (clarity >= UNCLEAR) & ~hidden
    side = pictures.shape[2] // CELL
    middles = torch.arange(side, device=device) * CELL + (CELL - 1) / 2
    across, down = x[..., None] - middles, y[..., None] - middles  # (B, N, side)
    far = down.square()[..., :, None] + across.square()[..., None, :]  # (B, N, side, side)
    wanted = torch.where(asked[..., None, None], far, torch.inf)
    least, which = wanted.min(1)
    doubt = torch.where((there & ~asked)[..., None, None], far, torch.inf).amin(1) < DOUBTFUL**2
    heat = torch.exp(-least / (2 * SPREAD**2))
    cells = torch.stack([x, y], -1).div(CELL).floor().long()
    seen = asked & ((cells >= 0) & (cells < side)).all(-1)
    centre = torch.zeros_like(heat, dtype=torch.bool)
    rows = torch.nonzero(seen)
    centre[rows[:, 0], cells[seen][:, 1], cells[seen][:, 0]] = True

    def nearest(values: Tensor) -> Tensor:
        return values.gather(1, which.flatten(1)).view_as(which)

    offset = torch.stack([(nearest(x) - middles) / CELL, (nearest(y) - middles[:, None]) / CELL], 1)
    return Crops(
        pictures=pictures.contiguous(memory_format=torch.channels_last),
        mask=masks[:, BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK],
        orientation=stacked([c.orientation for c in crops]), period=stacked([c.period for c in crops]),
        heat=heat, weight=torch.where(doubt & (heat < 0.5), 0.0, 1.0), centre=centre, near=least < NEAR**2,
        offset=offset, direction=torch.stack([nearest(angle.cos()), nearest(angle.sin())], 1),
    )  # fmt: skip


def spoilt(pictures: Tensor, masks: Tensor, minutiae: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (B, 1, S, S) as worse sensors and skin would give them; the minutiae, whose type changes where greys are
    inverted; and which of them are hidden, bool (B, N)."""
    count, side, device = len(pictures), pictures.shape[-1], pictures.device

    def u(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator, device=device)

    def on(share: float) -> Tensor:
        return u(0, 1) < share

    def one(low: float, high: float) -> float:
        return float(low + (high - low) * torch.rand((), generator=generator, device=device))

    def white(size: int = side) -> Tensor:
        return torch.randn(count, 1, size, size, generator=generator, device=device)

    def smooth() -> Tensor:
        """Noise of 2 to 9 bumps across a crop."""
        return F.interpolate(white(int(one(2, 9))), (side, side), mode="bicubic", align_corners=True)

    def softened(maps: Tensor, sigma: float) -> Tensor:
        return blur(maps[:, 0], sigma)[:, None]

    contrast = pictures.std((2, 3), keepdim=True) + 2
    plate = 1 - masks[:, None]
    # What lies on the plate beside the finger: other prints, smears.
    outside = softened(plate, 2.0)
    other = pictures.roll(1, 0).flip(3 if one(0, 1) < 0.5 else 2)
    pictures = torch.where(on(0.2), torch.lerp(pictures, other, outside * u(0.1, 0.8)), pictures)
    smear = u(0.5, 3) * contrast * smooth() * torch.sigmoid(2 * smooth())
    pictures = torch.where(on(0.2), pictures + outside * smear, pictures)
    # The ghost of another finger, over the whole.
    pictures = torch.where(
        on(0.12), torch.minimum(pictures, torch.lerp(pictures.amax((2, 3), keepdim=True), other, u(0.1, 0.4))), pictures
    )
    # Wet and dry: ridges thickened and thinned, unevenly; twice where it is very wet.
    share = torch.sigmoid(3 * smooth()) * u(0.3, 1)
    thick, thin = _darkest(pictures), -_darkest(-pictures)
    kind = u(0, 1)
    pictures = torch.where(kind < 0.17, torch.lerp(pictures, thick, share), pictures)
    pictures = torch.where((kind > 0.17) & (kind < 0.34), torch.lerp(pictures, thin, share), pictures)
    again = torch.where(kind < 0.09, _darkest(pictures), -_darkest(-pictures))
    pictures = torch.where((kind < 0.05) | ((kind > 0.17) & (kind < 0.22)), torch.lerp(pictures, again, 0.7 * share), pictures)
    # Grain at two sizes, blur, lost resolution.
    pictures = pictures + torch.where(on(0.4), u(0, 0.4), 0.0) * contrast * white()
    pictures = pictures + torch.where(on(0.3), u(0, 1.6), 0.0) * contrast * softened(white(), 1.3)
    pictures = torch.where(on(0.4), torch.lerp(pictures, softened(pictures, one(0.5, 1.7)), u(0.3, 1)), pictures)
    if one(0, 1) < 0.25:
        small = F.interpolate(pictures, scale_factor=one(0.5, 0.8), mode="bilinear", antialias=True)
        pictures = torch.where(on(0.5), F.interpolate(small, (side, side), mode="bilinear"), pictures)
    # Contrast lost in places, smudges.
    mean = F.interpolate(softened(F.avg_pool2d(pictures, 8), 3.0), (side, side), mode="bilinear")
    lost = torch.where(on(0.4), torch.sigmoid(3 * smooth() - 0.5) * u(0.4, 0.97), 0.0)
    pictures = mean + (pictures - mean) * (1 - lost)
    pictures = pictures + torch.where(on(0.4), u(0, 1.2), 0.0) * contrast * smooth()
    # A patch or a scratch of even grey: what lies beneath is not asked for.
    pictures, hidden = _covered(pictures, minutiae, generator)
    # Gain: gamma, clipping, inversion, range.
    pictures = (pictures / 255).clamp(0, 1) ** torch.exp(u(-0.6, 0.6)) * 255
    pictures = torch.where(on(0.2), ((pictures - 128) * u(1, 3) + 128 + u(-50, 50)).clamp(0, 255), pictures)
    inverted = on(0.06)
    pictures = torch.where(inverted, 255 - pictures, pictures) * u(0.4, 1) + u(0, 60)
    ending = torch.where(inverted[:, 0, 0], 1 - minutiae[..., 3], minutiae[..., 3])
    return pictures, torch.cat([minutiae[..., :3], ending[..., None], minutiae[..., 4:]], -1), hidden


def _darkest(pictures: Tensor) -> Tensor:
    """The darkest of each 3 x 3 pixels: what max_pool2d gives of the negative, and quicker on a CPU."""
    for axis in (2, 3):
        size = pictures.shape[axis]
        wide = F.pad(pictures, (1, 1, 0, 0) if axis == 3 else (0, 0, 1, 1), mode="replicate")
        pictures = torch.minimum(torch.minimum(wide.narrow(axis, 0, size), wide.narrow(axis, 2, size)), pictures)
    return pictures


def _covered(pictures: Tensor, minutiae: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some pictures with an ellipse of even grey: broad (a patch), or long and thin (a scratch, which hides no minutia)."""
    count, side, device = len(pictures), pictures.shape[-1], pictures.device
    draw = torch.rand(count, 8, generator=generator, device=device)
    kind, x, y, turn, long, short, grey, opaque = draw.unbind(1)
    patch = kind < 0.12
    long = torch.where(patch, 8 + 32 * long, 30 + 120 * long)
    short = torch.where(patch, 8 + 22 * short, 1.2 + 2.8 * short)
    c, s = (torch.pi * turn).cos(), (torch.pi * turn).sin()

    def inside(px: Tensor, py: Tensor) -> Tensor:
        shape = (count, *[1] * (px.dim() - 1))
        dx, dy = px - (x * side).view(shape), py - (y * side).view(shape)
        cc, ss = c.view(shape), s.view(shape)
        along, across = (cc * dx + ss * dy) / long.view(shape), (cc * dy - ss * dx) / short.view(shape)
        return along.square() + across.square() < 1

    at = torch.arange(side, device=device, dtype=torch.float32)
    where = inside(at.view(1, 1, 1, -1), at.view(1, 1, -1, 1)) & (kind < 0.25).view(-1, 1, 1, 1)
    dark, light = (v.view(-1, 1, 1, 1) for v in (pictures.amin((1, 2, 3)), pictures.amax((1, 2, 3))))
    fill = torch.lerp(dark, light, grey.view(-1, 1, 1, 1).mul(2).round() / 2)
    pictures = torch.where(where, torch.lerp(pictures, fill, 0.6 + 0.4 * opaque.view(-1, 1, 1, 1)), pictures)
    return pictures, inside(minutiae[..., 0], minutiae[..., 1]) & patch[:, None]
