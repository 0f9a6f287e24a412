import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from fpml.inference.gallery import Threshold
from fpml.metrics import verification
from fpml.metrics.verified import tail
from fpml.tasks.recognise import saliency


@pytest.mark.parametrize(("fingers", "genuine", "impostor"), [(100, 2800, 4950), (10, 280, 45)])
def test_fvcs_protocol_has_its_numbers_of_pairs(fingers: int, genuine: int, impostor: int) -> None:
    names = np.repeat([f"f{n}" for n in range(fingers)], 8)
    impressions = np.tile(np.arange(1, 9), fingers)
    mixed = np.random.default_rng(0).permutation(len(names))
    pairs = verification.fvc_pairs(names[mixed], impressions[mixed])
    assert (pairs.genuine.sum(), (~pairs.genuine).sum()) == (genuine, impostor)
    assert ((names[mixed][pairs.a] == names[mixed][pairs.b]) == pairs.genuine).all()
    first = impressions[mixed]
    assert (first[pairs.a[~pairs.genuine]] == 1).all()
    assert (first[pairs.b[~pairs.genuine]] == 1).all()
    assert len(set(zip(pairs.a, pairs.b, strict=True))) == genuine + impostor


def scores(own: float, seed: int = 0, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine = np.arange(2 * count) < count
    return np.where(genuine, rng.normal(own, 1, 2 * count), rng.normal(0, 1, 2 * count)), genuine


@pytest.mark.parametrize("own", [0.5, 1.0, 2.0, 4.0])
def test_the_eer_against_an_independent_computation(own: float) -> None:
    values, genuine = scores(own)
    fpr, tpr, _ = roc_curve(genuine, values, drop_intermediate=False)
    independent = brentq(lambda x: 1 - x - float(interp1d(fpr, tpr)(x)), 0, 1)
    assert verification.eer(values, genuine) == pytest.approx(independent, abs=0.004)


def test_the_eer_of_made_cases() -> None:
    genuine = np.array([True, True, False, False])
    assert verification.eer(np.array([0.9, 0.8, 0.2, 0.1]), genuine) == 0
    assert verification.eer(np.array([0.1, 0.2, 0.8, 0.9]), genuine) == 1
    assert verification.eer(np.array([0.5, 0.5, 0.5, 0.5]), genuine) == pytest.approx(0.5)
    assert verification.eer(np.array([0.9, 0.4, 0.6, 0.1]), genuine) == pytest.approx(0.5)


def test_rates_say_when_there_are_too_few_impostors() -> None:
    values, genuine = scores(2.0, count=45)
    assert np.isnan(verification.fnmr_at(values, genuine, 0.01))
    assert np.isfinite(verification.fnmr_at(values, genuine, 0.1))
    threshold, fmr = verification.threshold_for(values[~genuine], 0.1)
    assert fmr == pytest.approx((values[~genuine] >= threshold).mean())
    assert fmr <= 0.1 < (values[~genuine] >= np.nextafter(threshold, -np.inf)).mean()
    assert verification.threshold_for(np.zeros(5), 0.1)[1] == 0
    assert verification.fnmr_at(values, genuine, 0.0) == (values[genuine] <= values[~genuine].max()).mean()


@pytest.mark.parametrize("fmr", [0.01, 0.001])
def test_a_rate_of_exactly_what_is_allowed_is_allowed(fmr: float) -> None:
    """One false match in 1 / fmr impostors."""
    impostors = np.linspace(0, 0.5, round(1 / fmr))
    impostors[-1] = 0.9
    values = np.append(impostors, [0.4, 0.6, 0.7, 0.95])
    genuine = np.arange(len(values)) >= len(impostors)
    assert verification.fnmr_at(values, genuine, fmr) == 0.25
    assert verification.fnmr_at(values, genuine, 0.0) == 0.75


def test_the_interval_is_over_fingers() -> None:
    rng = np.random.default_rng(1)
    fingers = np.repeat(np.arange(30), 4).astype(str)
    vectors = np.repeat(rng.normal(size=(30, 8)), 4, 0) + rng.normal(0, 1.0, (120, 8))
    pairs = verification.all_pairs(fingers)
    similar = -np.linalg.norm(vectors[pairs.a] - vectors[pairs.b], axis=1)
    low, high = verification.eer_interval(similar, pairs, fingers, 200)
    assert low < verification.eer(similar, pairs.genuine) < high
    assert np.isnan(verification.eer_interval(similar[:1], pairs, fingers[:8], 10)).all()


def test_ranks_count_ties_against_the_finger() -> None:
    similarity = np.array([[0.9, 0.1, 0.3], [0.2, 0.8, 0.8], [0.1, 0.2, 0.3]])
    ranks = verification.rank_of_own(similarity, np.array(["a", "b", "x"]), np.array(["a", "b", "c"]))
    assert ranks[0] == 1
    assert ranks[1] == 2
    assert np.isnan(ranks[2])
    assert verification.cmc(ranks[:2], 3).tolist() == [0.5, 1.0, 1.0]


def only_corner(prints: torch.Tensor) -> torch.Tensor:
    """Class 1 where the upper left 8 x 8 pixels are bright, else class 0."""
    bright = prints[:, 0, :8, :8].mean((1, 2))
    return torch.stack([0.5 - bright, bright - 0.5], 1) * 10


def test_saliency_on_a_case_whose_answer_is_known() -> None:
    wrong, fall = saliency.occlusion(only_corner, torch.ones(1, 32, 32), 1, 8, 4, 0.0)
    assert wrong[:4, :4].min() == 1.0  # hidden by the square in the corner only
    assert wrong[12:, :].max() == wrong[:, 12:].max() == 0
    assert fall[0, 0] > 0.9 > 0.1 > fall[20, 20] >= 0


def test_saliency_agrees_with_captums_occlusion() -> None:
    from captum.attr import Occlusion

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 25, 3)
    ).eval()
    print_ = torch.rand(1, 24, 24)
    _, fall = saliency.occlusion(network, print_, 2, 6, 3, 0.0)
    theirs = Occlusion(lambda x: torch.softmax(network(x), 1)).attribute(
        print_[None], strides=(1, 3, 3), sliding_window_shapes=(1, 6, 6), baselines=0.0, target=2
    )
    np.testing.assert_allclose(fall, theirs[0, 0].detach().numpy(), atol=1e-5)


def test_the_square_reaches_the_rim() -> None:
    assert saliency.places(20, 8, 5) == [0, 5, 10, 12]
    assert saliency.places(6, 8, 5) == [0]


def test_d_prime_is_the_distance_that_was_drawn() -> None:
    values, genuine = scores(2.0, count=4000)
    assert verification.d_prime(values, genuine) == pytest.approx(2.0, abs=0.1)
    assert np.isnan(verification.d_prime(np.ones(4), np.arange(4) < 2))


def test_how_many_impostors_score_as_high() -> None:
    """Between the shares that are kept it is told within a fifth; beyond the highest score nothing is claimed."""
    scores = np.random.default_rng(0).exponential(0.1, 50_000)
    threshold = Threshold(0.5, 0.01, 0.02, len(scores), 45, "made scores", tail(scores))
    for score in (0.1, 0.3, 0.7):
        share = float(threshold.reached_by(score).split()[0])
        assert share == pytest.approx((scores >= score).mean(), rel=0.2)
    assert threshold.reached_by(scores.max() + 1) == "none of the 50,000 impostor pairs scored as high"
    assert threshold.reached_by(0.0) == "over 50% of the impostor pairs scored as high"
