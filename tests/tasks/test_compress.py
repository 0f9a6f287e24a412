import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from fpml.metrics.intervals import wilson
from fpml.tasks.compress import evaluate as compress
from tests.conftest import make_print
from tests.tasks.made import copies


@pytest.fixture
def compressed(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    change_params("run", {"compress": {"task": "compress", "model": "small"}})
    change_params("datasets.prints.reader", "folder")
    change_params("datasets.prints.pattern", r"(?P<sensor>DB\d)_B/(?P<finger>(?P<category>\d)_\d)\.tif")
    change_params("recipes.compress.evaluate.one_class_epochs", 1)
    change_params("recipes.compress.split.seed", 2)  # of the few held out, some are of classes that are trained on
    for arguments in (("ingest", "prints"), ("ingest", "other"), ("prepare", "compress"), ("split", "compress"),
                      ("train", "compress"), ("evaluate", "compress")):  # fmt: skip
        fpml(*arguments)
    return fpml


def test_every_claimed_use_has_a_number(project: Path, compressed: Callable[..., Any], client: Any) -> None:
    table = pd.read_parquet(project / "results/compress/table.parquet")
    assert np.isfinite(table["value"]).all()
    why = json.loads((project / "results/compress/facts.json").read_text(encoding="utf-8"))["why"]
    assert why.startswith(
        f"The network has {json.loads((project / 'models/compress/config.json').read_text())['parameters']:,} "
    )
    methods = table.groupby(["part", "metric"])["method"].agg(set)
    assert methods["prints/held out", "bce"] == {"model", "floor"}
    assert methods["prints/noise 0.2", "psnr"] == {"model", "noisy input", "3×3 mean"}
    assert methods["prints/16 bytes", "psnr"] == {"model", "JPEG"}  # tiny: a code of 64 numbers, 2 bits each
    assert methods["prints/non-prints", "auroc"] == methods["prints/other sensor other", "auroc"] == {"model", "PCA"}
    (classes,) = {part for part, _ in methods.index if part.endswith(" classes")}  # 4 or 5: as the split has it
    assert methods[classes, "knn_accuracy"] == {"model", "PCA", "pixels"}
    assert any(part.startswith("prints/other class than") for part, _ in methods.index)
    assert {p.name for p in (project / "results/compress/figures").iterdir()} == {
        "codes.png", "samples.png", "noise.png", "bytes.png", "loss.png",
    }  # fmt: skip
    encoder = client.get_model_version_by_alias("compress-encoder", "challenger")
    assert str(encoder.version) == "1"
    compressed("register", "compress")
    assert len(client.search_model_versions("name = 'compress-encoder'")) == 1
    compressed("promote", "compress")  # the encoder goes with its autoencoder
    assert str(client.get_model_version_by_alias("compress-encoder", "champion").version) == "1"
    torch.manual_seed(5)  # wherever torch's numbers are
    compressed("evaluate", "compress")
    pd.testing.assert_frame_equal(pd.read_parquet(project / "results/compress/table.parquet"), table)


def test_the_numbers_of_a_known_code(table_of: Callable[..., pd.DataFrame]) -> None:
    """The code is the print: nothing is lost, nothing strange is told, and the neighbours are the pixels' own."""
    run, value = copies(), table_of(copies)["value"]
    held, training = (run.prints.take(np.flatnonzero(run.side == side)) / 255 for side in ("validation", "train"))

    def of(metric: str, part: str) -> dict[str, float]:
        return value[metric].xs(f"prints/{part}", level="part").to_dict()

    grey = held.clip(1e-12, 1 - 1e-12)
    entropy = -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).mean()
    assert of("bce", "held out") == pytest.approx({"model": entropy, "floor": entropy}, abs=1e-5)
    exact = np.isin(held, (0, 1)).mean()
    assert 0 < exact < 1
    assert of("binary_accuracy", "held out")["model"] == pytest.approx(exact)
    assert of("mse", "held out")["model"] == 0
    assert of("ssim", "held out")["model"] == pytest.approx(1)
    assert of("psnr", "held out")["model"] == 100
    assert 0 < of("ssim", "held out")["PCA"] < 1
    last = np.inf
    for level in (0.1, 0.2, 0.3, 0.5):
        noise = of("psnr", f"noise {level}")
        assert noise["model"] == pytest.approx(noise["noisy input"])
        # a pixel near black or white, which noise can push to one side only, has half the error
        assert -20 * np.log10(level) < noise["noisy input"] < -20 * np.log10(level) + 4
        assert noise["noisy input"] < last
        last = noise["noisy input"]
    assert of("psnr", "noise 0.5")["3×3 mean"] > of("psnr", "noise 0.5")["noisy input"] + 1
    for bits in (2, 4, 8):
        top, steps = training.max(0), 2**bits - 1
        error = (((held / top).clip(0, 1) * steps).round() / steps * top - held) ** 2
        psnr = (-10 * np.log10(error.mean((1, 2)))).mean()
        found = of("psnr", f"{784 * bits // 8} bytes")
        assert found["model"] == pytest.approx(psnr, abs=0.05)
        assert found["JPEG"] > 15
    assert of("psnr", "784 bytes")["JPEG"] > of("psnr", "196 bytes")["JPEG"] + 3
    assert of("auroc", "non-prints")["model"] == 0.5
    assert of("auroc", "non-prints")["PCA"] > 0.9
    neighbours = of("knn_accuracy", "2 classes")
    assert neighbours["model"] == neighbours["pixels"] == 1


def test_the_area_under_the_curve_is_of_larger_errors() -> None:
    """What is given back as black: the brighter, the larger the error."""
    dark, bright = torch.full((4, 1, 8, 8), 0.1), torch.full((4, 1, 8, 8), 0.9)
    assert compress._auroc(torch.zeros_like, dark, bright) == 1
    assert compress._auroc(torch.zeros_like, bright, dark) == 0


def test_codes_as_a_table(project: Path, compressed: Callable[..., Any], tmp_path: Path) -> None:
    from fpml.tracking.publish import cut_encoder

    Image.fromarray(make_print(3)).save(project / "mine.png")
    compressed("encode", "mine.png", "raw/other", "--out", "codes.parquet")
    codes = pd.read_parquet(project / "codes.parquet")
    assert codes.shape == (4, 2 + 64)
    assert set(codes["model"]) == {"compress"}
    cut_encoder(project / "models/compress/model.onnx", tmp_path / "encoder.onnx")
    encoder = onnx.load(tmp_path / "encoder.onnx")
    assert [o.name for o in encoder.graph.output] == ["code"]
    session = onnxruntime.InferenceSession(project / "models/compress/model.onnx")
    prints = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28), dtype=np.uint8)
    alone = onnxruntime.InferenceSession(tmp_path / "encoder.onnx").run(["code"], {"prints": prints})[0]
    np.testing.assert_allclose(alone, session.run(["code"], {"prints": prints})[0])
    said = compressed("encode", "mine.png", "--dpi", "auto", "--out", "codes.parquet", code=2).err
    assert "compress can't tell it by the ridges" in said
    assert "give a file NAME.parquet" in compressed("encode", "mine.png", "--out", "codes", code=2).err
    assert (
        "gives reconstruction and code, not repaired"
        in compressed("repair", "mine.png", "--out", "o", "--model", "compress", code=2).err
    )


def test_the_jpeg_is_no_larger_than_the_code() -> None:
    print_ = make_print(1, 28, 28, 5)
    for size in (40, 80, 160):
        quality = next(q for q in range(95, 0, -1) if q == 1 or compress._scan_bytes(compress._encoded(print_, q)) <= size)
        expected = np.asarray(Image.open(__import__("io").BytesIO(compress._encoded(print_, quality))))
        got = (compress._jpeg(print_, size) * 255).round().byte().numpy()
        assert abs(got.astype(int) - expected.astype(int)).mean() < 3


def test_the_floor_is_the_entropy_of_grey() -> None:
    prints = torch.tensor([0.0, 1.0, 0.5, 0.25])[None, None, None]
    entropy = -(0.5 * np.log(0.5) * 2 + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / 4
    assert compress._entropy(prints) == pytest.approx(entropy, abs=1e-5)


def test_wilsons_interval() -> None:
    assert wilson(566, 592) == pytest.approx((0.9363, 0.9697), abs=2e-3)
    low, high = wilson(10, 10)
    assert low == pytest.approx(0.7225, abs=1e-3)
    assert high == pytest.approx(1.0)
