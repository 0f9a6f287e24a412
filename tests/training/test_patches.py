import numpy as np
import pytest
import torch

from fpml.base.errors import FpmlError
from fpml.matching import texture
from fpml.models.texture import TextureNet, contrast
from fpml.synth.stream import Example, made_for
from fpml.training import patches
from fpml.training.patches import FINGER, WIDE, Patches, as_found, cut_patches, joined


@pytest.fixture(scope="module")
def finger() -> list[Example]:
    return made_for((1, 6))


def test_all_patches_of_a_minutia_are_of_one_minutia_and_two_or_more(finger: list[Example]) -> None:
    found = cut_patches([finger], torch.Generator().manual_seed(0), spoil=False, first=3)
    names, counts = np.unique(found.minutia, return_counts=True)
    assert counts.min() >= 2
    assert (found.minutia // FINGER == 3).all()
    deep = [set(e.minutiae[e.minutiae[:, 5] >= patches.SHALLOWEST, 6].astype(int)) for e in finger]
    assert set(names % FINGER) == {n for n in set().union(*deep) if sum(n in d for d in deep) >= 2}
    assert (np.diff(found.minutia) >= 0).all()


def test_training_and_use_cut_the_same_patch(finger: list[Example]) -> None:
    """What the network was trained with is what the shipped code gives it: the middle of a kept patch."""
    found = cut_patches([finger], torch.Generator().manual_seed(0), spoil=False)
    middles = as_found(found.pixels, torch.Generator(), torch.device("cpu"), moved=False)[:, 0].numpy()
    number = int(found.minutia[0])
    seen = []
    for example in finger:
        for x, y, angle, *_, which in example.minutiae[example.minutiae[:, 6] == number]:
            assert which == number
            seen.append(texture.patches(example.picture, *(np.array([v]) for v in (x, y, angle)))[0].astype(float))
    of_it = middles[found.minutia == number]
    gaps = [min(np.abs(patch - other)[4:-4, 4:-4].mean() for other in seen) for patch in of_it]
    assert max(gaps) < 3  # grey levels; padding differs where a patch leaves the picture


def test_spoilt_patches_differ_and_hidden_minutiae_are_left_out(finger: list[Example]) -> None:
    plain, spoilt = (cut_patches([finger] * 2, torch.Generator().manual_seed(1), spoil=s) for s in (False, True))
    assert len(spoilt.minutia) <= len(plain.minutia)
    assert plain.pixels.shape[1:] == (WIDE, WIDE)
    again = cut_patches([finger] * 2, torch.Generator().manual_seed(1), spoil=True)
    assert torch.equal(spoilt.pixels, again.pixels)


def test_pairs_are_two_impressions_of_one_minutia() -> None:
    minutia = np.repeat(np.arange(40) % 8 + (np.arange(40) // 8) * FINGER, 3)
    made = Patches(
        torch.zeros(120, WIDE, WIDE, dtype=torch.uint8), torch.zeros(120), torch.ones(120, dtype=torch.bool), minutia
    )
    first, second = made.pairs(24, np.random.default_rng(0))
    assert len(first) == len(second) == 24
    assert (minutia[first] == minutia[second]).all()
    assert (first != second).all()
    assert len(np.unique(minutia[first])) > 15
    two = joined([made, Patches(made.pixels, made.ending, made.typed, minutia + 5 * FINGER)])
    assert len(two.minutia) == 240


def test_no_minutia_seen_twice_is_said() -> None:
    none = Patches(torch.zeros(0, WIDE, WIDE), torch.zeros(0), torch.zeros(0, dtype=torch.bool), np.zeros(0, np.int64))
    with pytest.raises(FpmlError, match="no minutia is seen in two prints"):
        none.pairs(4, np.random.default_rng(0))


def test_contrast_by_the_formula() -> None:
    torch.manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(4, 8), dim=1) for _ in range(2))
    which = torch.tensor([7, 8, 7, 9])
    alike = (a @ b.T / 0.07).double()
    want = 0.0
    for rows in (alike, alike.T):
        for i in range(4):
            others = [j for j in range(4) if j == i or which[j] != which[i]]
            want -= float(rows[i, i] - torch.logsumexp(rows[i, others], 0)) / 8
    assert float(contrast(a, b, which)) == pytest.approx(want, rel=1e-4)


def test_a_network_learns_to_tell_minutiae_apart(finger: list[Example]) -> None:
    """A few steps on one finger's patches lower the contrast a good deal; grey levels and gain do not matter to it."""
    torch.manual_seed(0)
    found = cut_patches([finger], torch.Generator().manual_seed(0), spoil=False)
    network = TextureNet(16)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    rng, losses = np.random.default_rng(0), []
    for _ in range(12):
        first, second = found.pairs(16, rng)
        given = as_found(
            found.pixels[np.concatenate([first, second])], torch.Generator().manual_seed(0), torch.device("cpu"), True
        )
        loss = contrast(*network(given)[0].chunk(2), torch.from_numpy(found.minutia[first]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    network.eval()
    given = as_found(found.pixels[:4], torch.Generator(), torch.device("cpu"), moved=False)
    dimmed = network(given * 0.6 + 30)[0]
    assert torch.nn.functional.cosine_similarity(network(given)[0], dimmed).min() > 0.97
