"""All figures, in one look. Grey pictures are shown with fixed limits, errors too."""

from pathlib import Path
from typing import IO

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

plt.style.use(Path(__file__).with_name("fpml.mplstyle"))
ERROR_TOP = 96  # grey levels at which the error map is fully lit


def save(figure: plt.Figure, path: Path | IO[bytes]) -> None:
    figure.savefig(path, format="png", metadata={"Software": None})  # same picture, same bytes
    plt.close(figure)


def _bare(axis: plt.Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def reconstructions(prints: np.ndarray, outputs: np.ndarray, title: str, path: Path | IO[bytes]) -> None:
    """Originals, reconstructions and error maps, one above the other; both inputs uint8 (N, H, W)."""
    count = len(prints)
    figure, axes = plt.subplots(3, count, figsize=(1.5 * count + 0.9, 4.9), squeeze=False)
    errors = np.abs(prints.astype(int) - outputs.astype(int))
    for column in range(count):
        axes[0, column].imshow(prints[column], cmap="gray", vmin=0, vmax=255)
        axes[1, column].imshow(outputs[column], cmap="gray", vmin=0, vmax=255)
        shown = axes[2, column].imshow(errors[column], cmap="magma", vmin=0, vmax=ERROR_TOP)
        for axis in axes[:, column]:
            _bare(axis)
    for row, name in enumerate(("original", "reconstruction", "error")):
        axes[row, 0].set_ylabel(name)
    figure.colorbar(shown, ax=axes[2, :].tolist(), label="grey levels", fraction=0.03, pad=0.02)
    figure.suptitle(title)
    save(figure, path)


def losses(history: pd.DataFrame, title: str, path: Path | IO[bytes]) -> None:
    figure, axis = plt.subplots(figsize=(6, 3.6))
    axis.plot(history["epoch"], history["train/loss"], label="training prints")
    axis.plot(history["epoch"], history["validation/loss"], label="validation prints")
    axis.set(xlabel="epoch", ylabel="mean squared error", yscale="log", title=title)
    axis.legend()
    save(figure, path)


def heat_map(table: pd.DataFrame, title: str, label: str, path: Path | IO[bytes]) -> None:
    """Rows: trained on; columns: tested on."""
    figure, axis = plt.subplots(figsize=(1.05 * len(table.columns) + 2.6, 0.7 * len(table) + 2.4))
    values = table.to_numpy(float)
    shown = axis.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "black" if value > middle else "white"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(table.columns)), table.columns, rotation=35, ha="right")
    axis.set_yticks(range(len(table)), table.index)
    axis.set(xlabel="tested on", ylabel="trained on", title=title)
    axis.grid(False)
    figure.colorbar(shown, label=label)
    save(figure, path)


def matrix(table: pd.DataFrame, trained_on: str) -> pd.DataFrame:
    """One row of the train-sensor x test-sensor matrix: PSNR in the mask for every sensor."""
    own = table[(table["method"] == "model") & (table["metric"] == "psnr_mask")]
    return pd.DataFrame([dict(zip(own["sensor"], own["value"], strict=True))], index=[trained_on])


def examples(prints: list[np.ndarray], title: str, path: Path | IO[bytes]) -> None:
    """Some prints of one sensor side by side, at their own size."""
    figure, axes = plt.subplots(1, len(prints), figsize=(1.7 * len(prints), 2.5), squeeze=False)
    for axis, picture in zip(axes[0], prints, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        _bare(axis)
    figure.suptitle(title)
    save(figure, path)
