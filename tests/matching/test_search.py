from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fpml.matching import search
from fpml.matching.cylinders import cylinders
from fpml.matching.match import match
from fpml.matching.search import Index, code, index_of
from fpml.matching.template import Template, from_table
from fpml.matching.texture import kept
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


def with_skin(of: Template, finger: int, again: int = 0, model: str = "one") -> Template:
    """With textures, much alike in two prints of a finger."""
    own, noise = (np.random.default_rng(seed).standard_normal((len(of), 64)) for seed in ([finger], [finger, again]))
    texture = own + 0.4 * noise
    return replace(of, texture=kept(texture / np.linalg.norm(texture, axis=1, keepdims=True)), texture_of=model)


def test_the_skin_finds_what_places_alone_would_not(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """All prints have nearly the same minutiae; of the first step's one candidate the skin decides."""
    monkeypatch.setattr(search, "FIRST", 1)
    prints = [with_skin(made(5, noise=1.5, again=finger), finger) for finger in range(30)]
    index = indexed(prints)
    for finger in range(0, 30, 7):
        probe = with_skin(made(5, noise=1.5, again=100 + finger), finger, again=1)
        assert search.search(index, probe, 1)[0][0] == finger


@pytest.mark.parametrize("probe_skin", ["one", "another", ""])
def test_prints_without_skin_and_with_another_model_s_are_found_by_places(
    made: Make, monkeypatch: pytest.MonkeyPatch, probe_skin: str
) -> None:
    monkeypatch.setattr(search, "FIRST", 6)
    monkeypatch.setattr(search, "SECOND", 3)
    kinds = {0: "one", 1: "another", 2: ""}
    prints = [with_skin(made(finger), finger, 0, kinds[finger % 3]) for finger in range(30)]
    prints = [replace(p, texture=None) if p.texture_of == "" else p for p in prints]
    index = indexed(prints)
    for finger in (3, 4, 5):
        probe = with_skin(made(finger, 0.3, (5, -9), noise=1.0, again=1), finger, 1, probe_skin)
        if not probe_skin:
            probe = replace(probe, texture=None)
        assert search.search(index, probe, 1)[0][0] == finger


def test_bits_of_different_things_do_not_count() -> None:
    codes = np.random.default_rng(0).integers(0, 2**64, (5, 4), dtype=np.uint64)
    bits = np.unpackbits(codes.view(np.uint8).reshape(5, 32), axis=1)
    assert (search._different(codes, codes[2], False) == (bits != bits[2]).sum(1)).all()
    assert (search._different(codes, codes[2], True) == 2 * (bits[:, :128] != bits[2, :128]).sum(1)).all()
    opposite = np.stack([codes[0], ~codes[0]])
    assert search._different(opposite, codes[0], np.array([False, True])).tolist() == [0, 256]
    assert search._different(opposite, codes[0], np.array([True, False])).tolist() == [0, 256]
