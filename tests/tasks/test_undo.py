import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from fpml.alteration.apply import apply
from fpml.alteration.kinds import Obliteration, Rotation, ZCut, turned
from fpml.alteration.noise import KNOWN
from fpml.alteration.seams import FARTHER, turn_strips
from fpml.alteration.traces import Turn
from fpml.inference.model import Repaired
from fpml.inference.undo import Found, asked_of
from fpml.models.undo import UndoNet
from fpml.tasks.repair.commands import told
from fpml.tasks.undo import train
from fpml.training import judged
from fpml.training.altered import altered, asked
from fpml.training.judged import CANDIDATES, cut_set, shift_of, turn_set
from fpml.training.undoing import AlteredBatches, nearly_covered
from tests.alteration.test_alteration import ridges
from tests.conftest import with_altered_prints

POOL = [ridges(n) for n in range(3)]


def test_from_settings_to_a_repaired_print(project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]) -> None:
    """Trained, measured beside the untouched input, exported as one model, and used by the command."""
    change_params("run", {"repair-undo": {"task": "undo", "model": "undo"}})
    with_altered_prints(project, "repair-undo", change_params)
    change_params("recipes.repair-undo.evaluate.looked", 1)
    for command in (("ingest", "altered"), *((stage, "repair-undo") for stage in ("prepare", "split", "train", "evaluate"))):
        fpml(*command)
    history = pd.read_parquet(project / "models/repair-undo/history.parquet")
    assert {f"train/{part}_loss" for part in train.PARTS} <= set(history.columns)
    table = pd.read_parquet(project / "results/repair-undo/table.parquet")
    assert set(table["method"]) == {"model", "painted, not undone", "untouched input"}
    assert set(table["part"]) == {"altered", "altered/Easy CR"}
    scores = pd.read_parquet(project / "results/repair-undo/scores.parquet")
    assert scores.groupby("method")["kept_score"].count().to_dict() == dict.fromkeys(table["method"], 1)
    facts = json.loads((project / "results/repair-undo/facts.json").read_text(encoding="utf-8"))
    assert 0 <= facts["left"] <= 1
    said = fpml("repair", "raw/altered/Altered", "--model", "repair-undo", "--out", "out", "--reader", "socofing").out
    assert "8 of 8 pictures" in said
    found = json.loads((project / "out/found.json").read_text(encoding="utf-8"))
    assert len(found) == 8
    assert {"kind", "confidence", "place", "placed", "undone", "dpi", "picture"} == set(found[0])
    assert np.asarray(Image.open(project / "out/sheet.png")).shape == (8 * (97 + 4), 4 * (90 + 4))
    fpml("repair", found[0]["picture"], "--model", "repair-undo", "--out", "out", "--reader", "socofing")
    assert not (project / "out/sheet.png").exists()  # it showed other prints
    one = np.asarray(Image.open(project / "out/1__M_Left_index_finger_CR-repaired.png"))
    assert one.shape == (97, 90)
    run = asked_of(onnxruntime.InferenceSession(project / "models/repair-undo/model.onnx"))
    several = np.random.default_rng(0).integers(0, 256, (3, 2, 112, 96), np.uint8)  # one print beside three noises
    [covered] = run(["covered"], noises=several)
    assert covered.shape == (3, 1, 112, 96)
    np.testing.assert_allclose(run(["covered"], noises=several[1:2])[0][0], covered[1], atol=1e-4)


@pytest.mark.parametrize(("sure", "said"), [(0.97, "not altered (97%), left"), (0.15, "altered, but not surely (85%), left")])
def test_what_is_left_is_called_unaltered_only_where_that_is_likelier(sure: float, said: str) -> None:
    nothing = np.zeros((4, 4), np.uint8)
    made = Repaired(nothing, nothing.astype(np.float32), 180.0, Found("none", sure, {}, 0.0, False), nothing)
    assert told(made).startswith(said)


@pytest.mark.parametrize("kind", ["CR", "Zcut"])
def test_votes_add_up_to_the_place_and_labels_to_the_damage(kind: str) -> None:
    for seed in range(4):
        example = altered(POOL, np.random.default_rng(seed), kind)
        wanted = asked(example, 112, 96)
        y, x = (2 * v + 0.5 for v in np.mgrid[:56, :48])
        true = example.alteration
        if isinstance(true, Rotation):
            np.testing.assert_allclose(wanted.votes[0] + y, true.middle[0], atol=1e-4)
            np.testing.assert_allclose(wanted.votes[1] + x, true.middle[1], atol=1e-4)
            assert wanted.labels.max() == 1
            far = np.hypot(y - true.middle[0], x - true.middle[1])
            assert (wanted.labels[far < true.radius - 2] == 1).all()
        else:
            assert isinstance(true, ZCut)
            np.testing.assert_allclose(wanted.votes[6] + y, true.v2[0], atol=1e-4)
            assert set(np.unique(wanted.labels)) <= {0, 2, 3}


def _real(picture: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """The ridges inside a disc's rim, where nothing was turned."""
    y, x = (float(v) for v in middle)
    return turn_strips(picture, [Turn(y, x, 0, 0.0, (y, x))], radius, FARTHER)[0, 0, :8]


def test_the_true_candidate_comes_first_and_the_others_are_wrong() -> None:
    """A turn's first strip shows the real print's ridges round the rim as no other does."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        example = altered(POOL, rng, "CR")
        strips, gap, shifts = turn_set(example, rng)
        true = example.alteration
        assert isinstance(true, Rotation)
        assert strips.shape == (CANDIDATES, 2, 20, 120)
        off = np.abs(strips[:, 0, :8] - _real(example.real, np.array(true.middle), true.radius - gap)).mean((1, 2))
        assert off[0] == off.min()
        assert off[0] < 0.85 * np.median(off)
        np.testing.assert_allclose(shifts[0], 0, atol=0.1)
        assert cut_set(altered(POOL, rng, "Zcut"), rng).shape == (CANDIDATES, 2, 14, 240)


def test_a_candidate_s_shift_is_what_its_strip_is_off() -> None:
    """What a candidate of the right angle shows inside is the real print, so many pixels off."""
    picture = altered(POOL, np.random.default_rng(1), "none").real
    for degrees, by in ((100, (0, 1)), (-70, (1, -1))):
        (place, middle), (other, beside) = (turned((48, 43), degrees, moved) for moved in ((0, 0), by))
        true = Rotation(*place, 24.0, degrees, None, (middle[0] - place[0], middle[1] - place[1]))
        candidate = Turn(*other, degrees, 0.0, beside)
        seen = turn_strips(apply(picture, true)[0], [candidate], 24.0, FARTHER)[0, 0, :8]
        there, here = (_real(picture, np.add(beside, shift), 24.0) for shift in (shift_of(candidate, true), (0, 0)))
        assert np.abs(seen - there)[:-2].mean() < 0.7 * np.abs(seen - here)[:-2].mean()


def test_cuts_are_slid_along_their_lines_alone() -> None:
    """The first hardly, the others by half a pixel or more; what the triangles are sheared by is the same."""
    true = ZCut((36.1, 69.9), (34.0, 34.0), (62.1, 17.8))
    base = np.subtract(true.v2, true.v1)
    along = base / np.hypot(*base)
    first, *others = judged._slides(true, along, 1.0, np.random.default_rng(0))
    assert len(others) == CANDIDATES - 1
    for one in (first, *others):
        np.testing.assert_allclose(np.subtract(one.v2, one.v1), base)
        gaps = [np.subtract(getattr(one, v), getattr(true, v)) for v in ("v0", "v1")]
        assert all(abs(gap[0] * along[1] - gap[1] * along[0]) < 1e-9 for gap in gaps)
        far = max(np.hypot(*gap) for gap in gaps)
        assert far <= 0.5 if one is first else far > 0.5


def test_some_obliterations_have_noise_that_is_not_known() -> None:
    drawn = [altered(POOL, np.random.default_rng(seed), "Obl").alteration for seed in range(40)]
    made_up = [one.noise >= KNOWN for one in drawn if isinstance(one, Obliteration)]
    assert len(made_up) == 40
    assert 2 <= sum(made_up) <= 16


def test_a_region_is_nearly_right() -> None:
    true = np.zeros((97, 90), bool)
    true[30:70, 20:60] = True
    shares = []
    for seed in range(20):
        made = nearly_covered(true, np.random.default_rng(seed))
        shares.append((made & true).sum() / (made | true).sum())
        assert not made[:20].any()
        assert made[44:56, 34:46].all()
    assert 0.75 < np.mean(shares) < 0.97
    assert len(set(shares)) > 10


def _fails() -> None:
    raise AssertionError("what this process left to do at its end")


def test_batches_are_the_same_by_whomever_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """And differ from number to number, and from process to process. Those who draw ahead begin without what a thread (as
    Prefect's) left to do at the end of this process, where it would fail."""
    monkeypatch.setattr(threading, "_threading_atexits", [_fails])
    draws = AlteredBatches(POOL, 2, seed=1, rank=0)
    here, ahead = (list(train.in_turn(draws, range(4, 6), count)) for count in (0, 2))
    assert len(here) == 2
    assert not torch.equal(here[0]["find"][0], here[1]["find"][0])
    for one, other in zip(here, ahead, strict=True):
        for part in train.PARTS:
            for values, others in zip(one[part], other[part], strict=True):
                torch.testing.assert_close(values, others, equal_nan=True)
    assert not torch.equal(next(train.in_turn(replace(draws, rank=1), range(4, 5)))["find"][0], here[0]["find"][0])


def test_every_network_learns() -> None:
    """A few steps on one batch lower each of the losses."""
    torch.manual_seed(0)
    network = UndoNet([8, 8, 8, 8])
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3)
    network.train()
    [batch] = train.in_turn(AlteredBatches(POOL, 3, seed=5, rank=0), range(1))
    seen = []
    for _ in range(14):
        parts = train.losses(network, batch, torch.device("cpu"))
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        seen.append({name: float(part.detach()) for name, part in parts.items()})
    assert {name for name in train.PARTS if seen[-1][name] >= seen[0][name]} == set()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_losses_of_a_gpu_in_bf16_are_those_of_a_processor() -> None:
    torch.manual_seed(0)
    network = UndoNet([8, 8, 8, 8]).eval()
    [batch] = train.in_turn(AlteredBatches(POOL, 3, seed=5, rank=0), range(1))
    here = train.losses(network, batch, torch.device("cpu"))
    with torch.autocast("cuda", torch.bfloat16):
        there = train.losses(network.cuda(), batch, torch.device("cuda"))
    assert {k: float(v) for k, v in there.items()} == pytest.approx({k: float(v) for k, v in here.items()}, rel=0.05)


def test_prints_that_are_cut_out_have_no_place(
    project: Path, fpml: Callable[..., Any], change_params: Callable[..., None]
) -> None:
    change_params("run", {"repair-undo": {"task": "undo", "model": "undo"}})
    with_altered_prints(project, "repair-undo", change_params)
    change_params("recipes.repair-undo.data.crop", "print")
    for command in (("ingest", "altered"), ("prepare", "repair-undo"), ("split", "repair-undo")):
        fpml(*command)
    assert "in whole pictures: none" in fpml("train", "repair-undo", code=2).err
