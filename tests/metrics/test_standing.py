"""How a model stands beside its baselines, on cases solved by hand."""

import numpy as np
import pandas as pd
import pytest

from fpml.metrics.results import Row, as_table
from fpml.metrics.standing import ALONE, BETTER, LEVEL, NO_INTERVAL, WORSE, answer, standings


def row(
    method: str, value: float, metric: str = "psnr", half: float = np.nan, side: str = "validation", part: str = "a"
) -> Row:
    low, high = value - half, value + half
    return Row(side=side, part=part, method=method, metric=metric, value=value, low=low, high=high, prints=4, fingers=4)


def scores(side: str, part: str, **methods: list[float]) -> pd.DataFrame:
    """psnr of prints, one of each finger."""
    rows = [
        {"side": side, "part": part, "image_id": f"{part}{n}", "finger_id": f"{part}{n}", "method": m, "psnr": v}
        for m, values in methods.items()
        for n, v in enumerate(values)
    ]
    return pd.DataFrame(rows)


NO_SCORES = pd.DataFrame({"nearest": ["x"]})


@pytest.mark.parametrize(
    ("metric", "model", "baseline", "verdict"),
    [("psnr", 9.0, 5.0, BETTER), ("psnr", 5.0, 9.0, WORSE), ("mse", 5.0, 9.0, BETTER), ("mse", 9.0, 5.0, WORSE),
     ("psnr", 5.5, 5.0, LEVEL), ("mse", 5.5, 5.0, LEVEL)],
)  # fmt: skip
def test_two_intervals_that_lie_apart(metric: str, model: float, baseline: float, verdict: str) -> None:
    table = as_table([row("model", model, metric, 1), row("PCA", baseline, metric, 1)])
    (found,) = standings(table, NO_SCORES).values()
    assert (found.verdict, found.by, found.baseline) == (verdict, "both intervals", "PCA")


def test_numbers_without_intervals_say_so() -> None:
    (found,) = standings(as_table([row("model", 2.0, "kid"), row("draws of PCA", 0.3, "kid")]), NO_SCORES).values()
    assert (found.verdict, found.by) == (WORSE, NO_INTERVAL)
    assert found.sentence == "KID by the judge: 2.0000 beside 0.3000 (draws of PCA); worse, no interval"


def test_what_is_best_in_between_is_not_judged() -> None:
    (found,) = standings(
        as_table([row("model", 0.53, "memorised"), row("draws of PCA", 0.45, "memorised")]), NO_SCORES
    ).values()
    assert (found.verdict, found.baseline) == (ALONE, "")


def test_what_real_prints_score_is_said_and_is_no_baseline() -> None:
    rows = [row("model", 2.0, "kid"), row("draws of PCA", 6.0, "kid"), row("real against real", 0.3, "kid")]
    (found,) = standings(as_table(rows), NO_SCORES).values()
    assert (found.verdict, found.baseline, found.limit, found.limit_value) == (BETTER, "draws of PCA", "real against real", 0.3)
    assert found.sentence.endswith("6.0000 (draws of PCA); better, no interval; real against real: 0.3000")
    (alone,) = standings(as_table([rows[0], rows[2]]), NO_SCORES).values()
    assert alone.sentence.endswith("2.0000; no baseline; real against real: 0.3000")


def test_the_best_baseline_counts_and_a_variant_or_a_floor_is_none() -> None:
    table = as_table([row("model", 5), row("PCA", 1), row("copy", 4), row("clahe, then model", 9), row("floor", 9)])
    (found,) = standings(table, NO_SCORES).values()
    assert (found.baseline, found.baseline_value) == ("copy", 4)
    (alone,) = standings(as_table([row("model", 5), row("floor", 9)]), NO_SCORES).values()
    assert (alone.baseline, alone.verdict) == ("", ALONE)


def test_prints_compared_one_by_one_tell_more_than_two_intervals() -> None:
    """Wide intervals that overlap, and a gain of about 1 on every print."""
    found = scores("validation", "a", model=[11.0, 21.1, 31.0, 40.9], PCA=[10.0, 20.0, 30.0, 40.0])
    table = as_table([row("model", 26, half=15), row("PCA", 25, half=15)])
    (paired,) = standings(table, found).values()
    (apart,) = standings(table, NO_SCORES).values()
    assert (paired.verdict, apart.verdict) == (BETTER, LEVEL)
    assert paired.by.startswith("difference +0.9")


def test_the_answer_is_of_the_side_least_trained_on_over_all_its_prints() -> None:
    parts = {"x/1": [3.0, 3.2], "x/2": [5.0, 5.2]}
    table = as_table(
        [row(m, v, side="unseen", part=p) for p in parts for m, v in (("model", 4), ("PCA", 1))]
        + [row("model", 1), row("PCA", 9)]
    )
    found = pd.concat([scores("unseen", p, model=v, PCA=[1.0, 1.0]) for p, v in parts.items()])
    said = answer(standings(table, found), found, "psnr")
    assert (said.side, said.part, said.verdict, said.prints) == ("unseen", "x", BETTER, 4)
    assert said.value == pytest.approx(4.1)


def test_an_answer_without_single_prints_is_of_the_part_that_gains_least() -> None:
    table = as_table(
        [row(m, v, "eer", side="unseen", part=p) for p, m, v in
         [("1", "model", 5), ("1", "PCA", 9), ("2", "model", 8), ("2", "PCA", 7), ("3", "model", 1), ("3", "PCA", 9)]]
    )  # fmt: skip
    assert answer(standings(table, NO_SCORES), NO_SCORES, "eer").part == "2"


def test_a_model_without_a_number_is_worse() -> None:
    """As one that was trained for some steps, and found no minutia in any print."""
    table = as_table([row("model", np.nan), row("PCA", 1)])
    found = answer(standings(table, NO_SCORES), NO_SCORES, "psnr")
    assert found.verdict == WORSE
    assert found.sentence.endswith(": the model gave no print a number")
