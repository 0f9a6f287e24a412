import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fpml.base.errors import FpmlError
from fpml.metrics import baselines, generation, judge
from fpml.metrics.ridges import coarseness
from fpml.models import flow
from fpml.project.params import load
from tests.conftest import write_fvc


def embeddings(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 16))
    vectors[:, 0] += shift
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_kid_and_fid_are_nothing_for_one_distribution_and_grow_with_the_difference() -> None:
    a, b = embeddings(400, 1), embeddings(400, 2)
    assert abs(generation.kid(a, b)[0]) < 0.03
    assert generation.fid(a, a) == pytest.approx(0, abs=1e-6)
    others = [embeddings(400, 3, shift) for shift in (0, 1, 3)]
    kids, fids = [generation.kid(a, other)[0] for other in others], [generation.fid(a, other) for other in others]
    assert kids[0] < kids[1] < kids[2]
    assert fids[0] < fids[1] < fids[2]


def test_kid_against_a_plain_computation_and_fid_against_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    a, b = embeddings(40, 1), embeddings(30, 2, 1.0)
    x, y = a * 4, b * 4

    def kernel(u: np.ndarray, v: np.ndarray) -> float:
        return float((u @ v / 16 + 1) ** 3)

    xx = np.mean([kernel(u, v) for i, u in enumerate(x) for j, v in enumerate(x) if i != j])
    yy = np.mean([kernel(u, v) for i, u in enumerate(y) for j, v in enumerate(y) if i != j])
    xy = np.mean([kernel(u, v) for u in x for v in y])
    assert generation.kid(a, b)[0] == pytest.approx(xx + yy - 2 * xy)
    many = embeddings(1500, 5)
    mean, spread = generation.kid(many, embeddings(1200, 6, 1.0))
    assert mean == pytest.approx(generation._discrepancy(many, embeddings(1200, 6, 1.0))[0], abs=spread)
    tensors = [torch.from_numpy(v) for v in (x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))]
    assert generation.fid(a, b) == pytest.approx(float(_compute_fid(*tensors)), rel=1e-3)


def test_the_interval_of_kid_holds_what_other_draws_give() -> None:
    draws = [generation.kid(embeddings(60, 2 * n, 1.0), embeddings(80, 2 * n + 1)) for n in range(200)]
    values, halves = np.array(draws).T
    truth = values.mean()
    held = (np.abs(values - truth) <= halves).mean()
    assert 0.88 < held < 0.99  # 95 %, of few prints a little less
    assert halves.mean() == pytest.approx(1.96 * values.std(), rel=0.25)
    a, b = embeddings(30, 1), embeddings(20, 2, 1.0)
    half = generation.kid(a, b)[1]
    left = [[generation.kid(np.delete(a, i, 0), b)[0] for i in range(30)]]
    left.append([generation.kid(a, np.delete(b, i, 0))[0] for i in range(20)])
    variance = sum((len(x) - 1) * np.var(x) for x in left)
    assert half == pytest.approx(1.96 * variance**0.5)


def test_the_score_of_made_cases() -> None:
    sure = np.eye(5)[np.arange(100) % 5]
    assert generation.score(sure, 1)[0] == pytest.approx(5, abs=1e-3)
    assert generation.score(np.full((100, 5), 0.2), 1)[0] == pytest.approx(1)
    assert generation.score(np.eye(5)[np.zeros(100, int)], 1)[0] == pytest.approx(1)


def test_copies_are_found_out() -> None:
    training, held = embeddings(200, 1), embeddings(200, 2)
    one_each = np.arange(200).astype(str)
    assert generation.nearer_to_training(training + 1e-6, training, one_each, held, one_each) == 1.0
    assert 0.4 < generation.nearer_to_training(embeddings(300, 3), training, one_each, held, one_each) < 0.6
    place, distance = generation.nearest(training[:5], training)
    assert place.tolist() == [0, 1, 2, 3, 4]
    assert distance.max() < 1e-6


def test_many_fingers_of_training_are_no_memory() -> None:
    """Forty fingers to train on and ten held out, ten prints each: what is nobody's copy is as near to both."""

    def prints(fingers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.repeat(embeddings(fingers, seed), 10, 0) + np.random.default_rng(seed).normal(0, 0.02, (10 * fingers, 16))
        return vectors, np.repeat(np.arange(fingers), 10).astype(str)

    share = generation.nearer_to_training(prints(30, 3)[0], *prints(40, 1), *prints(10, 2))
    assert 0.35 < share < 0.65


@pytest.mark.parametrize("period", [4.0, 7.0, 11.0])
def test_the_wavelength_of_known_ridges(period: float) -> None:
    x = torch.arange(96.0)
    stripes = (0.5 + 0.5 * torch.cos(2 * torch.pi * x / period)).expand(1, 1, 96, 96)
    assert float(coarseness(stripes)) == pytest.approx(period, rel=0.08)


def test_the_shipped_judge_is_the_one_that_its_card_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = judge.load_judge()
    prints = torch.rand(3, 1, 64, 80)
    vectors = shipped(prints)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(shipped(prints), vectors)
    for file in judge.FOLDER.iterdir():
        content = bytearray(file.read_bytes())
        if file.suffix == ".safetensors":
            content[-1] ^= 1
        (tmp_path / file.name).write_bytes(content)
    monkeypatch.setattr(judge, "FOLDER", tmp_path)
    with pytest.raises(FpmlError, match="is not the one that its card"):
        judge.load_judge()


@pytest.fixture
def conditional(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """A tiny generator of five classes, trained."""
    return trained("generate", "dcgan", project, fpml, change_params)


@pytest.fixture
def flowing(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """The same, as a flow."""
    return trained("generate-conditional", "flow", project, fpml, change_params)


def trained(
    name: str, model: str, project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]
) -> Callable[..., Any]:
    write_fvc(project / "raw" / "many", ("DB1_A", "DB2_A"), 10, 2)
    change_params("run", {name: {"task": "generate", "model": model}})
    change_params("datasets.many", {
        "path": "raw/many", "reader": "folder", "dpi": 500,
        "pattern": r"(?P<sensor>DB\d)_A/(?P<finger>(?P<pattern>\d)\d*_\d+)\.tif",
    })  # fmt: skip
    change_params(f"recipes.{name}.data.train", ["many"])
    change_params(f"recipes.{name}.data.test", [])
    change_params(f"recipes.{name}.split.validation", 0.5)
    change_params(f"recipes.{name}.model.condition", "pattern")
    change_params(f"recipes.{name}.train.average", 0.5)
    change_params(f"recipes.{name}.train.learning_rate", 0.02)
    for command in (("ingest", "many"), ("prepare", name), ("split", name), ("train", name)):
        fpml(*command)
    return fpml


def test_made_prints_are_measured_beside_real_ones(project: Path, conditional: Callable[..., Any]) -> None:
    conditional("evaluate", "generate")
    table = pd.read_parquet(project / "results/generate/table.parquet")
    methods = table.groupby("metric")["method"].agg(list).map(set).to_dict()
    every = {"model", "real against real", "draws of PCA"}
    assert methods.pop("judge_score") >= {"model", "real against real"}  # draws may show no ridges that would have a class
    assert methods == dict.fromkeys(("kid", "memorised", "ks_coherence", "ks_period", "ks_minutiae", "likeness"), every)
    facts = json.loads((project / "results/generate/facts.json").read_text(encoding="utf-8"))
    assert set(facts["judges"]) == {"judge-2", "pattern-1", "minutiae-1"}
    figures = json.loads((project / "results/generate/figures.json").read_text(encoding="utf-8"))
    assert {f["file"] for f in figures} == {"growth.gif", "sheet.png", "nearest.png", "t-sne.png", "loss.png"}
    assert all(f["shows_prints"] for f in figures if f["file"] in ("growth.gif", "sheet.png", "nearest.png"))
    with Image.open(project / "results/generate/figures/growth.gif") as gif:
        assert gif.n_frames == 2
    history = pd.read_parquet(project / "models/generate/history.parquet")
    assert {"generator/loss", "discriminator/loss"} <= set(history.columns)


def test_draws_of_pca_have_the_mean_and_the_spread_of_the_prints() -> None:
    rng = np.random.default_rng(1)
    prints = (128 + 20 * rng.normal(size=(60, 1, 12)) + np.linspace(-60, 60, 12)[:, None]).clip(0, 255).astype(np.uint8)
    made = baselines.draws(prints, 4000, 3)
    assert made.shape == (4000, 1, 12, 12)
    assert (made.mean(0)[0] * 255 - torch.from_numpy(prints.mean(0))).abs().max() < 3
    assert (made.std(0)[0] * 255 - torch.from_numpy(prints.std(0))).abs().max() < 3
    assert made.flatten(1).std(0).min() > 0.02


def test_the_projects_own_generator_stands_beside(
    project: Path, conditional: Callable[..., Any], change_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fpml.tasks.generate.evaluate.BESIDE", 18)
    change_params("recipes.generate.evaluate.beside", "socofing")
    conditional("evaluate", "generate")
    table = pd.read_parquet(project / "results/generate/table.parquet").set_index(["metric", "method"])
    for metric in ("judge_score", "kid", "memorised", "ks_coherence", "ks_period", "ks_minutiae", "likeness"):
        assert np.isfinite(table.loc[(metric, "fpml synth"), "value"])
        assert table.loc[(metric, "fpml synth"), "prints"] == 18
    change_params("recipes.generate.evaluate.beside", "socofin")
    assert "evaluate.beside: unknown sensor 'socofin'; allowed: " in conditional("evaluate", "generate", code=2).err


def test_prints_of_a_class_on_demand(project: Path, conditional: Callable[..., Any]) -> None:
    conditional("generate", "-n", "10", "--out", "made", "--class", "2")
    table = pd.read_parquet(project / "made/latent.parquet")
    assert set(table["class"]) == {"2"}
    assert list(table) == ["picture", "class", "latent"]
    assert np.stack(table["latent"]).shape == (10, 8)
    assert len(list((project / "made").glob("0*.png"))) == 10
    assert Image.open(project / "made/sheet.png").size == (8 * 64, 2 * 64)
    conditional("generate", "-n", "10", "--out", "again", "--class", "2")
    assert (project / "again/00007.png").read_bytes() == (project / "made/00007.png").read_bytes()
    conditional("generate", "-n", "10", "--out", "other", "--class", "2", "--seed", "2")
    assert (project / "other/00007.png").read_bytes() != (project / "made/00007.png").read_bytes()
    error = conditional("generate", "--out", "x", "--class", "whorl", code=2).err
    assert "class is whorl, and generate has 1, 2, 4" in error
    assert "is there and not an empty folder" in conditional("generate", "--out", "made", code=2).err


def test_a_flow_is_measured_and_makes_the_same_prints_without_torch(project: Path, flowing: Callable[..., Any]) -> None:
    name = "generate-conditional"
    flowing("evaluate", name)
    table = pd.read_parquet(project / f"results/{name}/table.parquet").set_index(["metric", "method"])
    assert np.isfinite(table.loc[("kid", "model"), "value"])
    history = pd.read_parquet(project / f"models/{name}/history.parquet")
    assert {"train/loss", "validation/loss", "sheet"} <= set(history.columns)
    assert history["train/loss"].iloc[-1] < 1.2  # 1: the best linear guess
    assert (project / f"results/{name}/figures/growth.gif").exists()
    flowing("generate", "-n", "5", "--out", "made", "--class", "2", "--model", name)
    latent = np.stack(pd.read_parquet(project / "made/latent.parquet")["latent"])
    assert latent.shape == (5, 32 * 32)
    classes = json.loads((project / f"models/{name}/config.json").read_text(encoding="utf-8"))["classes"]
    network = flow.build(load(project / "params.yaml").recipe(name).model, 32, 32, len(classes)).eval()
    network.load_state_dict(load_file(project / f"models/{name}/weights.safetensors"))
    numbers = torch.full((5,), classes.index("2"))
    with torch.inference_mode():
        expected = flow.draw(network, torch.from_numpy(latent), numbers)[:, 0].clamp(0, 1) * 255
    for number, wanted in enumerate(expected.numpy(), 1):
        picture = np.asarray(Image.open(project / f"made/{number:05d}.png"), np.float32)
        assert picture.std() > 2
        assert np.abs(picture - wanted).max() < 1


def test_a_condition_with_one_class_is_refused(conditional: Callable[..., Any], change_params: Callable[..., None]) -> None:
    change_params("recipes.generate.model.condition", "hand")
    error = conditional("train", "generate", code=2).err
    assert "model.condition is hand, and the training prints say none" in error


def test_made_prints_have_passports_and_poor_ones_are_drawn_anew(
    project: Path, conditional: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = conditional("generate", "-n", "12", "--out", "made", "--passports").out
    before = pd.read_parquet(project / "made/passports.parquet")
    assert list(before) == ["picture", "minutiae", "clarity", "skin", "nfiq2", "nearest", "accepted", "drawn"]
    assert before["nearest"].between(-1, 1).all()
    assert "12 passports: " in told
    assert "nearest " in told
    bound = f"{before['nearest'].sort_values().iloc[-4]:.4f}"  # which three do not keep
    conditional("generate", "-n", "12", "--out", "again", "--accept", f"nearest<={bound}")
    after = pd.read_parquet(project / "again/passports.parquet")
    poor = before["nearest"] > float(bound)
    assert poor.sum() in (3, 4)
    assert ((after["drawn"] > 1) == poor).all()
    assert (after.loc[after["accepted"], "nearest"] <= float(bound)).all()
    z = [np.stack(pd.read_parquet(project / folder / "latent.parquet")["latent"]) for folder in ("made", "again")]
    assert ((z[0] == z[1]).all(axis=1) == ~poor).all()  # what the prints that stay were made from
    for number, same in enumerate(~poor, 1):
        pictures = [(project / folder / f"{number:05d}.png").read_bytes() for folder in ("made", "again")]
        assert (pictures[0] == pictures[1]) == same
    assert (
        "with one of minutiae, clarity, skin, nfiq2, nearest"
        in conditional("generate", "--out", "x", "--accept", "recall>=1", code=2).err
    )
    away = tmp_path_factory.mktemp("away")  # from the project, and from what the generator was trained on
    shutil.copytree(project / "models/generate", away / "elsewhere")
    monkeypatch.chdir(away)
    lost = conditional("generate", "--model", "elsewhere", "--out", "x", "--accept", "nearest<=0.9", code=2)
    assert "the training prints of elsewhere are not here" in lost.err
    conditional("generate", "-n", "2", "--model", "elsewhere", "--out", "x", "--accept", "skin>=0")
    assert pd.read_parquet("x/passports.parquet")["nearest"].isna().all()


def test_imagenets_score_by_a_file_of_ones_own(
    project: Path, conditional: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    class Small(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(pictures, 74).flatten(1)

    with warnings.catch_warnings(action="ignore"):  # that it is torch's older exporter; the newer one needs another package
        torch.onnx.export(
            Small(), (torch.zeros(2, 3, 299, 299),), project / "inception.onnx",
            dynamo=False, input_names=["pictures"], dynamic_axes={"pictures": {0: "b"}},
        )  # fmt: skip
    change_params("recipes.generate.evaluate.inception", "inception.onnx")
    conditional("evaluate", "generate")
    table = pd.read_parquet(project / "results/generate/table.parquet")
    values = table[table["metric"] == "inception_score"].set_index("method")["value"]
    assert set(values.index) == {"model", "real against real"}
    assert (values >= 1).all()
    change_params("recipes.generate.evaluate.inception", "away.onnx")
    assert "evaluate.inception: away.onnx can't be used" in conditional("evaluate", "generate", code=2).err
