from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fpml.metrics.table import MODEL
from fpml.models.minutiae import Maps
from fpml.synth.stream import Example
from fpml.tasks.minutiae import train
from fpml.training import crops
from tests.conftest import GENERATED_ON, with_generated_prints
from tests.training.test_crops import blank


@pytest.fixture
def generated(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """Four generated fingers on two sensors, prepared for a tiny minutiae recipe."""
    change_params("run", {"minutiae": {"task": "minutiae", "model": "minutiae"}})
    with_generated_prints("minutiae", change_params, fpml)
    for command in ("prepare", "split"):
        fpml(command, "minutiae")
    return fpml


def test_from_settings_to_templates(project: Path, generated: Callable[..., Any]) -> None:
    """Trained, measured beside the baseline, exported for any size, and used by the command."""
    generated("train", "minutiae")
    history = pd.read_parquet(project / "models/minutiae/history.parquet")
    assert len(history) == 2
    assert np.isfinite(history.select_dtypes("number").to_numpy()).all()
    generated("evaluate", "minutiae")
    table = pd.read_parquet(project / "results/minutiae/table.parquet")
    assert set(table["method"]) == {MODEL, "minutiae alone", "thinned ridges"}
    parts = {f"made/{sensor}" for sensor in GENERATED_ON}
    for metric in ("recall_16", "eer_all", "rank1"):
        assert set(table.loc[table["metric"] == metric, "part"]) == parts, metric
    baseline = table[(table["method"] == "thinned ridges") & (table["metric"] == "f1_16")]
    assert baseline["value"].between(0.15, 1).all()  # a textbook extractor finds a good part of a generated print's minutiae
    assert (project / "results/minutiae/figures/minutiae.png").stat().st_size > 10_000
    said = generated("minutiae", f"raw/made/{GENERATED_ON[1]}/1_1.png", "--model", "minutiae", "--out", "templates").out
    assert "1 of 1 pictures" in said
    assert {p.suffix for p in (project / "templates").iterdir()} == {".json", ".fmr", ".xyt"}


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    project: Path, generated: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fpml.training.checkpoint import Checkpoints

    generated("train", "minutiae")
    whole = (project / "models/minutiae/weights.safetensors").read_bytes()
    Checkpoints(next((project / ".fpml/checkpoints").iterdir())).clear()
    save = Checkpoints.save

    def killed_after_the_first(self: Checkpoints, *given: Any) -> None:
        save(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed_after_the_first)
        generated("train", "minutiae", code=130)
    generated("train", "minutiae")
    assert (project / "models/minutiae/weights.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("data.height", 424, "both are multiples of 16"),
        ("data.width", 320, "raise data.height and data.width"),
        ("data.crop", "print", "whole pictures: none"),
        ("data.train", ["prints"], "has no ground truth"),
        ("model.widths", [4, 4], "four numbers"),
    ],
)
def test_settings_that_can_t_be(
    generated: Callable[..., Any], change_params: Callable[..., None], key: str, value: Any, words: str
) -> None:
    change_params(f"recipes.minutiae.{key}", value)
    generated("ingest", "prints")
    generated("prepare", "minutiae")
    generated("split", "minutiae")
    assert words in generated("train", "minutiae", code=2).err


def said(batch: crops.Crops) -> Maps:
    """What a network without fault would say of a batch."""
    twice = 2 * batch.orientation
    return Maps(
        presence=torch.where(batch.centre, 12.0, -12.0), offset=batch.offset.clone(), direction=batch.direction.clone(),
        orientation=torch.stack([twice.cos(), twice.sin()], 1),
        period=(batch.period / train.PERIOD).log(), foreground=24 * batch.mask - 12,
    )  # fmt: skip


def test_every_part_of_the_loss_sees_its_own_fault() -> None:
    example = blank([(21, 38, 0.7, 1, 1, 50), (45, 12, 3.0, 0, 1, 50)])
    example = Example(example.picture, np.pad(example.mask[:, :40], ((0, 0), (0, 24))), *(
        example.orientation + np.float16(0.4), example.period, example.minutiae,
    ))  # fmt: skip
    batch = crops.batch([example], torch.Generator(), spoil=False)
    right = {name: float(v) for name, v in train.losses(said(batch), batch).items()}
    assert max(right.values()) < 1e-3
    for name in right:
        maps = said(batch)
        spoilt = getattr(maps, name)
        spoilt.copy_(-spoilt if name in ("presence", "foreground") else spoilt + 0.5)
        wrong = {other: float(v) for other, v in train.losses(maps, batch).items()}
        assert wrong.pop(name) > 0.05, name
        assert wrong == {other: v for other, v in right.items() if other != name}, name


def test_calibration_turns_logits_into_shares() -> None:
    """Of twelve peaks of which a network says +2 eight are minutiae; of four of which it says -1, none. (Crops are turned and
    mirrored: the places are the same from all sides.)"""

    class Says(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, pictures: torch.Tensor) -> Any:
            presence = torch.full((len(pictures), 24, 24), -9.0)
            presence[:, 4:20:5, 4:20:5] = 2.0
            presence[:, 9:15:5, 9:15:5] = -1.0
            return Maps(presence, *[torch.zeros(())] * 5)

    outer = [(r, c) for r in (4, 9, 14, 19) for c in (4, 9, 14, 19) if (r in (4, 19)) != (c in (4, 19))]
    rows = [(4 * c + 1.5, 4 * r + 1.5, 0.0, 1.0, 1.0, 50.0) for r, c in outer]
    settings = type("Settings", (), {"seed": 1, "crop": 96, "batch_size": 8})
    network = Says()
    train.calibrate(network, [blank(rows, 96)], settings)  # type: ignore[arg-type]
    scale, shift = network.get_buffer("calibration").tolist()
    share = 1 / (1 + np.exp(-(scale * 2 + shift)))
    assert share == pytest.approx(8 / 12, abs=0.02)
    assert 1 / (1 + np.exp(-(scale * -1 + shift))) < 0.05
