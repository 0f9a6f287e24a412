"""What can be read off a print's ridges: their orientation, and the answers of a bank of Gabor filters."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ANGLES = 16  # of the bank, evenly over half a turn


def ridge_period(dpi: float) -> float:
    """Pixels between ridges: about 9 at 500 dpi."""
    return 9 * dpi / 500


def orientation(prints: Tensor, dpi: float) -> tuple[Tensor, Tensor]:
    """The ridges' orientation (radians in 0..pi, against the x axis, y down) and its coherence (0..1), each (B, H, W).

    prints: (B, 1, H, W). By the averaged squared gradients (Kass and Witkin 1987; Bazen and Gerez 2002) over two periods."""
    sobel = prints.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernel = torch.stack([sobel, sobel.T])[:, None]
    gx, gy = F.conv2d(F.pad(prints, (1, 1, 1, 1), mode="replicate"), kernel).unbind(1)
    squared = blur(torch.stack([gx * gx - gy * gy, 2 * gx * gy, gx * gx + gy * gy], 1), 2 * ridge_period(dpi) / 2)
    double = torch.atan2(squared[:, 1], squared[:, 0])
    coherence = squared[:, :2].norm(dim=1) / squared[:, 2].clamp(min=1e-9)
    return torch.remainder(double / 2 + torch.pi / 2, torch.pi), coherence.clamp(max=1)


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian over each channel of (B, C, H, W)."""
    reach = max(1, int(3 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    line = torch.exp(-(x**2) / (2 * sigma**2))
    line = (line / line.sum()).expand(maps.shape[1], 1, 1, -1)
    maps = F.conv2d(F.pad(maps, (reach, reach, 0, 0), mode="replicate"), line, groups=maps.shape[1])
    return F.conv2d(F.pad(maps, (0, 0, reach, reach), mode="replicate"), line.transpose(2, 3), groups=maps.shape[1])


def gabor_answers(prints: Tensor, dpi: float) -> Tensor:
    """The bank's answers (B, ANGLES, H, W) to prints (B, 1, H, W): even Gabor filters of one ridge period, the k-th for
    ridges at k * pi / ANGLES; each filter sums to zero and its absolute weights to one."""
    period = ridge_period(dpi)
    sigma = 0.45 * period
    reach = max(2, round(3 * sigma))
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1, dtype=torch.float32)] * 2, indexing="ij")
    bank = []
    for k in range(ANGLES):
        angle = torch.pi * k / ANGLES
        across = -x * np.sin(angle) + y * np.cos(angle)
        envelope = torch.exp(-(x**2 + y**2) / (2 * sigma**2))
        filter_ = envelope * torch.cos(2 * torch.pi * across / period)
        filter_ = filter_ - envelope * filter_.sum() / envelope.sum()
        bank.append(filter_ / filter_.abs().sum())
    padded = F.pad(prints, (reach,) * 4, mode="replicate")
    return F.conv2d(padded, torch.stack(bank)[:, None].to(prints))


def gabor_enhanced(prints: Tensor, dpi: float) -> Tensor:
    """Prints (B, 1, H, W) in 0..1 with each pixel the answer of the filter that lies along its ridge (Hong, Wan and Jain
    1998), its contrast brought to that of the local print."""
    theta, _ = orientation(prints, dpi)
    answers = gabor_answers(prints, dpi)
    place = theta / torch.pi * ANGLES
    low = place.floor().long() % ANGLES
    share = place - place.floor()
    along = (
        answers.gather(1, low[:, None]) * (1 - share[:, None])
        + answers.gather(1, ((low + 1) % ANGLES)[:, None]) * share[:, None]
    )
    reach = 2 * ridge_period(dpi)
    mean = blur(prints, reach)
    contrast = (blur(prints**2, reach) - mean**2).clamp(min=0).sqrt()
    return (mean + contrast * along / blur(along**2, reach).sqrt().clamp(min=1e-4)).clamp(0, 1)


def coarseness(prints: Tensor) -> Tensor:
    """The mean wavelength of prints (B, 1, H, W) in pixels, (B,): the radial mean of the spectrum's power between 2.5 and 25
    pixels, where ridges lie."""
    height, width = prints.shape[-2:]
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)[None]
    level = prints[:, 0] - prints[:, 0].mean((1, 2), keepdim=True)
    power = torch.fft.rfft2(level * window).abs().square()
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius = torch.sqrt(fy**2 + fx**2)
    inside = ((radius > 1 / 25) & (radius < 1 / 2.5)).float()
    frequency = (power * inside * radius).sum((1, 2)) / (power * inside).sum((1, 2)).clamp(min=1e-12)
    wavelength: Tensor = 1 / frequency.clamp(min=1 / 25)
    return wavelength
