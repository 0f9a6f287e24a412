import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fpml.tracking.drift import STATISTICS, compare, measure
from tests.conftest import make_print


def numbers(seed: int, shift: float = 0, count: int = 200) -> pd.DataFrame:
    return pd.DataFrame({"grey": np.random.default_rng(seed).normal(100 + shift, 10, count)})


def test_two_draws_of_one_set_do_not_drift() -> None:
    drifted = [bool(compare(numbers(2 * n), numbers(2 * n + 1), 0.1)["drifted"].any()) for n in range(100)]
    assert sum(drifted) <= 5  # CHANCE is 1 %


def test_a_shift_is_drift_where_it_is_over_the_limit() -> None:
    (row,) = compare(numbers(0), numbers(1, shift=10), 0.2).to_dict("records")
    assert row["drifted"]
    assert row["distance"] == pytest.approx(0.38, abs=0.1)  # of two normals one spread apart: 2Φ(1/2) - 1
    assert not compare(numbers(0), numbers(1, shift=10), 0.6)["drifted"].any()
    assert not compare(numbers(0, count=3), numbers(1, shift=10, count=3), 0.2)["drifted"].any()  # three prints are chance


def test_near_to_the_training_prints_is_no_drift() -> None:
    near, far = (numbers(n, shift).rename(columns={"grey": "embedding"}) for n, shift in ((0, 0), (1, 20)))
    assert compare(near, far, 0.2)["drifted"].all()
    assert not compare(far, near, 0.2)["drifted"].any()
    grey = [frame.rename(columns={"embedding": "grey"}) for frame in (far, near)]
    assert compare(*grey, 0.2)["drifted"].all()


def test_statistics_are_what_they_are_called() -> None:
    fine, coarse = (np.stack([make_print(n, 128, 128, period) for n in range(4)]) for period in (6.0, 12.0))
    inside = np.zeros((4, 128, 128), np.uint8)
    inside[:, 32:96, 32:96] = 1
    a, b = measure(fine, inside, 500), measure(coarse, inside, 500)
    assert list(a.columns) == [s for s in STATISTICS if s != "embedding"]
    assert a["period"].mean() == pytest.approx(6, rel=0.25)
    assert b["period"].mean() == pytest.approx(12, rel=0.25)
    assert measure(fine, inside, 250)["period"].to_numpy() == pytest.approx(2 * a["period"].to_numpy())
    assert (a["area"] == 0.25).all()
    grey = np.full((1, 64, 64), 100, np.uint8)
    flat = measure(grey, np.ones_like(grey), 500)
    assert flat["grey"].iat[0] == pytest.approx(100)
    assert flat["contrast"].iat[0] == pytest.approx(0, abs=1e-4)
    dark = measure((fine * 0.5).astype(np.uint8), inside, 500)
    assert dark["contrast"].mean() == pytest.approx(a["contrast"].mean() / 2, rel=0.05)


def test_given_pictures_are_compared_and_logged(project: Path, trained: Callable[..., Any], client: Any) -> None:
    (project / "dark").mkdir()
    for number in range(10):
        Image.fromarray((make_print(700 + number, period=14) * 0.3).astype(np.uint8)).save(project / "dark" / f"{number}.png")
    with pytest.raises(SystemExit) as ended:
        trained("drift", "reconstruct", "dark", "--json")
    assert ended.value.code == 1
    with pytest.raises(SystemExit):
        trained("drift", "reconstruct", "dark")
    experiment = client.get_experiment_by_name("fpml").experiment_id
    (run,) = client.search_runs([experiment], "tags.`fpml.drift` = 'reconstruct'")
    assert [m.step for m in client.get_metric_history(run.info.run_id, "drift/grey")] == [0, 1]  # a curve over time
    assert run.data.metrics["drift/grey"] > 0.9
    folder = project / ".fpml" / "drift" / "reconstruct"
    assert {p.name for p in folder.iterdir()} == {"drift.png", "table.parquet"}
    table = pd.read_parquet(folder / "table.parquet").set_index("statistic")
    assert table.loc["grey", "drifted"]
    assert list(table.index) == list(STATISTICS)


def test_prints_that_came_since_training(
    project: Path, trained: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "0 new prints; two are needed" in trained("drift", "reconstruct").out
    for number in range(10):
        Image.fromarray(make_print(2000 + number)).save(project / "raw/prints/DB1_B" / f"{80 + number}_1.tif")
    error = trained("drift", "reconstruct", code=2).err
    assert "10 files of prints are in no manifest yet" in error
    assert "run: dvc repro ingest@prints" in error
    trained("ingest", "prints")
    said = trained("drift", "reconstruct", "--json").out
    found = json.loads(said.splitlines()[-1])
    assert found["prints"] == 10
    assert found["drifted"] == []
    assert not list((project / ".fpml" / "drift").rglob("*.npy"))  # no print stays there


def test_pictures_that_are_none(project: Path, trained: Callable[..., Any]) -> None:
    (project / "text.png").write_text("no picture", encoding="utf-8")
    assert "none of the 1 pictures can be used" in trained("drift", "reconstruct", "text.png", code=2).err
    assert not (project / ".fpml" / "drift" / "reconstruct").exists()
    assert "no run 'nobody'" in trained("drift", "nobody", code=2).err
