"""Alterations: drawn within their ranges, exact, undone; and their traces, seams and candidates."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fpml.alteration.apply import apply, bilinear
from fpml.alteration.draw import BASE, CUT, DRAWN, LEVELS, TURNED, draw
from fpml.alteration.kinds import MOVED, Obliteration, Rim, Rotation, Scar, ZCut, as_dict, from_dict, runs_of, turned
from fpml.alteration.noise import KNOWN, cover, pictures, unblended, weights
from fpml.alteration.seams import cut_strips, turn_strips
from fpml.alteration.traces import Turn, cuts, quarters, sharpness, turns
from fpml.alteration.undo import undo
from fpml.base.errors import FpmlError


def ridges(seed: int, period: float = 3.3, height: int = 97, width: int = 90) -> np.ndarray:
    """Sharp rings round a middle below the picture, with breaks: uint8 (height, width)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height * 0.9, (x - width / 2) * 0.9)
    wave = np.cos(2 * np.pi * far / period + 0.8 * np.cos(x / 17 + seed)) + rng.normal(0, 0.25, far.shape)
    return np.where(wave > 0, 10, 250).astype(np.uint8)


def disc(degrees: int) -> Rotation:
    place, middle = turned((48, 43), degrees, (1, 0))
    return Rotation(*place, 25.0, degrees, None, (middle[0] - place[0], middle[1] - place[1]))


TURNED_ONE = disc(131)
CUT_ONE = ZCut((36.1, 69.9), (34.0, 34.0), (62.1, 17.8))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dpi", [180.0, 500.0])
def test_what_is_drawn_keeps_its_ranges_and_says_all(kind: str, level: str, dpi: float) -> None:
    scale = dpi / 180
    picture = ridges(1, 3.3 * scale, round(97 * scale), round(90 * scale))
    rng = np.random.default_rng(3)
    for _ in range(6):
        drawn = draw(picture, kind, level, rng, dpi)
        again = from_dict(json.loads(json.dumps(as_dict(drawn))))
        assert again == drawn
        altered, damage = apply(picture, again)
        assert (altered[~damage] == picture[~damage]).all()
        assert 0.001 < (altered != picture).mean() <= damage.mean() < 0.7
        if isinstance(drawn, Rotation):
            low, high = TURNED[level].radius
            assert low * scale <= drawn.radius <= high * scale
            assert TURNED[level].degrees[0] <= abs(drawn.degrees) <= TURNED[level].degrees[1]
            first = np.reshape(_turned(drawn, *(np.array([[v]]) for v in drawn.middle)), 2)
            np.testing.assert_allclose(first, drawn.first)
            np.testing.assert_allclose(first, np.rint(first), atol=1e-9)  # a pixel
            moved = np.reshape(_turned(drawn, *(np.array([[v]]) for v in first)), 2) - first
            assert all(v in [round(scale * m) for m in MOVED] for v in np.rint(moved))
            np.testing.assert_allclose(moved, np.rint(moved), atol=1e-9)
        elif isinstance(drawn, ZCut):
            b, e = np.subtract(drawn.v2, drawn.v1), np.subtract(drawn.v0, drawn.v1)
            assert CUT[level][0] * scale <= np.hypot(*e) <= CUT[level][1] * scale
            assert BASE[0] <= np.hypot(*b) / np.hypot(*e) <= BASE[1]
            assert abs(np.hypot(*(b + e)) / np.hypot(*e) - 1) < 0.15  # V3 lies about as far from V1 as V0 does
            assert b[0] * e[1] - b[1] * e[0] > 0  # a Z, never its mirror image
        else:
            assert drawn.noise < KNOWN
            assert drawn.darkest == picture.min()
            covered = drawn.covered((picture.shape[0], picture.shape[1]))
            assert 90 * scale**2 <= covered.sum() <= np.pi * (60 * scale) ** 2
            bare = ~covered & (np.hypot(*(np.indices(covered.shape) - np.reshape([drawn.y, drawn.x], (2, 1, 1)))) < 8 * scale)
            assert not bare.any() or level == "Easy" or covered.sum() < 1500 * scale**2


def _turned(drawn: Rotation, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels at (y, x) come from, by hand."""
    c, s = np.cos(np.deg2rad(drawn.degrees)), np.sin(np.deg2rad(drawn.degrees))
    dy, dx = y - drawn.y, x - drawn.x
    return drawn.y + c * dy - s * dx, drawn.x + s * dy + c * dx


def test_a_level_changes_more_than_the_one_before() -> None:
    for kind in DRAWN:
        shares = []
        for level in LEVELS:
            rng = np.random.default_rng(0)
            shares.append(np.mean([apply(ridges(n), draw(ridges(n), kind, level, rng))[1].mean() for n in range(5)]))
        assert shares[0] < shares[1] < shares[2]


def test_a_turn_by_a_quarter_is_exact() -> None:
    """Round a pixel's middle no pixel is interpolated: by hand, numpy's rot90."""
    picture = ridges(2)
    altered, damage = apply(picture, Rotation(40.0, 40.0, 10.0, 90, None))
    here = np.s_[34:47, 34:47]
    inside = damage[here]
    np.testing.assert_array_equal(altered[here][inside], np.rot90(picture[here], -1)[inside])
    assert damage.sum() == (np.hypot(*np.mgrid[-9:10, -9:10]) < 10).sum()


def test_a_disc_is_turned_from_whole_pixels_by_whole_pixels() -> None:
    """By hand: a pixel p is taken from first + moved + R (p - first), and the middle from first."""
    place, middle = turned((48, 43), 131, (1, -2))
    one = Rotation(*place, 25.0, 131, None, (middle[0] - place[0], middle[1] - place[1]))
    made = one.map((97, 90))
    c, s = np.cos(np.deg2rad(131)), np.sin(np.deg2rad(131))
    by_hand = 48 + 1 + c * (50 - 48) - s * (40 - 43), 43 - 2 + s * (50 - 48) + c * (40 - 43)
    assert (made.from_y[50, 40], made.from_x[50, 40]) == pytest.approx(by_hand)
    assert one.first == pytest.approx((48, 43))


def test_a_z_cut_shears_two_triangles_against_each_other() -> None:
    """Along the base the ridges of the first triangle stay; its new apex V0 has what was at V3."""
    made = CUT_ONE.map((97, 90))
    on_base, at_apex = (48, 26), (37, 67)
    assert made.moved[on_base]
    assert made.moved[at_apex]
    assert abs(made.from_y[on_base] - on_base[0]) < 2
    shift = np.subtract([made.from_y[at_apex], made.from_x[at_apex]], at_apex)
    b = np.subtract(CUT_ONE.v2, CUT_ONE.v1)
    assert np.hypot(*(shift - 0.9 * b)) < 0.12 * np.hypot(*b)
    assert not made.moved[20, 70]


def test_covers_blend_and_a_scar_lies_on_its_stroke() -> None:
    picture = ridges(3)
    scarred = replace(CUT_ONE, scars=(Scar(20.0, 0.0, 1),) * 3)
    altered, _ = apply(picture, scarred)
    for at in (0.3, 0.6):
        y, x = np.rint(np.add(np.multiply(CUT_ONE.v0, 1 - at), np.multiply(CUT_ONE.v2, at))).astype(int)
        assert altered[y, x] > 190
    cone = Rotation(48.0, 44.0, 10.0, 40, Rim("cone", 21.0))
    np.testing.assert_allclose(cone.map((97, 90)).weight[48, 44], 0.85)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_rim_s_dots_lie_round_it_and_grow_together_where_they_are_many(scale: int) -> None:
    shape = (97 * scale, 90 * scale)
    far = np.hypot(*(np.indices(shape) - scale * np.reshape([48.0, 44.0], (2, 1, 1))))
    for dots, least, most in ((0.5, 0.02, 0.4), (20, 0.9, 1)):
        rim = Rim("ring", 25.0 * scale, 1.5 * scale, dots, seed=3, scale=scale)
        weight = rim.weight(48.0 * scale, 44.0 * scale, shape)
        assert least <= (weight[np.abs(far - 25 * scale) < scale] > 0).mean() <= most
        assert weight[np.abs(far - 25 * scale) > 9 * scale].max() == 0
        assert weight.max() == pytest.approx(1 / (1 + np.exp(-4)))


def test_noise_is_blended_in_by_depth_and_comes_off_again() -> None:
    """An egg's middle is nearly noise alone; of the ridges under it rounding leaves all but a little."""
    picture = np.maximum(ridges(3), 30)
    region = np.hypot((np.arange(97)[:, None] - 48) / 22, (np.arange(90)[None] - 44) / 18) < 1
    blot = Obliteration(48.0, 44.0, runs_of(region), 1, 30.0)
    np.testing.assert_array_equal(blot.covered((97, 90)), region)
    altered, damage = apply(picture, blot)
    np.testing.assert_array_equal(damage, region)
    inner = np.s_[44:52, 40:48]
    assert abs(np.corrcoef(altered[inner].ravel(), picture[inner].ravel())[0, 1]) < 0.7
    np.testing.assert_allclose(altered[inner], cover(1, (97, 90), 30.0)[inner], atol=16)
    made = blot.map((97, 90))
    assert made.weight[48, 44] == pytest.approx(1 / (1 + np.exp(-6 * 0.7)))
    back = unblended(altered, made.weight, made.cover)
    np.testing.assert_array_equal(back[~region], altered[~region])
    assert np.abs(back - picture)[region].mean() < 3 < 0.1 * np.abs(altered.astype(float) - picture)[region].mean()
    outside = replace(blot, runs=((-1, 0, 5), (3, -4, 2), (96, 88, 99), (120, 0, 9)))
    assert np.argwhere(outside.covered((97, 90))).tolist() == [[3, 0], [3, 1], [96, 88], [96, 89]]


def test_noise_reaches_as_far_as_a_picture_and_others_are_made_up() -> None:
    assert pictures().shape == (KNOWN, 97, 90)
    for number in range(KNOWN):
        small, large, fine = (cover(number, *of) for of in (((97, 90), 0.0), ((130, 200), 0.0), ((194, 180), 0.0, 2.0)))
        np.testing.assert_array_equal(large[:97, :90], small)
        np.testing.assert_array_equal(small, pictures()[number])
        assert np.corrcoef(fine[::2, ::2].ravel(), small.ravel())[0, 1] > 0.85
        assert 115 < small.mean() < 140
        assert cover(number, (97, 90), 80.0).min() >= 80
    # from coarse to fine
    steps = [np.abs(np.diff(p.astype(float), axis=1)).mean() / p.std() for p in pictures()]
    assert steps[0] < steps[1] < steps[2]
    one, again, other = (cover(seed, (60, 60), 0.0) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert 20 < one.std() < 110


def test_a_region_weighs_by_its_depth() -> None:
    square = np.zeros((30, 40), bool)
    square[5:26, 10:31] = True  # 11 pixels deep
    weight = weights(square)
    for depth in (1, 4, 11):
        assert weight[4 + depth, 20] == pytest.approx(1 / (1 + np.exp(-6 * (depth / 11 - 0.3))))
    assert weight[4, 20] == 0
    assert weights(np.ones((7, 7), bool))[0, 3] < weights(np.ones((7, 7), bool))[3, 3]  # beyond the picture nothing is covered
    assert weights(np.zeros((5, 5), bool)).max() == 0


@pytest.mark.parametrize("alteration", [TURNED_ONE, CUT_ONE], ids=["CR", "Zcut"])
def test_undoing_gives_the_real_print_back(alteration: Any) -> None:
    """Far better than interpolating a second time, which blurs what was blurred already."""
    picture = ridges(4)
    altered, _ = apply(picture, alteration)
    undone, home = undo(altered, alteration)
    np.testing.assert_array_equal(undone[~home], altered[~home])
    y, x, _ = alteration.back((97, 90))
    again = np.where(home, bilinear(altered.astype(float), y, x), altered)
    before, plain, solved = (np.abs(v - picture)[home].mean() for v in (altered.astype(float), again, undone))
    assert solved < 0.6 * plain < 0.6 * before


def test_an_alteration_beside_the_picture_does_nothing() -> None:
    far = replace(TURNED_ONE, y=300.0)
    altered, damage = apply(ridges(1), far)
    assert not damage.any()
    np.testing.assert_array_equal(undo(altered, far)[0], altered)


@pytest.mark.parametrize("degrees", [-170, -95, 64, 131])
def test_the_waves_tell_the_angle_and_the_centre(degrees: int) -> None:
    picture = ridges(6)
    true = disc(degrees)
    altered, _ = apply(picture, true)
    guess = true.middle[0] + 0.3, true.middle[1] - 0.4, 25.5
    found = turns(sharpness(altered), *guess, 160)
    [right] = [t for t in found if t.degrees == degrees and np.hypot(t.y - true.y, t.x - true.x) < 1e-6]
    assert right.score > found[0].score - 8
    assert right.middle == pytest.approx(true.middle)
    plain = turns(sharpness(picture), *guess, 160)
    assert plain[0].score < found[0].score - 3  # nothing was turned: the best is worth less


@pytest.mark.parametrize("degrees", [-90, 91, 180])
def test_turns_that_leave_no_waves_are_tried_all_the_same(degrees: int) -> None:
    true = disc(degrees)
    found = quarters(true.middle[0] - 0.4, true.middle[1] + 0.2, 25.5)
    near = [t for t in found if (t.degrees - degrees) % 360 == 0 and np.hypot(t.y - true.y, t.x - true.x) < 0.1]
    assert near
    assert len({(t.degrees, round(t.y, 2), round(t.x, 2)) for t in found}) == len(found)
    assert not quarters(true.middle[0], true.middle[1], 10.0)  # small discs are turned less


@pytest.mark.parametrize("more", [0, 220])
def test_the_waves_tell_the_shear_of_a_cut(more: int) -> None:
    """Also in a picture with more pixels than there are frequencies."""
    altered, _ = apply(np.pad(ridges(7), (0, more), constant_values=250), CUT_ONE)
    guess = ZCut((37.3, 70.7), (33.0, 33.0), (61.6, 19.3))
    b = np.subtract(CUT_ONE.v2, CUT_ONE.v1)
    normal = np.array([-b[1], b[0]]) / np.hypot(*b)

    def off(cut: ZCut) -> float:
        """Pixels by which base and lines are off."""
        lines = [abs(normal @ np.subtract(getattr(cut, v), getattr(CUT_ONE, v))) for v in ("v0", "v1")]
        return float(max(*lines, np.hypot(*(np.subtract(cut.v2, cut.v1) - b))))

    assert off(guess) > 1
    assert min(off(c.cut) for c in cuts(sharpness(altered), guess, 160)) < 0.45


def test_a_strip_shows_the_real_print_under_the_true_candidate() -> None:
    picture = ridges(8)
    middle = TURNED_ONE.middle
    real = turn_strips(picture, [Turn(*middle, 0, 0.0, middle)], 25.0)[0, 0]
    altered, _ = apply(picture, TURNED_ONE)
    places = [(TURNED_ONE.y, TURNED_ONE.x, 131), (TURNED_ONE.y + 1, TURNED_ONE.x, 131), (TURNED_ONE.y, TURNED_ONE.x, 100)]
    strips = turn_strips(altered, [Turn(*place, 0.0, middle) for place in places], 25.0)
    assert strips.shape == (3, 2, 14, 120)
    right, *wrong = np.abs(strips[:, 0, :6] - real[:6]).mean((1, 2))
    assert right < 0.6 * min(wrong)
    np.testing.assert_array_equal(strips[0, 0, 9:], real[9:])  # outside the rim nothing was moved
    altered, _ = apply(picture, CUT_ONE)
    ridge = cut_strips(altered, [CUT_ONE, replace(CUT_ONE, v0=(38.1, 72.9))])
    assert ridge.shape == (2, 2, 14, 240)
    # Along V1V3, the seam between both triangles, ridges of the real print: a strip each side of it.
    start, end = np.array(CUT_ONE.v1), np.array(CUT_ONE.v3)
    share, across = (np.arange(48) + 0.5) / 48, np.arange(-6.5, 6.6)
    along = end - start
    normal = np.array([along[1], -along[0]]) / np.hypot(*along)
    place = start[:, None, None] + share * along[:, None, None] + across[:, None] * normal[:, None, None]
    wanted = bilinear(picture.astype(float), *place) / 255
    off = np.abs(ridge[:, 0, :, 96:144] - wanted)[:, :, 6:18].mean((1, 2))
    assert off[0] < 0.6 * off[1]


@pytest.mark.parametrize("values", [
    {}, {"kind": "Neg"}, {"kind": "CR", "y": 1}, {"kind": "Obl", "runs": 3}, {"kind": "Zcut"},
    {"kind": "Obl", "y": 1.0, "x": 1.0, "runs": [[1, 2]], "noise": 0, "darkest": 0.0},
])  # fmt: skip
def test_what_is_no_alteration_is_said(values: dict[str, Any]) -> None:
    with pytest.raises(FpmlError, match="is no alteration"):
        from_dict(values)


def test_only_a_grey_picture_is_altered() -> None:
    with pytest.raises(FpmlError, match="takes"):
        apply(np.zeros((5, 5, 3), np.uint8), TURNED_ONE)
