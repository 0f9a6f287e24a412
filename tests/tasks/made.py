"""Runs that were never trained: prints and networks made by hand, so that what evaluate should say of them is known."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from fpml import tasks
from fpml.data import manifest
from fpml.data.store import BOX, Prepared
from fpml.models import family_of, minutiae
from fpml.project.params import check
from fpml.settings.recipe import Model
from fpml.synth.sensors import SENSORS
from fpml.synth.truth import Truth
from fpml.synth.write import Plan, write_prints
from fpml.tasks.protocol import Album, Trained
from tests.conftest import make_print, tiny_params


def run_of(
    run: tuple[str, str, str], network: nn.Module, pictures: np.ndarray, rows: list[dict[str, Any]], side: list[str],
    **evaluate: Any,
) -> Trained[Any]:  # fmt: skip
    """run: recipe, task, model. pictures: uint8 (N, H, W). rows: of the manifest, but for what is the same in all.
    evaluate: settings."""
    recipe, task, model = run
    params = tiny_params()
    params["run"] = {recipe: {"task": task, "model": model}}
    count, height, width = pictures.shape
    params["recipes"][recipe]["data"] |= {"height": height, "width": width}
    params["recipes"][recipe]["evaluate"] |= evaluate
    same = {"dataset": "prints", "sensor": "DB1", "dpi": 500.0, "status": "ok", "truth": "made"}
    index = manifest.table([{"image_id": f"prints/{number:05d}", **same, **row} for number, row in enumerate(rows)])
    index = index.assign(plate=255, **dict(zip(BOX, (0, height, 0, width), strict=True)))
    prints = Prepared([pictures], [np.ones_like(pictures)], index, {"rows_per_shard": count})
    classes = tuple(sorted({row["finger_id"] for row, s in zip(rows, side, strict=True) if s == "train"}))
    sheet = io.BytesIO()
    Image.fromarray(pictures[0]).save(sheet, "png")
    history = pd.DataFrame({"epoch": [1], "sheet": [base64.b64encode(sheet.getvalue()).decode()]})
    family = family_of(model, task, tasks.kinds(task))
    return Trained(
        recipe, check(params).recipe(recipe), network.eval(), family, classes if task == "recognise" else (), prints,
        np.array(side), torch.device("cpu"), history,
    )  # fmt: skip


def evaluated(trained: Trained[Any], folder: Path) -> pd.DataFrame:
    """The table of what evaluate found, by metric, method and part."""
    table = tasks.task(trained.recipe.task).evaluate(trained, Album(folder, trained.prints.index)).table
    return table.set_index(["metric", "method", "part"]).sort_index()


class Copy(nn.Module):
    """An autoencoder that gives each print back, and whose code is the print."""

    def encoder(self, prints: Tensor) -> Tensor:
        return prints.flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        return codes.reshape(-1, 1, 28, 28)

    def forward(self, prints: Tensor) -> Tensor:
        return prints


def copies() -> Trained[Any]:
    """compress: two classes, one the other's negative, 20 prints to train on and 16 held out; 4 of another sensor."""
    pictures = np.stack([make_print(n, 28, 28, 5) for n in range(40)])
    pictures[1:36:2] = 255 - pictures[1:36:2]
    rows: list[dict[str, Any]] = [{"finger_id": f"prints/{n // 2}", "category": str(n % 2)} for n in range(36)]
    rows += [{"finger_id": f"other/{n}", "dataset": "prints", "sensor": "other"} for n in range(4)]
    side = ["train"] * 20 + ["validation"] * 16 + ["unseen"] * 4
    return run_of(("compress", "compress", "small"), Copy(), pictures, rows, side)


class Matcher(nn.Module):
    """Prints → their likeness to each of the templates (classes, pixels), and their own pixels at length 1."""

    def __init__(self, templates: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("templates", torch.from_numpy(templates))

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        flat = nn.functional.normalize(prints.flatten(1) - 0.5)
        return flat @ self.templates.T, flat  # type: ignore[operator]


TRAINED, UNSEEN = 7, 46  # fingers; 46 give 1,035 impostor pairs, enough for an FMR of 0.1 %
SWAPPED = 2  # test prints that are another finger's


def matches() -> Trained[Any]:
    """recognise: TRAINED fingers with 3 prints to train on and 2 to test; UNSEEN ones with 2 prints."""
    rng = np.random.default_rng(0)

    def impressions(finger: np.ndarray, count: int, noise: float) -> list[np.ndarray]:
        return [
            (127 + 30 * (finger + noise * rng.normal(size=finger.shape))).clip(0, 255).astype(np.uint8) for _ in range(count)
        ]

    own = [impressions(rng.normal(size=(32, 32)), 5, 0.5) for _ in range(TRAINED)]
    own[0][4], own[1][4] = own[1][4], own[0][4]
    unseen = [impressions(rng.normal(size=(32, 32)), 2, 4.0) for _ in range(UNSEEN)]
    rows = [{"finger_id": f"prints/{f:03d}", "impression": i + 1} for f in range(TRAINED) for i in range(5)]
    rows += [{"finger_id": f"prints/{f:03d}", "impression": i + 1} for f in range(TRAINED, TRAINED + UNSEEN) for i in range(2)]
    side = ["train"] * 3 + ["test"] * 2
    templates = np.stack([np.mean(f[:3], 0).ravel() / 255 - 0.5 for f in own]).astype(np.float32)
    pictures = np.stack([p for finger in own + unseen for p in finger])
    run = ("recognise", "recognise", "resnet")
    return run_of(run, Matcher(templates), pictures, rows, side * TRAINED + ["unseen"] * (2 * UNSEEN))


class Mender(nn.Module):
    """White where a print was black, which it takes for damaged."""

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(prints == 0, 1.0, prints), (prints == 0).float()


def mended() -> Trained[Any]:
    """repair: white prints, altered by a black square of 8 x 8 of their 32 x 32 pixels."""
    real = np.full((8, 32, 32), 255, np.uint8)
    altered = real.copy()
    altered[:, 4:12, 4:12] = 0
    rows: list[dict[str, Any]] = [{"finger_id": f"prints/{n}"} for n in range(8)]
    rows += [{**rows[n], "source_id": f"prints/{n:05d}", "alteration": "CR", "level": "Easy"} for n in range(8)]
    side = ["validation"] * 16
    return run_of(("repair-gated", "repair", "gated"), Mender(), np.concatenate([real, altered]), rows, side)


def given_back() -> Trained[Any]:
    """reconstruct: six prints to train on, six held out, given back as they are."""
    pictures = np.stack([make_print(n, 28, 28, 5) for n in range(12)])
    rows = [{"finger_id": f"prints/{n}"} for n in range(12)]
    return run_of(("reconstruct", "reconstruct", "small"), Copy(), pictures, rows, ["train"] * 6 + ["validation"] * 6)


class Dreamer(nn.Module):
    """Latent vectors (B, 8), one to one with pictures of 64 x 64."""

    model = SimpleNamespace(latent=8)

    def forward(self, latent: Tensor, classes: Tensor) -> Tensor:
        return torch.sigmoid(nn.functional.interpolate(latent.reshape(-1, 1, 2, 4), (64, 64), mode="bicubic"))


def dreams(**evaluate: Any) -> Trained[Any]:
    """generate: 16 prints to train on, 16 held out."""
    pictures = np.stack([make_print(n, 64, 64, 6) for n in range(32)])
    rows = [{"finger_id": f"prints/{n // 2:02d}"} for n in range(32)]
    return run_of(
        ("generate", "generate", "dcgan"), Dreamer(), pictures, rows, ["train"] * 16 + ["validation"] * 16, **evaluate
    )


def generated(folder: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Prints of four generated fingers, two of each, and their rows; their truth lies in the folder."""
    write_prints(folder / "raw", Plan(5, 4, 2, (SENSORS["fvc2002-db3"],), "synth"), workers=1, device="cpu", force=True)
    table = Truth(folder / "raw").impressions
    pictures = np.stack([np.asarray(Image.open(folder / "raw" / file)) for file in table.index])
    height, width = pictures.shape[1:]
    rows = [
        {
            "image_id": file, "finger_id": f"f{row.finger}", "impression": row.impression, "width": width, "height": height,
            "file": str(folder / "raw" / str(file)), "truth": str(folder / "raw" / "truth"),
        }
        for file, row in zip(table.index, table.itertuples(), strict=True)
    ]  # fmt: skip
    return pictures, rows


def sought(folder: Path) -> Trained[Any]:
    """minutiae: a network that has learnt nothing, on generated prints."""
    pictures, rows = generated(folder)
    torch.manual_seed(0)
    network = minutiae.build(Model([4, 4, 8, 8]), *pictures.shape[1:], 0)
    run = run_of(("minutiae", "minutiae", "minutiae"), network, pictures, rows, ["validation"] * len(rows))
    run.prints.meta.update(crop="none", dpi=500.0)
    return run


class Faded(Copy):
    """Gives back the upper half of a print, and grey below."""

    def forward(self, prints: Tensor) -> Tensor:
        out = prints.clone()
        out[..., prints.shape[-2] // 2 :, :] = 0.5
        return out


def half_given_back(folder: Path) -> Trained[Any]:
    """reconstruct: generated prints of which a network loses the lower half."""
    pictures, rows = generated(folder)
    side = ["train"] * 4 + ["validation"] * 4
    run = run_of(("reconstruct", "reconstruct", "autoencoder"), Faded(), pictures, rows, side)
    return replace(run, recipe=replace(run.recipe, data=replace(run.recipe.data, dpi=500.0)))
