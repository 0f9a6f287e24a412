import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fpml.base.errors import FpmlError
from fpml.settings.recipe import Promotion
from fpml.tracking import promotion_lock
from fpml.tracking.promotion import Measured, judge

RULE = Promotion(metric="psnr", margin=0.1)


def made(version: str, psnr: np.ndarray, **other: Any) -> Measured:
    fingers = [f"d/{i // 2}" for i in range(len(psnr))]
    scores = pd.DataFrame({"image_id": [f"d/{i}" for i in range(len(psnr))], "finger_id": fingers, "psnr": psnr,
                           "pixels_md5": [f"{i:032}" for i in range(len(psnr))]})  # fmt: skip
    table = pd.DataFrame([
        {"side": "unseen", "part": "d", "metric": metric, "value": value, "low": value - 1, "high": value + 1, "prints": 9,
         "fingers": 5, "method": "model"}
        for metric, value in (("psnr", psnr.mean()), ("eer", 20 - psnr.mean()))
    ])  # fmt: skip
    whole: dict[str, Any] = {
        "run": None,
        "tags": {},
        "data": {"d": "1"},
        "settings": {"data.height": "32"},
        "scores": scores,
        "table": table,
    }
    return Measured(version=version, **(whole | other))


@pytest.fixture
def prints() -> np.ndarray:
    return np.random.default_rng(0).normal(15, 4, 40)


def test_the_first_is_champion(prints: np.ndarray) -> None:
    assert judge(made("1", prints), None, RULE)[:2] == (True, "it is the first")


def test_a_small_gain_on_the_same_prints_is_seen(prints: np.ndarray) -> None:
    """Prints differ by 4 dB, the models by 0.3: only pairs show it."""
    noise = np.random.default_rng(1).normal(0, 0.1, 40)
    good, reason, gain = judge(made("2", prints + 0.3 + noise), made("1", prints), RULE)
    assert good
    assert gain is not None
    assert gain[0] > 0.2
    assert "version 1" in reason
    assert not judge(made("2", prints - 0.3), made("1", prints), RULE)[0]


def test_a_gain_within_its_interval_is_none(prints: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, 2, 40)
    good, reason, _ = judge(made("2", prints + 0.3 + noise - noise.mean()), made("1", prints), RULE)
    assert not good
    assert "not surely above the margin of 0.1" in reason
    assert not judge(made("2", prints + 0.05), made("1", prints), RULE)[0]  # surely better, by less than the margin


def test_other_data_or_sizes_are_refused(prints: np.ndarray) -> None:
    better = prints + 5
    eer = Promotion(metric="eer", margin=0.5)
    for other, rule, said in (
        ({"data": {"d": "2"}}, eer, "the data differ (d)"),
        ({"data": {"d": "1", "e": "1"}}, eer, "the data differ (e)"),
        ({"settings": {"data.height": "64"}}, RULE, "data.height 64, was 32"),
    ):
        good, reason, gain = judge(made("2", better, **other), made("1", prints), rule)
        assert (good, gain) == (False, None)
        assert said in reason
    other_prints = made("2", better)
    assert other_prints.scores is not None
    other_prints.scores.loc[5:, "pixels_md5"] = "drawn again"
    good, reason, _ = judge(other_prints, made("1", prints), RULE)
    assert not good
    assert "the data differ: of its 40 prints held out, 5 are the same" in reason


def test_after_new_data_the_prints_that_both_held_out_decide(prints: np.ndarray) -> None:
    """Ten prints came, and are good; of the champion's, two are gone."""
    new, old = made("2", np.append(prints - 0.5, [40] * 10)), made("1", prints)
    assert new.scores is not None
    good, reason, gain = judge(replace(new, scores=new.scores[2:], data={"d": "2"}), old, RULE)
    assert not good
    assert gain is not None
    assert gain[1] == pytest.approx(-0.5)
    assert "on 38 prints that both held out (48 now, 40 then)" in reason
    assert judge(replace(made("2", prints + 0.5), data={"d": "2"}), old, RULE)[0]


def test_where_prints_have_no_such_metric_intervals_must_not_touch(prints: np.ndarray) -> None:
    rule = Promotion(metric="eer", margin=0.5)
    assert judge(made("2", prints + 2.6), made("1", prints), rule)[0]  # an EER lower by 2.6, intervals of 1 either way
    assert not judge(made("2", prints + 2.4), made("1", prints), rule)[0]
    assert not judge(made("2", prints - 9), made("1", prints), rule)[0]


def test_a_metric_that_was_not_measured(prints: np.ndarray) -> None:
    with pytest.raises(FpmlError, match=r"promotion\.metric is 'kid', which was not measured; measured were: psnr, eer"):
        judge(made("1", prints), None, Promotion(metric="kid", margin=0))


def aliases(client: Any) -> dict[str, str]:
    (model,) = client.search_registered_models("name = 'reconstruct'")
    return {k: str(v) for k, v in model.aliases.items()}


@pytest.fixture
def two_versions(trained: Callable[..., Any], change_params: Callable[..., None]) -> Callable[..., Any]:
    """A champion after two epochs and a challenger after forty."""
    trained("promote", "reconstruct")
    change_params("recipes.reconstruct.train.epochs", 40)
    change_params("recipes.reconstruct.train.learning_rate", 0.005)
    trained("train", "reconstruct")
    trained("evaluate", "reconstruct")
    return trained


def test_promotion_and_the_way_back(two_versions: Callable[..., Any], client: Any) -> None:
    fpml = two_versions
    assert aliases(client) == {"challenger": "2", "champion": "1"}
    said = json.loads(fpml("promote", "reconstruct", "--json").out)
    assert said["decision"] == "promoted", said["reason"]
    assert said["champion"] == "1"
    assert said["gain"][0] > 0.05
    first = said["metrics"][0]
    assert set(first) == {"metric", "part", "challenger", "champion", "better"}
    assert first["metric"] == "psnr_mask"
    assert all(m["better"] == ("challenger" if m["challenger"] < m["champion"] else "champion")
               for m in said["metrics"] if m["metric"] == "mse")  # fmt: skip
    assert aliases(client) == {"challenger": "2", "champion": "2"}
    tags = client.get_model_version("reconstruct", "2").tags
    assert tags["promotion.decision"] == "promoted"
    assert tags["promotion.champion_before"] == "1"
    assert tags["promotion.reason"] == said["reason"]
    assert "it is the champion already" in fpml("promote", "reconstruct").out

    assert "version 1 is champion again" in fpml("rollback", "reconstruct").out
    assert aliases(client)["champion"] == "1"
    for _ in range(2):
        refused = json.loads(fpml("promote", "reconstruct", "--json").out)
        assert (refused["decision"], refused["reason"]) == ("refused", "it was champion and rolled back")
    assert client.get_model_version("reconstruct", "2").tags["promotion.decision"] == "refused"
    assert "there is none to go back to" in fpml("rollback", "reconstruct", code=2).err
    assert "by hand: looked at it" in fpml("promote", "reconstruct", "--anyway", "looked at it").out
    assert aliases(client)["champion"] == "2"


def test_a_challenger_on_other_data_is_compared_on_the_prints_of_both(
    project: Path, two_versions: Callable[..., Any], client: Any
) -> None:
    fpml = two_versions
    (project / "raw" / "other" / "p2.png").unlink()
    for stage in (("ingest", "other"), ("prepare", "reconstruct"), ("split", "reconstruct"), ("train", "reconstruct"),
                  ("evaluate", "reconstruct")):  # fmt: skip
        fpml(*stage)
    said = fpml("promote", "reconstruct").out
    assert "promoted; psnr_mask gains" in said
    assert "prints that both held out" in said
    assert aliases(client)["champion"] == "2"


def test_two_at_once_cannot_both_win(project: Path, two_versions: Callable[..., Any], client: Any) -> None:
    command = [sys.executable, "-m", "fpml.cli", "promote", "reconstruct", "--json"]
    both = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [p.communicate(timeout=120) for p in both]
    promoted = [out for out, _ in said if '"decision": "promoted"' in out and "already" not in out]
    assert len(promoted) == 1, said
    assert aliases(client)["champion"] == "2"
    assert not client.search_registered_models("name = 'reconstruct.promotion-lock'")


def test_a_lock_is_respected_unless_its_holder_is_long_dead(
    trained: Callable[..., Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_registered_model("reconstruct.promotion-lock", description="held by another")
    now = time.time
    assert (
        "another promotion of 'reconstruct' is under way; nothing was changed" in trained("promote", "reconstruct", code=2).err
    )
    assert "champion" not in aliases(client)
    with monkeypatch.context() as clock:  # put back by two hours
        clock.setattr(time, "time", lambda: now() - 7200)
        assert "is under way" in trained("promote", "reconstruct", code=2).err
    monkeypatch.setattr(promotion_lock, "LOCK_SECONDS", -1)
    assert "is removed" in trained("promote", "reconstruct").err
    assert aliases(client)["champion"] == "1"


def test_nothing_to_promote(prepared: Callable[..., Any]) -> None:
    assert "run: fpml register reconstruct" in prepared("promote", "reconstruct", code=2).err
    assert "name the runs" in prepared("promote", "--anyway", "x", code=2).err
    assert "--anyway is empty" in prepared("promote", "reconstruct", "--anyway", " ", code=2).err
