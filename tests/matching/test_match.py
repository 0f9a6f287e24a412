import numpy as np
import pytest

from fpml.matching.cylinders import CODE, PUBLISHED, Code, cylinders
from fpml.matching.match import Rule, match, similarities
from fpml.matching.template import from_table
from tests.matching.conftest import Make


@pytest.mark.parametrize("turned", np.linspace(0, 2 * np.pi, 9)[1:-1])
@pytest.mark.parametrize("code", [CODE, PUBLISHED], ids=["ours", "published"])
def test_a_print_turned_and_moved_is_the_same_print(made: Make, turned: float, code: Code) -> None:
    """A sign turned about in one rotation lets this fall to an impostor's score, but for half and no turn."""
    a = cylinders(made(1), code)
    b = cylinders(made(1, turned=turned, shifted=(31, -17)), code)
    wide = Rule(turned=np.pi)  # directions may differ by any angle
    assert match(a, b, wide).score > 0.98
    assert match(a, a, wide).score > 0.98


def test_pairs_are_the_minutiae_that_belong_together(made: Make) -> None:
    a, b = made(2), made(2, turned=0.3, shifted=(12, 5))
    found = match(cylinders(a), cylinders(b))
    assert len(found.pairs) >= 8
    assert (found.pairs[:, 0] == found.pairs[:, 1]).all()
    assert (np.diff(found.support) <= 0).all()


def test_mates_score_higher_than_strangers(made: Make) -> None:
    codes = {(f, i): cylinders(made(f, 0.2 * i, lost=0.2, false=0.2, noise=1.5, again=i)) for f in range(8) for i in (1, 2)}
    mates = [match(codes[f, 1], codes[f, 2]).score for f in range(8)]
    strangers = [match(codes[f, 1], codes[g, 2]).score for f in range(8) for g in range(8) if f != g]
    assert min(mates) > max(strangers)


def test_what_relaxation_adds(made: Make) -> None:
    """Pairs alike in themselves that don't fit each other lose: a print whose halves were exchanged is no mate."""
    a = made(3)
    table = a.table()
    table[:, 0] = np.where(table[:, 0] < 170, table[:, 0] + 400, table[:, 0] - 130)  # what lay left now lies far right
    torn = from_table(table, 800, 380)
    whole = match(cylinders(a), cylinders(a)).score
    assert match(cylinders(a), cylinders(torn)).score < 0.8 * whole
    alone = Rule(rounds=0)
    loss = match(cylinders(a), cylinders(torn), alone).score / match(cylinders(a), cylinders(a), alone).score
    assert match(cylinders(a), cylinders(torn)).score / whole < loss


def test_similarity_by_the_formula(made: Make) -> None:
    """1 - |a - b| / (|a| + |b|) over the cells that count in both, written out for one pair."""
    a, b = cylinders(made(4)), cylinders(made(5))
    alike = similarities(a, b, Rule(turned=np.pi))
    assert alike.shape == (len(a), len(b))
    both = np.repeat(a.counts[3] * b.counts[7], CODE.layers) > 0
    first, second = a.values[3][both], b.values[7][both]
    wanted = 1 - np.linalg.norm(first - second) / (np.linalg.norm(first) + np.linalg.norm(second))
    assert alike[3, 7] == pytest.approx(wanted, abs=1e-5)
    narrow = similarities(a, b, Rule(turned=0.1))
    apart = np.abs((a.lie.angle[:, None] - b.lie.angle + np.pi) % (2 * np.pi) - np.pi)
    assert (narrow[apart > 0.11] == 0).all()


@pytest.mark.parametrize("count", range(4))
def test_too_few_minutiae_match_nothing(made: Make, count: int) -> None:
    few = made(6).take(np.arange(count))
    assert match(cylinders(few), cylinders(made(6))).score == 0
    assert len(match(cylinders(few), cylinders(few)).pairs) == 0


def test_minutiae_on_one_line(made: Make) -> None:
    table = made(7).table()
    table[:, 1] = 100
    assert len(cylinders(from_table(table, 340, 380))) == 0
