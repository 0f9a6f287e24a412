import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fpml.metrics.baselines import PATCH, fit_patch_pca, fit_pca, low_pass
from fpml.metrics.intervals import bootstrap
from fpml.metrics.pictures import INSIDE, WHOLE, Masked, measure
from fpml.metrics.results import as_table, summarise
from tests.conftest import make_print, write_fvc

PRINTS = np.stack([make_print(n, 64, 64) for n in range(12)])


def floats(prints: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(prints)[:, None].float() / 255


def score(output: torch.Tensor, prints: torch.Tensor, masks: torch.Tensor) -> dict[str, np.ndarray]:
    return measure(Masked(output, prints, masks), WHOLE, INSIDE)


def test_a_perfect_copy() -> None:
    scores = score(floats(PRINTS), floats(PRINTS), torch.ones(12, 1, 64, 64))
    np.testing.assert_allclose(scores["ssim"], 1, atol=1e-4)
    assert (scores["mse"] == 0).all()
    assert (scores["psnr_mask"] == 100).all()


def test_numbers_against_their_definitions() -> None:
    prints, noisy = floats(PRINTS), (floats(PRINTS) + 0.1 * torch.randn(12, 1, 64, 64)).clamp(0, 1)
    masks = torch.zeros(12, 1, 64, 64)
    masks[:, :, 16:48, 8:40] = 1
    scores = score(noisy, prints, masks)
    inside = (noisy - prints)[:, :, 16:48, 8:40].square().mean((1, 2, 3)).numpy()
    np.testing.assert_allclose(scores["mse_mask"], inside, atol=1e-6)
    np.testing.assert_allclose(scores["psnr_mask"], -10 * np.log10(inside), atol=1e-4)
    error = (noisy - prints).square().mean((1, 2, 3)).numpy()
    np.testing.assert_allclose(scores["mse"], error, atol=1e-6)
    np.testing.assert_allclose(scores["psnr"], -10 * np.log10(error), atol=1e-4)


def test_ssim_against_scipys_gaussian_filter() -> None:
    """Wang's formula by another route: sigma 1.5 cut at 5 pixels, in the middle, where padding does not reach."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1)
    a = PRINTS[0].astype(np.float64) / 255
    b = (a + rng.normal(0, 0.1, a.shape)).clip(0, 1)

    def blur(x: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(x, 1.5, radius=5))

    ma, mb = blur(a), blur(b)
    va, vb, vab = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    expected = ((2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))[10:-10, 10:-10].mean()
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 10:-10, 10:-10] = 1
    got = score(torch.from_numpy(b)[None, None].float(), torch.from_numpy(a)[None, None].float(), mask)["ssim_mask"]
    assert float(got[0]) == pytest.approx(expected, abs=1e-3)


def test_ssim_is_scikit_images() -> None:
    """Which averages only where the window fits; rims, which are often alike, would raise it."""
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(2)
    noisy = PRINTS.copy()
    noisy[:, 12:-12, 12:-12] = rng.integers(0, 256, noisy[:, 12:-12, 12:-12].shape)
    wanted = [
        structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for a, b in zip(PRINTS.astype(float), noisy.astype(float), strict=True)
    ]
    whole = score(floats(noisy), floats(PRINTS), torch.ones(12, 1, 64, 64))
    np.testing.assert_allclose(whole["ssim"], wanted, atol=1e-4)
    np.testing.assert_allclose(whole["ssim_mask"], wanted, atol=1e-4)  # a mask of all that there is


def test_pca_with_all_components_gives_its_training_prints_back() -> None:
    full = fit_pca(PRINTS, len(PRINTS) - 1)(floats(PRINTS))
    few = fit_pca(PRINTS, 2)(floats(PRINTS))
    assert (full - floats(PRINTS)).abs().max() < 0.01
    assert (few - floats(PRINTS)).abs().mean() > 0.02


def test_pca_of_patches_draws_each_patch_by_itself() -> None:
    full = fit_patch_pca(PRINTS, PATCH**2)(floats(PRINTS))
    few = fit_patch_pca(PRINTS, 3)(floats(PRINTS))
    assert full.shape == (12, 1, 64, 64)
    assert (full - floats(PRINTS)).abs().max() < 0.01
    assert (few - floats(PRINTS)).abs().mean() > 0.02
    changed = floats(PRINTS)
    changed[:, :, :PATCH, :PATCH] = 0
    difference = (fit_patch_pca(PRINTS, 3)(changed) - few).abs()
    assert difference[:, :, :PATCH, :PATCH].max() > 0.1
    assert difference[:, :, PATCH:].max() == 0


def test_the_low_pass_copy_loses_ridges_and_keeps_the_mean() -> None:
    copy = low_pass(floats(PRINTS))
    assert copy.shape == (12, 1, 64, 64)
    assert float(copy.mean()) == pytest.approx(float(floats(PRINTS).mean()), abs=0.01)
    assert copy.std() < 0.8 * floats(PRINTS).std()


def test_intervals_are_over_fingers_not_prints() -> None:
    rng = np.random.default_rng(0)
    by_finger = rng.normal(0, 1, 20)
    fingers = np.repeat(np.arange(20), 50).astype(object)
    values = by_finger[fingers.astype(int)] + rng.normal(0, 0.01, 1000)
    low, high = bootstrap(values, fingers, 4000)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * by_finger.std() / 20**0.5, rel=0.15)
    assert np.isnan(bootstrap(values[:50], fingers[:50], 100)).all()


def test_a_summary_states_its_denominators() -> None:
    scores = pd.DataFrame({
        "side": "unseen", "part": "s", "method": "model", "finger_id": ["a", "a", "b"],
        **{m: [1.0, 2.0, 6.0] for m in ("mse", "psnr", "ssim", "mse_mask", "psnr_mask", "ssim_mask")},
    })  # fmt: skip
    row = summarise(scores, 200)[0]
    assert (row.prints, row.fingers, row.value) == (3, 2, 3.0)
    assert row.low <= 3.0 <= row.high


def test_a_print_without_a_value_is_not_counted() -> None:
    scores = pd.DataFrame({
        "side": "unseen", "part": "s", "method": "model", "finger_id": ["a", "a", "b"],
        "mse": [1.0, 2.0, 6.0], "psnr_mask": [1.0, 2.0, np.nan],
    })  # fmt: skip
    table = as_table(summarise(scores, 200)).set_index("metric")
    assert table.loc["mse", ["prints", "fingers", "value"]].tolist() == [3, 2, 3.0]
    assert table.loc["psnr_mask", ["prints", "fingers", "value"]].tolist() == [2, 1, 1.5]


def test_more_prints_than_pixels(project: Path, prepared: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.reconstruct.data.height", 8)
    change_params("recipes.reconstruct.data.width", 8)
    write_fvc(project / "raw" / "more", ("DB1_A",), 45, 2)
    shutil.rmtree(project / "raw" / "prints")
    (project / "raw" / "more").rename(project / "raw" / "prints")
    for command in (("ingest", "prints"), ("prepare", "reconstruct"), ("split", "reconstruct"), ("train", "reconstruct")):
        prepared(*command)
    prepared("evaluate", "reconstruct")
    assert (
        json.loads((project / "results/reconstruct/facts.json").read_text(encoding="utf-8"))["pca_components"] == 16
    )  # the code's size
