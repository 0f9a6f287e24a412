import numpy as np
import pytest
import torch

from fpml.synth.stream import Example, made_for
from fpml.training import crops


@pytest.fixture(scope="module")
def example() -> Example:
    return made_for((1, 6))[0]


def blank(minutiae: list[tuple[float, ...]], side: int = 64) -> Example:
    """A print of even grey with some minutiae: x, y, angle, ending, clarity, depth; numbered."""
    fields = np.zeros((side // 8, side // 8), np.float16)
    rows = np.column_stack([np.array(minutiae, np.float32).reshape(-1, 6), np.arange(len(minutiae), dtype=np.float32)])
    return Example(np.full((side, side), 128, np.uint8), np.ones((side, side), bool), fields, fields + 9, rows)


def plain(example: Example) -> crops.Crops:
    return crops.batch([example], torch.Generator(), spoil=False)


def test_targets_of_one_minutia() -> None:
    batch = plain(blank([(21.0, 38.0, np.pi / 2, 1, 1, 50)]))
    assert torch.nonzero(batch.centre[0]).tolist() == [[9, 5]]  # rows of 4 pixels: 38 lies in 36..39, 21 in 20..23
    x, y = batch.offset[0, :, 9, 5].tolist()
    assert (4 * (5 + x) + 1.5, 4 * (9 + y) + 1.5) == pytest.approx((21, 38))
    assert batch.direction[0, :, 9, 5].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert batch.heat[0, 9, 5] > 0.9 > 0.1 > batch.heat[0, 13, 5]
    assert batch.near[0, 8:11, 4:7].all()
    assert batch.weight.min() == 1


@pytest.mark.parametrize(("clarity", "depth"), [(0.01, 50), (1, 3)])
def test_a_doubtful_minutia_is_neither_asked_for_nor_forbidden(clarity: float, depth: float) -> None:
    batch = plain(blank([(32, 32, 0, 1, clarity, depth)]))
    assert not batch.centre.any()
    assert batch.weight[0, 8, 8] == 0
    assert batch.weight[0, 0, 0] == 1


def test_of_two_minutiae_a_cell_learns_the_nearer() -> None:
    batch = plain(blank([(21, 38, 0, 1, 1, 50), (33, 38, np.pi, 0, 1, 50)]))
    assert batch.direction[0, 0, 9, 5] == 1
    assert batch.direction[0, 0, 9, 8] == -1


def test_a_print_without_minutiae() -> None:
    batch = plain(blank([]))
    assert batch.heat.max() == 0
    assert not batch.near.any()
    assert not batch.offset.isnan().any()


def test_cuts_keep_the_truth_where_the_ridges_are(example: Example) -> None:
    """In every turned and mirrored crop the orientation's truth lies along the ridges, the minutiae inside."""
    rng = np.random.default_rng(0)
    for crop in crops.cut([example] * 12, 128, rng):
        assert crop.picture.shape == crop.mask.shape == (128, 128)
        down, right = np.gradient(crop.picture.astype(float))
        theta = crop.orientation.astype(float).repeat(8, 0).repeat(8, 1)
        along, across = np.cos(theta) * right - np.sin(theta) * down, np.sin(theta) * right + np.cos(theta) * down
        assert np.abs(across[crop.mask]).mean() > 1.15 * np.abs(along[crop.mask]).mean()
        assert ((crop.minutiae[:, :2] > -9) & (crop.minutiae[:, :2] < 137)).all()


def test_minutiae_turn_with_the_picture(example: Example) -> None:
    """Each minutia's direction lies along the orientation there, whichever way the crop was turned."""
    rng = np.random.default_rng(1)
    for crop in crops.cut([example] * 12, 128, rng):
        inside = crop.minutiae[((crop.minutiae[:, :2] >= 0) & (crop.minutiae[:, :2] < 128)).all(1)]
        at = (inside[:, :2] // 8).astype(int)
        off = np.angle(np.exp(2j * (inside[:, 2] - crop.orientation.astype(float)[at[:, 1], at[:, 0]]))) / 2
        assert np.median(np.abs(off)) < np.deg2rad(12)


def test_a_small_print_is_laid_on_a_larger_plate() -> None:
    [crop] = crops.cut([blank([(30, 30, 0, 1, 1, 20)])], 96, np.random.default_rng(0))
    assert crop.picture.shape == (96, 96)
    assert crop.mask.sum() == 64 * 64


def test_spoiling_is_the_same_for_the_same_seed_and_keeps_greys_in_range(example: Example) -> None:
    cut = crops.cut([example] * 8, 128, np.random.default_rng(2))
    once, again = (crops.batch(cut, torch.Generator().manual_seed(5), spoil=True) for _ in range(2))
    other = crops.batch(cut, torch.Generator().manual_seed(6), spoil=True)
    assert torch.equal(once.pictures, again.pictures)
    assert not torch.equal(once.pictures, other.pictures)
    assert 0 <= once.pictures.min() <= once.pictures.max() <= 315
    assert not torch.equal(once.pictures, crops.batch(cut, torch.Generator(), spoil=False).pictures)
