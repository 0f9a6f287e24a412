from collections.abc import Sequence

import numpy as np
import pytest

from fpml.matching import search
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.matching.search import Index, code, index_of
from fpml.matching.template import Template, from_table
from tests.matching.conftest import Make


def indexed(templates: Sequence[Template]) -> Index:
    every = [cylinders(t) for t in templates]
    return index_of(templates, [code(c) for c in every], [c.minutiae for c in every])


@pytest.fixture
def many(made: Make) -> list[Template]:
    return [made(finger) for finger in range(60)]


def test_a_mate_is_found_among_many_with_its_full_score(
    made: Make, many: list[Template], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FIRST", 20)
    monkeypatch.setattr(search, "SECOND", 6)
    monkeypatch.setattr(search, "BATCH", 7)  # parts of the index that do not divide it evenly
    index = indexed(many)
    for finger in (0, 17, 59):
        probe = made(finger, 0.3, (14, -9), lost=0.2, false=0.2, noise=1.5, again=1)
        found = search.search(index, probe, 3)
        assert found[0][0] == finger
        assert found[0][1] == pytest.approx(match(cylinders(probe), cylinders(many[finger])).score, abs=1e-6)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_codes_tell_how_alike_cylinders_are(made: Make) -> None:
    """Of one finger's minutiae in two prints far fewer bits differ than of others, about half of which do."""
    a, b = cylinders(made(3)), cylinders(made(3, 0.5, (8, 3), noise=0.7, again=1))
    differ = np.bitwise_count(code(a)[:, None] ^ code(b)).sum(2) / search.BITS
    same = a.minutiae[:, None] == b.minutiae
    assert np.median(differ[same]) < 0.3
    assert np.median(differ[~same]) > 0.42


def test_prints_without_cylinders_are_in_nobody_s_way(made: Make, many: list[Template]) -> None:
    empty = from_table(np.empty((0, 5)), 300, 300)
    index = indexed([empty, many[0], empty, empty, many[1], empty])
    assert search.search(index, made(1, again=1), 2)[0][0] == 4
    assert search.search(index, empty, 2) == []
    assert search.search(indexed([empty, empty]), made(1), 2)[0][1] == 0
