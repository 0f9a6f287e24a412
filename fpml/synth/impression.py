"""What the sensor made of a finger that lay on it: the skin, its contact with the plate, and the picture.

Everything works on many impressions at once: B of them, each with the skin of its own finger.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.capture import Capture, column, plate_axes, touch
from fpml.synth.field import DPI, HEIGHT, WIDTH, Finger, grid, look_up
from fpml.synth.noise import blur, normal, seed_of, smooth_noise, soften
from fpml.synth.sensors import Sensor

BAND = 190  # rows that are made together on a CPU


def lay_creases(masters: Tensor, fingers: list[Finger]) -> Tensor:
    """The skin, (B, 2, HEIGHT, WIDTH): the masters (B, HEIGHT, WIDTH) with the lasting lines of each finger cut into them,
    and where its pores are."""
    x, y = grid(HEIGHT, WIDTH, masters.device)
    wave = 3 * smooth_noise([seed_of(f.seed, f.number, 4) for f in fingers], 40, HEIGHT, WIDTH, masters.device)
    pores = smooth_noise([seed_of(f.seed, f.number, 3) for f in fingers], 3, HEIGHT, WIDTH, masters.device)
    depth = 2.2 + 0.4 * wave.clamp(-3, 3)
    return torch.stack([masters - depth * _lines([f.creases for f in fingers], x + wave, y + wave), pores], 1)


def render(skins: Tensor, captures: list[Capture], sensor: Sensor) -> tuple[Tensor, Tensor]:
    """The pictures, (B, sensor height, width) uint8, and their contact masks, the same shape, bool.

    skins: (B, 2, HEIGHT, WIDTH), of each impression's finger, as lay_creases makes them."""
    device = skins.device
    scale = DPI / sensor.dpi  # master pixels in a sensor pixel
    # Where a sensor pixel covers several master pixels the finger is averaged first, not skipped over.
    skin = F.avg_pool2d(skins, 3, 1, 1) if scale > 1.5 else skins
    plate_x, plate_y = plate_axes(sensor, device)
    height, width = plate_y.shape[1], plate_x.shape[2]

    def noise(number: int, period: float) -> Tensor:
        return smooth_noise([seed_of(c.seed, number) for c in captures], period, height, width, device)

    white = noise(11, 1)
    fine = soften(white, 0.86 / scale) if scale < 1.5 else white
    fields = [noise(12, 90 / scale), noise(13, 26 / scale), noise(14, 5.5 / scale), fine]
    ink, edge = torch.empty_like(fields[0]), torch.empty_like(fields[0])
    band = BAND if device.type == "cpu" else height
    for top in range(0, height, band):  # so many rows stay in a core's cache through all that is done to them
        rows = slice(top, top + band)
        ink[:, rows], edge[:, rows] = _touch_down(
            skin, captures, sensor, plate_x, plate_y[:, rows], [field[:, rows] for field in fields]
        )

    # What is on the plate besides the finger: dirt, the ghost of the impression before.
    if sensor.dirt:
        ink = torch.maximum(ink, _dirt(sensor, captures, height, width, device))
    if any(c.residue for c in captures):
        ink = torch.maximum(ink, _ghost(skin, captures, sensor, plate_x, plate_y) * torch.sigmoid(2 * fields[1] - 4 * edge))

    plate = _plate(sensor, device)
    grey = blur(torch.lerp(plate, torch.full_like(plate, sensor.ridge), ink), sensor.blur)
    grey = torch.addcmul(grey, white, ink.add_(1), value=sensor.grain / 2)
    pictures, masks = grey.clamp_(0, 255).round_().to(torch.uint8), edge > 0
    if sensor.border:  # two grey pixels above and left; black strips below and right, as SOCOFing's files have them
        b = sensor.border
        pictures = F.pad(F.pad(pictures, (b, 0, b, 0), value=160), (0, 2 * b, 0, 2 * b))
        masks = F.pad(masks, (b, 2 * b, b, 2 * b))
    return pictures, masks


def _touch_down(
    skin: Tensor, captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor, noise: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """How much of a full ridge's grey there is at some rows of the plate, 0..1, and how far inside the contact area
    they are (0: at its edge), both (B, H, W)."""
    uneven, patches, bumps, fine = noise
    device, scale = x.device, DPI / sensor.dpi
    fine = fine / max(1.0, scale / 1.5)  # a coarse pixel averages it
    x, y = touch(captures, sensor, x, y)
    ridges, pores = look_up(skin, x, y, "bicubic").unbind(1)

    # Contact: straight sides, round above, flatter below, with an uneven edge that follows the pressure.
    pressure, wetness = column(captures, "pressure", device), column(captures, "wetness", device)
    half_w, half_h = (c / sensor.magnification * (0.94 + 0.06 * pressure) for c in sensor.contact)
    up = y / half_h
    across = x / (half_w - (0.1 * half_w) * up.clamp(-1, 1))
    cubes = up.square().mul_(up.abs()).add_(across.square().mul_(across.abs()))  # 1 on the outline
    edge = torch.add(3.7 - 3.7 * cubes, uneven, alpha=0.25).add_(patches, alpha=0.18).add_(bumps, alpha=0.3)

    # Ridge thickness: moisture and pressure (less at the rim, uneven inside), the skin's own small bumps.
    local = torch.add(wetness + 0.07 * pressure, uneven, alpha=0.14).add_(patches, alpha=0.14)
    dryness = (-local).clamp_(min=0)
    breaks = sensor.unevenness * column(captures, "breaks", device)
    rough = breaks * ((0.26 + 0.6 * dryness) * bumps + (0.42 + 0.3 * dryness) * fine)
    # What is missing breaks a ridge; what is too much fills a valley only where there is moisture.
    rough = torch.where(rough < 0, rough, rough * (0.55 + local).clamp_(0.3, 1))
    contact = ridges.add_(local, alpha=1.1).add_(rough)
    contact = contact.sub_(torch.exp(edge.clamp(min=0) / -0.7), alpha=0.9)
    if sensor.bridges:
        contact = contact.add_((local - 0.25).clamp_(min=0), alpha=1.2 * sensor.bridges)
    if sensor.pores:  # small holes in the ridges, at the same places of the skin in every impression of a finger
        spots = ((pores + (0.5 * column(captures, "pores", device) - 1.75)) * 2).clamp_(0, 1)
        contact = contact.sub_(spots, alpha=1.6 * sensor.pores)
    if any(c.scratches for c in captures):
        contact = contact.sub_(_lines([_scratches(c) for c in captures], x + 2 * patches, y + 2 * patches), alpha=2.2)
    ink = torch.sigmoid(sensor.sharpness * contact) * torch.sigmoid(4 * edge)
    # A dry ridge is paler: less skin lies on the plate.
    ink = ink * (1 - sensor.response * torch.sigmoid(torch.add(-0.6 - 5 * local, fine, alpha=-0.6)))
    # Specks of sweat round the finger.
    halo = torch.sigmoid(torch.add(8 * fine - 20.8, bumps, alpha=4.8)) * torch.sigmoid(1.2 * edge + 1.5)
    return torch.where(edge < 0.5, torch.maximum(ink, sensor.halo * halo), ink), edge


def _scratches(capture: Capture) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(seed_of(capture.seed, 2))
    return [
        (rng.uniform(0, np.pi), rng.normal(0, 60), rng.normal(0, 60), rng.uniform(20, 90), rng.uniform(0.6, 1.8))
        for _ in range(capture.scratches)
    ]


def _lines(lines: Sequence[Sequence[tuple[float, ...]]], x: Tensor, y: Tensor) -> Tensor:
    """Straight lines with soft sides, some for each of B: (B, H, W) in 0..1. A line is its angle, offset, middle,
    half length and half width, in radians and pixels."""
    total = torch.zeros_like(x + y)
    for index in range(max(map(len, lines))):
        there = [index < len(row) for row in lines]
        values = [row[index] if has else (0.0, 0.0, 0.0, 1.0, 1.0) for row, has in zip(lines, there, strict=True)]
        angle, offset, middle, half_length, half_width = (
            torch.tensor(v, device=x.device, dtype=torch.float32)[:, None, None] for v in zip(*values, strict=True)
        )
        across = y * angle.cos() - x * angle.sin() - offset
        along = x * angle.cos() + y * angle.sin() - middle
        profile = torch.exp((across / half_width).square_().clamp_(max=40) / -2) * torch.sigmoid(
            (half_length - along.abs()) / 6
        )
        total = torch.maximum(total, profile * torch.tensor(there, device=x.device)[:, None, None])
    return total


def _dirt(sensor: Sensor, captures: list[Capture], height: int, width: int, device: torch.device) -> Tensor:
    """Specks on the plate, half of them there in every picture: (B, H, W), share of a full ridge's grey."""
    count = sensor.dirt * height * width / 2000
    fresh = []
    for capture in captures:
        rng = np.random.default_rng(seed_of(capture.seed, 3))
        fresh.append(_specks(rng, int(rng.poisson(count)), height, width))
    return torch.maximum(torch.stack(fresh).to(device), _lasting_dirt(sensor, int(count), height, width).to(device))


@lru_cache(maxsize=32)  # of sensors: of random ones there may be thousands
def _lasting_dirt(sensor: Sensor, count: int, height: int, width: int) -> Tensor:
    return _specks(np.random.default_rng(_sensor_seed(sensor)), count, height, width)


def _specks(rng: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    """(H, W) in 0..1: round spots with soft edges, at most 3 pixels across."""
    out = np.zeros((height + 10, width + 10), np.float32)
    places = np.arange(11, dtype=np.float32) - 5
    down, across, size = rng.uniform(0, (height, width, 1), (count, 3)).T
    dark = rng.uniform(0.1, 0.5, count)
    for y, x, radius, depth in zip(down, across, 0.5 + 1.6 * size**3, dark, strict=True):
        row, column = np.exp(-((places - y % 1) ** 2) / (2 * radius**2)), np.exp(-((places - x % 1) ** 2) / (2 * radius**2))
        window = out[int(y) : int(y) + 11, int(x) : int(x) + 11]
        np.maximum(window, depth * np.outer(row, column), out=window)
    return torch.from_numpy(out[5:-5, 5:-5].copy())


def _ghost(skin: Tensor, captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor) -> Tensor:
    """The faint print that the same finger left when it was lifted the last time: (B, H, W), share of a ridge's grey."""
    before = []
    for capture in captures:
        rng = np.random.default_rng(seed_of(capture.seed, 4))
        turn, right, up = rng.normal(0, 0.2), rng.normal(0, 40), rng.normal(0, 60)
        before.append(Capture(**{**asdict(capture), "rotation": turn, "shift_x": right, "shift_y": up}))
    x, y = touch(before, sensor, x, y)
    left = look_up(skin[:, :1], x, y)[:, 0]
    half_w, half_h = (c / sensor.magnification for c in sensor.contact)
    inside = torch.sigmoid(6 * (1 - (x / half_w).square() - (y / half_h).square()))
    return column(captures, "residue", x.device) * torch.sigmoid(2.5 * left) * inside


def _sensor_seed(sensor: Sensor) -> int:
    return seed_of(*sensor.name.encode())


def _fixed(sensor: Sensor, number: int, height: int, width: int, device: torch.device | str) -> Tensor:
    """Noise that is the sensor's own, the same in every picture: (1, height, width)."""
    return normal([seed_of(_sensor_seed(sensor), number)], height, width, device)


@lru_cache(maxsize=32)  # of sensors: of random ones there may be thousands
def _plate(sensor: Sensor, device: torch.device) -> Tensor:
    """The grey of the empty plate: (1, H, W)."""
    x, y = plate_axes(sensor, device)
    corners = (x / x.abs().amax()).square() + (y / y.abs().amax()).square()
    grey = sensor.background - sensor.vignette * corners / 2
    if sensor.clouds:
        clouds = F.interpolate(_fixed(sensor, 2, 6, 5, device)[None], grey.shape[-2:], mode="bicubic", align_corners=True)[0]
        grey = grey + sensor.clouds * clouds
    if sensor.columns:
        grey = grey + sensor.columns * _fixed(sensor, 1, 1, grey.shape[-1], device)
    return grey
