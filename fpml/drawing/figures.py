"""All figures, in one look. Grey pictures are shown with fixed limits, errors too."""

from pathlib import Path
from typing import IO

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable

from fpml.metrics.table import MODEL

plt.style.use(Path(__file__).with_name("fpml.mplstyle"))
ERROR_TOP = 96  # grey levels at which the error map is fully lit
SHEET_DPI: float = plt.rcParams["savefig.dpi"]  # of sheets of prints, which have no more to show
CHART_DPI = 200.0  # of charts, so that they are sharp when enlarged


def save(figure: plt.Figure, path: Path | IO[bytes], dpi: float = SHEET_DPI) -> None:
    figure.savefig(path, format="png", metadata={"Software": None}, dpi=dpi)  # same picture, same bytes
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
    """Every loss of the history over the epochs."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for column in (c for c in history.columns if "loss" in c):
        axis.plot(history["epoch"], history[column], label=column.replace("/", " "))
    axis.set(xlabel="epoch", ylabel="loss", yscale="log", title=title)
    axis.legend()
    save(figure, path, CHART_DPI)


def heat_map(
    table: pd.DataFrame,
    title: str,
    label: str,
    path: Path | IO[bytes],
    axes: tuple[str, str] = ("tested on", "trained on"),
    digits: int = 1,
) -> None:
    """A number in every cell; axes: what the columns and the rows are."""
    figure, axis = plt.subplots(figsize=(1.05 * len(table.columns) + 2.6, 0.7 * len(table) + 2.4))
    values = table.to_numpy(float)
    shown = axis.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "black" if value > middle else "white"
            axis.text(column, row, f"{value:.{digits}f}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(table.columns)), table.columns, rotation=35, ha="right")
    axis.set_yticks(range(len(table)), table.index)
    axis.set(xlabel=axes[0], ylabel=axes[1], title=title)
    axis.grid(False)
    figure.colorbar(shown, label=label)
    save(figure, path, CHART_DPI)


def rows_of_prints(rows: dict[str, np.ndarray], title: str, path: Path | IO[bytes]) -> None:
    """Named rows of pictures, one above the other, column by column of the same finger; each uint8 (N, H, W)."""
    count = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), count, figsize=(1.5 * count + 0.5, 1.6 * len(rows) + 0.4), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            _bare(axis)
        line[0].set_ylabel(name)
    figure.suptitle(title)
    save(figure, path)


def sheet(prints: np.ndarray, names: list[str], title: str, path: Path | IO[bytes]) -> None:
    """Pictures (N, H, W) uint8 in rows of ten, each under its name."""
    lines = -(-len(prints) // 10)
    figure, axes = plt.subplots(lines, 10, figsize=(10, 1.15 * lines + 0.5), squeeze=False)
    for number, axis in enumerate(axes.ravel()):
        _bare(axis)
        if number < len(prints):
            axis.imshow(prints[number], cmap="gray", vmin=0, vmax=255)
            axis.set_title(names[number], fontsize=6, pad=1, loc="center", fontweight="normal")
    figure.suptitle(title)
    save(figure, path)


def curves(table: pd.DataFrame, title: str, labels: tuple[str, str], path: Path | IO[bytes]) -> None:
    """A line for each column of a table over its index."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for column in table.columns:
        axis.plot(table.index, table[column], marker="o", label=column)
    axis.set(xlabel=labels[0], ylabel=labels[1], title=title)
    axis.legend()
    save(figure, path, CHART_DPI)


def det(curves: dict[str, tuple[np.ndarray, np.ndarray]], title: str, path: Path | IO[bytes]) -> None:
    """False non-matches over false matches, a line for each sensor."""
    figure, axis = plt.subplots(figsize=(6, 4.2))
    for name, (fmr, fnmr) in curves.items():
        counted = fmr > 0  # a rate under one in all pairs was not seen
        axis.plot(100 * fmr[counted], 100 * fnmr[counted].clip(1e-3), label=name, drawstyle="steps-post", marker=".")
    axis.axline((1, 1), (10, 10), color="0.6", linewidth=0.8, linestyle=":")
    axis.set(xlabel="FMR, %", ylabel="FNMR, %", xscale="log", yscale="log", xlim=(0.1, 100), ylim=(0.1, 100), title=title)
    axis.legend()
    save(figure, path, CHART_DPI)


def overlays(prints: np.ndarray, maps: dict[str, np.ndarray], title: str, path: Path | IO[bytes]) -> None:
    """Prints (N, H, W) uint8 above named maps of them (N, H, W), which lie over the prints in red: from 0, where nothing is
    seen, to each map's highest value."""
    count = len(prints)
    figure, axes = plt.subplots(1 + len(maps), count, figsize=(1.6 * count + 0.9, 1.7 * (1 + len(maps)) + 0.4), squeeze=False)
    for column, axis in enumerate(axes[0]):
        axis.imshow(prints[column], cmap="gray", vmin=0, vmax=255)
        _bare(axis)
    axes[0, 0].set_ylabel("print")
    for line, (name, values) in zip(axes[1:], maps.items(), strict=True):
        top = max(float(values.max()), LEAST_SHOWN)
        for column, axis in enumerate(line):
            axis.imshow(prints[column], cmap="gray", vmin=0, vmax=255)
            seen = values[column].clip(0, top)
            shown = axis.imshow(seen, cmap="Reds", alpha=0.75 * seen / top, vmin=0, vmax=top)
            _bare(axis)
        line[0].set_ylabel(name if values.max() > 0 else f"{name}: nowhere")
        figure.colorbar(ScalarMappable(shown.norm, shown.cmap), ax=line.tolist(), fraction=0.03, pad=0.02)
    figure.suptitle(title)
    save(figure, path)


LEAST_SHOWN = 0.01  # of a map: where no value is higher, what there is stays pale


def scatter(groups: dict[str, np.ndarray], title: str, path: Path | IO[bytes]) -> None:
    """Named groups of points (N, 2)."""
    figure, axis = plt.subplots(figsize=(5.5, 5))
    for name, points in groups.items():
        axis.scatter(points[:, 0], points[:, 1], s=9, alpha=0.7, label=name)
    axis.set(title=title, xticks=[], yticks=[])
    axis.legend()
    save(figure, path, CHART_DPI)


def matrix(table: pd.DataFrame, metric: str, trained_on: str) -> pd.DataFrame:
    """One row of the train-sensor x test-sensor matrix: a metric for every sensor."""
    own = table[(table["method"] == MODEL) & (table["metric"] == metric)]
    return pd.DataFrame([dict(zip(own["part"], own["value"], strict=True))], index=[trained_on])


def distributions(old: pd.DataFrame, new: pd.DataFrame, labels: dict[str, str], title: str, path: Path | IO[bytes]) -> None:
    """A histogram of each column, of two tables beside each other."""
    rows = -(-len(labels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(10, 2.6 * rows), squeeze=False)
    for axis, (name, label) in zip(axes.flat, labels.items(), strict=False):
        edges = np.histogram_bin_edges(np.concatenate([old[name], new[name]]), 24)
        for values, said in ((old[name], "trained on"), (new[name], "new")):
            axis.hist(values, edges, density=True, alpha=0.55, label=f"{said} ({len(values)})")
        axis.set_xlabel(label)
        axis.set_yticks([])
    for axis in axes.flat[len(labels) :]:
        axis.remove()
    axes[0, 0].legend()
    figure.suptitle(title)
    save(figure, path, CHART_DPI)


def minutiae(
    prints: list[np.ndarray], true: list[np.ndarray], found: list[np.ndarray], title: str, path: Path | IO[bytes]
) -> None:
    """Some prints with their minutiae, rows of x, y and angle: rings where they are true, dots where they were found."""
    figure, axes = plt.subplots(1, len(prints), figsize=(3.1 * len(prints), 4.3), squeeze=False)
    for axis, picture, right, mine in zip(axes[0], prints, true, found, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
        for rows, colour, mark in ((right, "tab:blue", "o"), (mine, "tab:red", ".")):
            face = "none" if mark == "o" else colour
            axis.scatter(rows[:, 0], rows[:, 1], s=36 if mark == "o" else 14, facecolors=face, edgecolors=colour, linewidths=1)
            ahead = np.stack([rows[:, :2], rows[:, :2] + 11 * np.stack([np.cos(rows[:, 2]), -np.sin(rows[:, 2])], 1)])
            axis.plot(ahead[..., 0], ahead[..., 1], color=colour, linewidth=1)
        axis.set(xlim=(-0.5, picture.shape[1] - 0.5), ylim=(picture.shape[0] - 0.5, -0.5))
        _bare(axis)
    figure.suptitle(title)
    save(figure, path)
