import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpml.base.errors import FpmlError
from fpml.data.split import split
from fpml.settings.recipe import Split, SplitWithinFingers


def index(fingers: list[int], hashes: list[int], subjects: list[int | None], roles: list[str]) -> pd.DataFrame:
    return pd.DataFrame({
        "image_id": [f"d/{i}" for i in range(len(fingers))], "dataset": "d", "sensor": "s",
        "finger_id": [f"d/{f}" for f in fingers], "sha256": [str(h) for h in hashes],
        "subject": pd.array([None if s is None else str(s) for s in subjects], "string"), "role": roles,
    })  # fmt: skip


PRINTS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 60), st.integers(0, 5), st.sampled_from(["train", "train", "test"])),
    min_size=4,
    max_size=80,
)


@given(PRINTS, st.sampled_from(["finger", "subject"]), st.floats(0.05, 0.9), st.integers(0, 50))
@settings(max_examples=200, deadline=None)
def test_no_finger_subject_or_identical_picture_is_on_two_sides(prints: list, by: str, share: float, seed: int) -> None:  # type: ignore[type-arg]
    fingers, hashes, subjects, roles = (list(column) for column in zip(*prints, strict=True))
    subjects = [f // 3 for f in fingers]  # a finger has one owner
    table = index(fingers, hashes, subjects, roles)
    try:
        sides = split(table, Split(by=by, validation=share, seed=seed))["side"].to_numpy(object)
    except FpmlError:
        return  # too few prints for this share
    owner = np.array(subjects if by == "subject" else fingers)
    for key in (owner, np.array(hashes)):
        for value in set(key):
            met = set(sides[key == value]) - {"excluded"}
            assert not {"train", "validation"} <= met
            assert not {"train", "unseen"} <= met
    assert set(sides[np.array(roles) == "train"]) <= {"train", "validation"}


def test_by_image_may_leak_and_has_exact_shares() -> None:
    table = index([0] * 50 + [1] * 50, list(range(100)), [None] * 100, ["train"] * 100)
    sides = split(table, Split(by="image", validation=0.2, seed=1))["side"]
    assert (sides == "validation").sum() == 20
    assert (sides[:50] == "train").any()
    assert (sides[:50] == "validation").any()


def test_every_sensor_is_divided() -> None:
    table = index(list(range(40)), list(range(40)), [None] * 40, ["train"] * 40)
    table["sensor"] = ["a"] * 20 + ["b"] * 20
    sides = split(table, Split(by="finger", validation=0.2, seed=1))["side"]
    assert (sides[:20] == "validation").sum() == (sides[20:] == "validation").sum() == 4


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    table = index(list(range(40)), list(range(40)), [None] * 40, ["train"] * 40)
    one, two, other = (split(table, Split(by="finger", validation=0.5, seed=s)) for s in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(other)


@pytest.mark.parametrize("by", ["image", "finger", "subject"])
def test_new_data_leave_almost_every_known_print_on_its_side(by: str) -> None:
    def sides(fingers: int) -> pd.Series:
        numbers = list(range(fingers))
        table = index(numbers, numbers, numbers, ["train"] * fingers)
        return split(table.sample(frac=1, random_state=fingers), Split(by=by, validation=0.2, seed=1)).set_index("image_id")[
            "side"
        ]

    before, after = sides(200), sides(220)
    moved = (before != after[before.index]).sum()
    assert moved <= 12  # drawn anew, 64 would: 2 × 0.2 × 0.8 of 200
    assert (after == "validation").sum() == 44


def test_new_fingers_leave_almost_every_known_one_unseen_or_trained_on() -> None:
    def sides(fingers: int) -> pd.Series:
        numbers = [f for f in range(fingers) for _ in range(5)]
        table = index(numbers, list(range(len(numbers))), [None] * len(numbers), ["train"] * len(numbers))
        table[["source_id", "alteration"]] = None
        return split(table, SplitWithinFingers(unseen=0.25, test=2, validation=0.2, seed=1)).set_index("image_id")["side"]

    before, after = sides(100), sides(110)
    assert (before != after[before.index]).sum() <= 6 * 5
    assert after.value_counts().to_dict() == {"unseen": 28 * 5, "test": 82 * 2, "train": 82 * 2, "validation": 82}


def test_an_empty_side_is_an_error() -> None:
    with pytest.raises(FpmlError, match=r"leaves 'validation' empty: 1 finger"):
        split(index([1, 1], [1, 2], [None] * 2, ["train"] * 2), Split(by="finger", validation=0.2, seed=1))
    # Ten fingers, one of them held out; the test prints are of the others.
    table = index([*range(10), *range(10)], list(range(20)), [None] * 20, ["train"] * 10 + ["test"] * 10)
    sides = split(table, Split(by="finger", validation=0.1, seed=1))["side"]
    known = table[(table["role"] == "train") | (sides == "excluded")].reset_index(drop=True)
    with pytest.raises(FpmlError, match="'unseen' empty"):
        split(known, Split(by="finger", validation=0.1, seed=1))
    with pytest.raises(FpmlError, match="whose it is"):
        split(index([1, 2], [1, 2], [None] * 2, ["train"] * 2), Split(by="subject", validation=0.5, seed=1))


def test_an_unseen_sensor_does_not_show_fingers_that_were_trained_on() -> None:
    table = index([1, 2, 1, 2, 3], [1, 2, 3, 4, 5], [None] * 5, ["train", "train", "test", "test", "test"])
    sides = split(table, Split(by="finger", validation=0.5, seed=1))["side"].tolist()
    trained = sides.index("train")
    assert sides[2 + trained] == "excluded"
    assert sides[4] == "unseen"
