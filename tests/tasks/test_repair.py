import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fpml.metrics.pictures import DAMAGE, Repaired, measure
from fpml.metrics.ridges import ANGLES, gabor_answers, gabor_enhanced, orientation
from fpml.tasks.repair.evaluate import clahe
from tests.conftest import with_altered_prints
from tests.tasks.made import mended


@pytest.fixture
def repair(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """A project that trains repair-gated on made prints, up to split."""
    change_params("run", {"repair-gated": {"task": "repair", "model": "gated"}})
    with_altered_prints(project, "repair-gated", change_params)
    fpml("ingest", "altered")
    fpml("prepare", "repair-gated")
    fpml("split", "repair-gated")
    return fpml


def test_every_number_stands_beside_the_untouched_input(
    project: Path, repair: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("recipes.repair-gated.evaluate.looked", 1)
    repair("train", "repair-gated")
    repair("evaluate", "repair-gated")
    results = project / "results" / "repair-gated"
    table = pd.read_parquet(results / "table.parquet")
    assert set(table["part"]) == {"altered", "altered/Easy CR"}
    ssim = table[(table["part"] == "altered/Easy CR") & (table["metric"] == "ssim")].set_index("method")["value"]
    assert set(ssim.index) == {"model", "untouched input"} | {
        f"{f}{w}" for f in ("clahe", "gabor") for w in (" alone", ", then model")
    }
    scores = pd.read_parquet(results / "scores.parquet")
    looked = scores.groupby("method")["kept_score"].count()
    assert looked[looked > 0].to_dict() == {"model": 1, "untouched input": 1}
    # The made alteration inverts 20 x 20 of 97 x 90 pixels; what is measured is the picture without its canvas.
    untouched = scores[scores["method"] == "untouched input"]["mse"]
    assert 0.2 * 400 / (97 * 90) < untouched.mean() < 0.9 * 400 / (97 * 90)
    subjects = scores["finger_id"].str.extract(r"altered/(\d)_")[0]
    assert subjects.nunique() == 2  # of four, by subject
    assert {p["file"] for p in json.loads((results / "figures.json").read_text(encoding="utf-8"))} == {
        "repaired-CR.png",
        "gain.png",
        "loss.png",
    }
    assert "why" not in json.loads((results / "facts.json").read_text(encoding="utf-8"))  # it can beat the untouched input
    metrics = json.loads((project / "models/repair-gated/metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"epochs", "train_loss", "validation_loss"}


def test_the_numbers_of_a_known_repair(table_of: Callable[..., pd.DataFrame]) -> None:
    """White prints whose black square is found and made white again; the input itself has a 16th of its pixels wrong."""
    value = table_of(mended)["value"].xs("prints/Easy CR", level="part")
    assert value["mse"]["model"] == 0
    assert value["mse"]["untouched input"] == pytest.approx(1 / 16)
    assert value["psnr"]["untouched input"] == pytest.approx(-10 * np.log10(1 / 16), abs=1e-4)
    assert value["ssim"]["model"] == pytest.approx(1)
    assert value["ssim"]["untouched input"] < 0.95
    assert value["damage_iou"].to_dict() == {"model": 1.0}
    assert value["unchanged"].to_dict() == {"model": 1.0}


def test_damage_and_what_stayed_against_their_definitions() -> None:
    """Of 16 pixels 4 are damaged; 3 are said to be, 2 of them rightly; of the 12 others 3 came out otherwise, one by less
    than a grey level."""
    target = torch.full((1, 1, 4, 4), 0.5)
    differs, said = torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    differs[..., 0, :] = True
    said[..., 0, :2] = said[..., 1, 0] = True
    output = target.clone()
    output[..., 1, 0], output[..., 1, 1], output[..., 1, 2] = 0.6, 0.4, 0.501
    found = measure(Repaired(output, target, target, said, differs), DAMAGE)
    assert found["damage_iou"] == pytest.approx(2 / 5)
    assert found["unchanged"] == pytest.approx(10 / 12)


def test_altered_prints_without_their_real_one_are_counted(
    project: Path, repair: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    gone = project / "raw/altered/Real/1__M_Left_index_finger.BMP"
    gone.unlink()
    repair("ingest", "altered")
    repair("prepare", "repair-gated")
    repair("split", "repair-gated")
    said = repair("train", "repair-gated").err
    assert "repair: 1 of 8 altered prints are left out: their real print is not there" in said
    change_params("recipes.repair-gated.data.train", ["altered/altered"])
    repair("prepare", "repair-gated")
    repair("split", "repair-gated")
    assert "of 8 altered prints 8 have none" in repair("train", "repair-gated", code=2).err


def test_prints_that_are_cut_out_are_no_pairs(repair: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.repair-gated.split.by", "image")
    repair("split", "repair-gated")
    assert "for repair: subject" in repair("train", "repair-gated", code=2).err
    change_params("recipes.repair-gated.split.by", "subject")
    change_params("recipes.repair-gated.data.crop", "print")
    repair("prepare", "repair-gated")
    repair("split", "repair-gated")
    assert "for repair: none" in repair("train", "repair-gated", code=2).err


def stripes(angle: float, size: int = 96, period: float = 9.0) -> torch.Tensor:
    """Ridges at an angle (radians against the x axis, y down), (1, 1, size, size)."""
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * 2, indexing="ij")
    across = -x * np.sin(angle) + y * np.cos(angle)
    return (0.5 + 0.4 * torch.cos(2 * torch.pi * across / period))[None, None]


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, np.pi / 2, 2.5])
def test_orientation_and_bank_agree_with_known_ridges(angle: float) -> None:
    theta, coherence = orientation(stripes(angle), 500)
    middle = theta[0, 20:-20, 20:-20]
    error = torch.remainder(middle - angle + torch.pi / 2, torch.pi) - torch.pi / 2
    assert error.abs().max() < 0.05
    assert coherence[0, 20:-20, 20:-20].min() > 0.9
    strongest = gabor_answers(stripes(angle), 500)[0, :, 30:-30, 30:-30].square().mean((1, 2)).argmax()
    gap = abs(float(strongest) * np.pi / ANGLES - angle)
    assert min(gap, np.pi - gap) <= np.pi / ANGLES / 2 + 1e-6


def test_enhancement_brings_ridges_out_of_noise() -> None:
    torch.manual_seed(0)
    clean = stripes(0.7)
    noisy = (clean + 0.35 * torch.randn_like(clean)).clamp(0, 1)
    enhanced = gabor_enhanced(noisy, 500)

    def alike(a: torch.Tensor) -> float:
        return float(np.corrcoef(a[0, 0, 15:-15, 15:-15].ravel(), clean[0, 0, 15:-15, 15:-15].ravel())[0, 1])

    assert alike(enhanced) > alike(noisy) + 0.1
    assert enhanced.min() >= 0
    assert enhanced.max() <= 1


def test_clahe_stretches_a_flat_print() -> None:
    flat = 0.5 + 0.05 * (stripes(0.3) - 0.5)
    assert clahe(flat).std() > 2 * flat.std()
