"""One impression: how the finger was laid down this time, and what the sensor made of it."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fpml.synth.field import DPI, HEIGHT, WIDTH, Finger
from fpml.synth.sensors import Sensor


@dataclass(frozen=True)
class Capture:
    """The drawn circumstances of one impression; lengths in pixels at 500 dpi, angles in radians."""

    seed: tuple[int, int, int, int]  # (seed of the set, finger, impression, sensor's salt)
    rotation: float  # normal, 8 degrees
    shift_x: float  # normal, 16
    shift_y: float  # normal, 24
    wetness: float  # normal, 0.22: below 0 dry and thin ridges, above 0 wet and thick ones
    area: float  # uniform 0.78-1.06: size of the contact area
    push_x: float  # normal, 5: skin distortion by traction
    push_y: float  # normal, 7
    twist: float  # normal, 2 degrees: skin distortion by torsion
    scratches: int  # Poisson, 0.7

    def row(self) -> dict[str, float]:
        return {k: v for k, v in asdict(self).items() if k != "seed"}


def draw_capture(finger: Finger, impression: int, salt: int) -> Capture:
    seed = (*finger.seed, impression, salt)
    rng = np.random.default_rng(np.random.SeedSequence([*seed, 3]))
    return Capture(
        seed=seed,
        rotation=float(rng.normal(0, np.deg2rad(8))),
        shift_x=float(rng.normal(0, 16)),
        shift_y=float(rng.normal(0, 24)),
        wetness=float(np.clip(rng.normal(0, 0.22), -0.5, 0.5)),
        area=float(rng.uniform(0.78, 1.06)),
        push_x=float(rng.normal(0, 5)),
        push_y=float(rng.normal(0, 7)),
        twist=float(rng.normal(0, np.deg2rad(2))),
        scratches=int(rng.poisson(0.7)),
    )


def _noise(rng: np.random.Generator, height: int, width: int, period: float, device: torch.device | str) -> Tensor:
    """Smooth noise (height, width), standard deviation about 1, with bumps of `period` pixels."""
    rows, columns = max(2, round(height / period)), max(2, round(width / period))
    coarse = torch.from_numpy(rng.standard_normal((1, 1, rows, columns), dtype=np.float32)).to(device)
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0, 0] * 1.25


def _skin(x: Tensor, y: Tensor, capture: Capture, contact: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Where on the finger each place of the plate touches: Cappelli's distortion model.

    Inside an ellipse skin sticks (rigid); outside it slides with traction and torsion, the more the
    farther from it, up to the full displacement about one ellipse further out."""
    a, b = 0.45 * contact[0], 0.45 * contact[1]
    far = torch.sqrt((x / a).square() + (y / b).square()) - 1
    slide = 0.5 * (1 - torch.cos(torch.pi * far.clamp(0, 1.2) / 1.2))
    turn_x, turn_y = -y * capture.twist, x * capture.twist
    x, y = x + slide * (capture.push_x + turn_x), y + slide * (capture.push_y + turn_y)
    c, s = float(np.cos(capture.rotation)), float(np.sin(capture.rotation))
    return c * x + s * y + capture.shift_x, -s * x + c * y + capture.shift_y


def render(master: Tensor, capture: Capture, sensor: Sensor) -> tuple[Tensor, Tensor]:
    """The picture, (sensor height, width) uint8, and its contact mask, the same shape, bool."""
    device = master.device
    border = sensor.border
    height, width = sensor.height - 3 * border, sensor.width - 3 * border
    rng = np.random.default_rng(np.random.SeedSequence([*capture.seed, 4]))
    scale = DPI / sensor.dpi  # master pixels in a sensor pixel
    x = ((torch.arange(width, device=device) + 0.5 - width / 2) * scale)[None, :]
    y = ((height / 2 - torch.arange(height, device=device) - 0.5) * scale)[:, None]
    on_x, on_y = _skin(x, y, capture, sensor.contact)
    # Where a sensor pixel covers several master pixels the finger is averaged first, not skipped over.
    if scale > 1.5:
        master = F.avg_pool2d(master[None, None], 3, 1, 1)[0, 0]
    grid = torch.stack([on_x / (WIDTH / 2), -on_y / (HEIGHT / 2)], -1)[None]
    ridges = F.grid_sample(master[None, None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0, 0]

    # Contact: an egg, wider below, with an uneven edge that follows the pressure.
    half_w, half_h = (c * capture.area for c in sensor.contact)
    lean = 1 + 0.12 * (-on_y / half_h).clamp(-1, 1)
    radius = ((on_x / (half_w * lean)).abs().pow(2.3) + (on_y / half_h).abs().pow(2.3)).pow(1 / 2.3)
    uneven = _noise(rng, height, width, 80 / scale, device)
    edge = (1 - radius) * 8 + 0.45 * uneven + 0.35 * _noise(rng, height, width, 9 / scale, device)

    # Ridge thickness: wetness, pressure (less at the rim, uneven inside) and the skin's own small bumps.
    pressure = 0.16 * uneven + 0.20 * _noise(rng, height, width, 25 / scale, device)
    bumps = _noise(rng, height, width, 5 / scale, device)
    fine = _noise(rng, height, width, max(1.0, 2.5 / scale), device)
    rim = -0.45 * torch.exp(-edge.clamp(min=0) / 0.9)
    contact = ridges + capture.wetness + pressure + rim + (0.22 + 0.25 * max(0.0, -capture.wetness)) * bumps
    pores = fine > 2.1 - 0.5 * max(0.0, -capture.wetness)
    contact = contact - 1.1 * pores
    ink = torch.sigmoid(sensor.sharpness * contact) * torch.sigmoid(5 * edge)
    for _ in range(capture.scratches):
        ink = ink * _scratch(rng, on_x, on_y)
    # Specks that are no finger: residue of the one before, dust.
    ink = ink + 0.18 * torch.sigmoid(9 * (fine + bumps - 3.6)) * torch.sigmoid(1.5 * edge + 2)

    corners = (x / (width * scale / 2)).square() + (y / (height * scale / 2)).square()
    plate = sensor.background - sensor.vignette * corners / 2
    grey = plate + (sensor.ridge - plate) * ink.clamp(0, 1)
    grey = _blur(grey, sensor.blur)
    white = torch.from_numpy(rng.standard_normal((height, width), dtype=np.float32)).to(device)
    columns = torch.from_numpy(rng.standard_normal((1, width), dtype=np.float32)).to(device)
    grey = grey + sensor.grain * white * (0.4 + 0.6 * ink) + sensor.stripes * columns
    picture, mask = grey.clamp(0, 255).round().to(torch.uint8), edge > 0
    if border:  # two grey pixels above and left; black strips below and right, as SOCOFing's files have them
        picture = F.pad(F.pad(picture[None], (border, 0, border, 0), value=160), (0, 2 * border, 0, 2 * border))[0]
        mask = F.pad(mask[None], (border, 2 * border, border, 2 * border))[0]
    return picture, mask


def _scratch(rng: np.random.Generator, x: Tensor, y: Tensor) -> Tensor:
    """A straight worn line across the finger: factor 0..1 on the ink."""
    angle, offset, half = rng.uniform(0, np.pi), rng.normal(0, 60), rng.uniform(0.8, 2.6)
    middle, length = rng.normal(0, 60), rng.uniform(30, 110)
    across = x * float(np.sin(angle)) - y * float(np.cos(angle)) - offset
    along = x * float(np.cos(angle)) + y * float(np.sin(angle)) - middle
    return 1 - torch.exp(-((across / half) ** 2) / 2) * torch.sigmoid((length - along.abs()) / 6)


def _blur(grey: Tensor, sigma: float) -> Tensor:
    places = torch.arange(-4, 5, device=grey.device, dtype=torch.float32)
    kernel = torch.exp(-((places / sigma) ** 2) / 2)
    kernel = kernel / kernel.sum()
    grey = F.conv2d(F.pad(grey[None, None], (4, 4, 4, 4), mode="replicate"), kernel[None, None, None, :])
    return F.conv2d(grey, kernel[None, None, :, None])[0, 0]
