"""Undoing, with networks whose answers are known: what is found is exact, and what is not sure is left where it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fpml.alteration.apply import apply
from fpml.alteration.kinds import CLASSES, Obliteration, Rim, Rotation, ZCut, runs_of
from fpml.alteration.noise import cover
from fpml.alteration.seams import FARTHER, cut_strips, of_circle, turn_strips
from fpml.alteration.traces import Turn
from fpml.inference.alterations import RADIUS, UNIT, Run, fitted
from fpml.inference.undo import SURE, painted, repair
from tests.alteration.test_alteration import CUT_ONE, TURNED_ONE, disc, ridges

REAL = ridges(11)


def networks(true: Rotation | ZCut | Obliteration | None, kind: str, sharp: float = 400.0, off: float = 0.6) -> Run:
    """Networks that know what was done: find places a cut `off` pixels wrong, the judges compare with the real print's ridges
    (sharp: how much a difference of 1 counts), and polish paints nothing."""

    def run(outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        return [answers[name](inputs) for name in outputs]

    def labels(inputs: dict[str, np.ndarray]) -> np.ndarray:
        height, width = (side // 2 for side in inputs["prints"].shape[2:])
        out = np.zeros((1, 5, height, width), np.float32)
        if isinstance(true, (Rotation, ZCut)):
            inside = np.zeros((2 * height, 2 * width), bool)
            inside[:97, :90] = true.map((97, 90)).moved
            label = 1 if isinstance(true, Rotation) else 2
            out[0, label] = np.where(inside[::2, ::2], 20, -20)
        return out

    def votes(inputs: dict[str, np.ndarray]) -> np.ndarray:
        height, width = (side // 2 for side in inputs["prints"].shape[2:])
        y, x = (2 * v + 0.5 for v in np.mgrid[:height, :width])
        out = np.zeros((1, 9, height, width), np.float32)
        if isinstance(true, Rotation):
            out[0, 0], out[0, 1] = (true.middle[0] - y) / UNIT, (true.middle[1] - x) / UNIT
            out[0, 8] = true.radius / RADIUS
        if isinstance(true, ZCut):
            for number, (at, grid) in enumerate(zip(np.ravel([true.v0, true.v1, true.v2]), (y, x) * 3, strict=True)):
                out[0, 2 + number] = (at + off * (-1) ** (number // 2) - grid) / UNIT
        return out

    def judged(strips: np.ndarray) -> np.ndarray:
        if isinstance(true, Rotation):
            want = turn_strips(REAL, [Turn(true.y, true.x, 0, 0.0, true.middle)], true.radius, FARTHER)[0, 0]
        elif not isinstance(true, ZCut):
            return np.zeros((len(strips), 2))
        else:
            want = cut_strips(apply(REAL, true)[0], [true])[0, 0]
        alike = -sharp * np.abs(strips[:, 0] - want).mean((1, 2))
        return np.stack([alike, np.zeros_like(alike)], 1)

    def covered(noises: np.ndarray) -> np.ndarray:
        """Sure of the region, beside the right noise."""
        out = np.zeros((len(noises), 1, *noises.shape[2:]), np.float32)
        if isinstance(true, Obliteration):
            right = np.rint(cover(true.noise, (97, 90), true.darkest))
            for one, (_, noise) in zip(out, noises, strict=True):
                one[0, :97, :90] = sharp / 400 * 0.9 * true.covered((97, 90)) * np.array_equal(noise[:97, :90], right)
        return out

    answers: dict[str, Callable[[dict[str, np.ndarray]], np.ndarray]] = {
        "labels": labels, "votes": votes, "kinds": lambda i: np.where(np.array(CLASSES) == kind, 5.0, -5.0)[None],
        "rim": lambda i: np.zeros((1, 2, 60)), "turned": lambda i: judged(i["turns"]), "cut": lambda i: judged(i["cuts"])[:, 0],
        "covered": lambda i: covered(i["noises"]),
        "repaired": lambda i: i["undone"].astype(np.float32) / 255, "wrong": lambda i: np.zeros(i["undone"].shape, np.float32),
    }  # fmt: skip
    return run


def test_a_turn_is_found_exactly_and_undone() -> None:
    altered, damage = apply(REAL, TURNED_ONE)
    made = repair(networks(TURNED_ONE, "CR"), altered)
    found = made.found
    assert found.kind == "CR"
    assert found.undone
    assert found.place["degrees"] == TURNED_ONE.degrees
    assert np.hypot(found.place["y"] - TURNED_ONE.y, found.place["x"] - TURNED_ONE.x) < 0.15
    error = np.abs(made.back.astype(float) - REAL)
    assert error[damage].mean() < 0.35 * np.abs(altered.astype(float) - REAL)[damage].mean()
    far = np.hypot(*(np.mgrid[:97, :90] - np.reshape(TURNED_ONE.middle, (2, 1, 1)))) > 26
    np.testing.assert_array_equal(np.rint(made.picture * 255)[far], altered[far])  # undamaged pixels keep their value exactly
    assert (made.damage[damage] > 0.5).mean() > 0.95


@pytest.mark.parametrize("degrees", [90, -91, 178])
def test_a_turn_by_a_quarter_or_a_half_is_found_without_waves(degrees: int) -> None:
    true = disc(degrees)
    found = repair(networks(true, "CR"), apply(REAL, true)[0]).found
    assert found.undone
    assert abs(found.place["degrees"] - degrees) <= 1
    assert np.hypot(found.place["y"] - true.y, found.place["x"] - true.x) < 0.5


def test_a_cut_is_found_and_undone() -> None:
    altered, damage = apply(REAL, CUT_ONE)
    made = repair(networks(CUT_ONE, "Zcut"), altered)
    assert made.found.kind == "Zcut"
    assert set(made.found.place) == {"v0", "v1", "v2", "v3"}
    before, after = (np.abs(p.astype(float) - REAL)[damage].mean() for p in (altered, made.back))
    assert after < 0.7 * before


REGION = np.hypot((np.arange(97)[:, None] - 48) / 22, (np.arange(90)[None] - 44) / 18) < 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_noise_is_told_from_the_others_and_taken_off(number: int) -> None:
    true = Obliteration(48.0, 44.0, runs_of(REGION), number, float(REAL.min()))
    altered, damage = apply(REAL, true)
    made = repair(networks(true, "Obl"), altered)
    assert made.found.undone
    assert made.found.place == {"y": 48.0, "x": 44.0, "pixels": int(REGION.sum()), "noise": number}
    before, after = (np.abs(p.astype(float) - REAL)[damage].mean() for p in (altered, made.back))
    assert after < 0.05 * before
    np.testing.assert_array_equal(np.rint(made.picture * 255)[~damage], altered[~damage])
    assert (made.damage[damage] == 1).all()
    unsure = repair(networks(true, "Obl", sharp=0.5), altered)
    assert not unsure.found.undone
    np.testing.assert_array_equal(unsure.back, altered)


def test_what_looks_obliterated_by_no_known_noise_may_be_a_turned_disc() -> None:
    altered, damage = apply(REAL, TURNED_ONE)
    made = repair(networks(TURNED_ONE, "Obl"), altered)
    assert made.found.kind == "CR"
    assert made.found.undone
    assert made.found.place["degrees"] == TURNED_ONE.degrees
    assert np.abs(made.back.astype(float) - REAL)[damage].mean() < 0.35 * np.abs(altered.astype(float) - REAL)[damage].mean()
    unsure = repair(networks(TURNED_ONE, "Obl", sharp=0.0), altered).found
    assert unsure.kind == "Obl"
    assert not unsure.undone


def test_what_is_not_sure_is_painted_over_alone() -> None:
    quarter = disc(90)  # which leaves no waves either
    altered, _ = apply(REAL, quarter)
    run = networks(quarter, "CR", sharp=0.0)
    made = repair(run, altered)
    assert not made.found.undone
    assert made.found.placed < SURE["CR"]
    np.testing.assert_array_equal(made.back, altered)
    np.testing.assert_array_equal(made.picture, painted(run, altered))


def test_a_cut_whose_place_is_not_sure_is_left_as_it_is() -> None:
    altered, _ = apply(REAL, CUT_ONE)
    inner = networks(CUT_ONE, "Zcut", sharp=0.0)

    def run(outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        found = inner(outputs, **inputs)
        return [1 - f if name == "repaired" else f for name, f in zip(outputs, found, strict=True)]

    assert not np.array_equal(np.rint(painted(run, altered) * 255), altered)
    made = repair(run, altered)
    assert not made.found.undone
    assert made.found.kind == "Zcut"
    np.testing.assert_array_equal(np.rint(made.picture * 255), altered)


@pytest.mark.parametrize(("kind", "same"), [("none", True), ("Obl", False)])
def test_nothing_is_moved_where_nothing_was(kind: str, same: bool) -> None:
    calls: list[Any] = []
    inner = networks(None, kind)

    def run(outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        calls.extend(outputs)
        return inner(outputs, **inputs)

    made = repair(run, REAL)
    np.testing.assert_array_equal(np.rint(made.picture * 255), REAL)
    assert made.found.kind == kind
    assert made.found.place == {}
    assert ("repaired" in calls) != same  # an unaltered print is not even painted


def test_a_rim_s_answers_are_added_up_as_torch_adds_them_up() -> None:
    import torch

    from fpml.models import undo

    basis, moved = of_circle(60), [1.5, -0.5, 2.0]
    answers = np.stack([basis @ moved, np.zeros(60)])
    assert fitted(answers, basis) == pytest.approx(moved, abs=0.06)
    answers[1] = np.random.default_rng(0).normal(0, 2, 60)
    theirs = undo.fitted(torch.from_numpy(answers)[None], torch.from_numpy(basis))
    assert fitted(answers, basis) == pytest.approx(theirs[0].tolist(), abs=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = undo.fitted(torch.from_numpy(answers)[None].float(), torch.from_numpy(basis).float())
    assert fitted(answers, basis) == pytest.approx(theirs[0].tolist(), abs=1e-4)


def test_the_model_that_comes_with_fpml_tells_altered_prints_from_others() -> None:
    """On a generated print: a disc turned by 120° is found and told by its kind; the print itself is left as it is."""
    import fpml
    from fpml.synth.generate import generate

    real = generate(1, 1, "socofing", 8, "normal").pictures[0][2:-4, 2:-4]
    disc = Rotation(50.0, 45.0, 26.0, 120, Rim("ring", 26.0, 1.5, 8.0))
    left, turned = fpml.load("repair-1").repair([real, apply(real, disc)[0]], dpi=180)
    assert left.found is not None
    assert left.found.kind == "none"
    np.testing.assert_array_equal(left.picture, real)
    assert turned.found is not None
    assert turned.found.kind == "CR"
    assert np.hypot(turned.found.place["y"] - 50, turned.found.place["x"] - 45) < 3
