"""How well prints are given back: MSE, PSNR and SSIM, over the picture and inside the print's mask.

Every number stands beside two baselines: PCA with as many components as the code has numbers (or as the
training prints allow), and a low-pass copy of the print itself.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fpml.data.store import Prepared
from fpml.metrics.baselines import PictureToPicture
from fpml.metrics.intervals import bootstrap
from fpml.metrics.table import METRICS as SHOWN

METRICS = ("mse", "psnr", "ssim", "mse_mask", "psnr_mask", "ssim_mask")
BATCH = 32


def score(output: Tensor, prints: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """The metrics of each print, (B,); all inputs (B, 1, H, W), grey 0..1, masks 0 or 1.

    SSIM with the Gaussian 11 x 11 window, sigma 1.5, range 1 (Wang et al. 2004); PSNR in dB. A print whose
    mask is empty has nan inside it."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    error = (output - prints).square()
    similar = ssim(output, prints, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True)[1]
    inside = masks.sum((1, 2, 3))
    out = {"mse": error.mean((1, 2, 3)), "ssim": similar.mean((1, 2, 3))}
    out |= {"mse_mask": (error * masks).sum((1, 2, 3)) / inside, "ssim_mask": (similar * masks).sum((1, 2, 3)) / inside}
    for where in ("", "_mask"):
        out[f"psnr{where}"] = -10 * torch.log10(out[f"mse{where}"].clamp(min=1e-10))
    return out


@torch.inference_mode()
def score_all(methods: dict[str, PictureToPicture], prints: Prepared, rows: np.ndarray, device: torch.device) -> pd.DataFrame:
    """A row for each print and method: row (in the prepared set), method, and METRICS."""
    from fpml.base.progress import progress

    parts: list[pd.DataFrame] = []
    starts = range(0, len(rows), BATCH)
    for start in progress(starts, "evaluate", len(starts), "batches"):
        here = rows[start : start + BATCH]
        batch = to_float(prints.take(here), device)
        masks = torch.from_numpy(prints.take(here, "masks"))[:, None].float().to(device)
        for name, reconstruct in methods.items():
            scores = score(reconstruct(batch).float(), batch, masks)
            parts.append(pd.DataFrame({"row": here, "method": name, **{k: scores[k].cpu().numpy() for k in METRICS}}))
    return pd.concat(parts, ignore_index=True)


def to_float(prints: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (B, H, W) → float 0..1 (B, 1, H, W), channels last."""
    out = torch.from_numpy(prints)[:, None].to(device).float() / 255
    return out.contiguous(memory_format=torch.channels_last)


def to_bytes(prints: Tensor) -> np.ndarray:
    """Float (B, 1, H, W) in 0..1 → uint8 (B, H, W)."""
    return (prints[:, 0].float().clamp(0, 1) * 255).round().byte().cpu().numpy()


def summarise(scores: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """The mean of each metric by part, side and method, with its interval, and over how many prints and fingers it is: those
    that have it, which in an empty mask none has.

    A metric that a method does not have (nan for all its prints) gets no row."""
    rows: list[dict[str, Any]] = []
    metrics = [m for m in SHOWN if m in scores]
    for (side, name, method), part in scores.groupby(["side", "part", "method"], sort=True):
        for metric in metrics:
            values, fingers = part[metric].to_numpy(float), part["finger_id"].to_numpy(object)
            known = np.isfinite(values)
            if not known.any():
                continue
            low, high = bootstrap(values, fingers, resamples)
            rows.append({
                "side": side, "part": name, "method": method, "metric": metric, "value": float(values[known].mean()),
                "low": low, "high": high, "prints": int(known.sum()), "fingers": len(set(fingers[known])),
            })  # fmt: skip
    return pd.DataFrame(rows)
