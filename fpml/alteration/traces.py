"""What interpolation leaves behind: how an alteration is placed to a part of a pixel without knowing the real print.

A pixel that was taken from between four others is their mean, and blurred; one that was taken from just on another is as sharp
as before. So sharpness waves over what was moved, with the fractional part of the place that each pixel came from. The waves'
frequency tells the angle (or the shear), their phase the place. (Resampling is detected by such waves: Popescu and Farid 2005,
Gallagher 2005.) SOCOFing's ridges are 3 to 4 pixels apart, which makes the waves strong.

A score is the sum of the waves, each in standard deviations of what a picture without them would give and weighted by how much
it tells, and of logarithms of how likely the place is.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from fpml.alteration.draw import TURNED
from fpml.alteration.kinds import MOVED, Point, ZCut, axes, point, turned

FLOOR = 60.0  # grey levels: differences below are noise
SIDE, ROUND_ABOUT = 256, 29  # frequencies a cycle; and how many of them side by side tell what is usual there
ALONG_Y, ALONG_X = 2.4, 1.0  # how strong waves are of the places' y and x: most ridges of a print run across it
TOO_FAR = 3  # pixels and degrees beyond what a level has, in which a guessed disc may still be of that level
SPREAD = 0.6  # pixels by which a disc's middle is guessed wrongly, standard deviation each way
REACH = 5  # pixels round a guessed middle, in which a disc's first one is looked for


def sharpness(picture: np.ndarray) -> np.ndarray:
    """How sharp each pixel of a picture (H, W) is, on a logarithmic scale, less its mean round about."""
    from scipy.ndimage import gaussian_filter, laplace

    grey = picture.astype(np.float64)
    sharp = np.log(FLOOR + np.abs(laplace(grey, mode="nearest")))
    return np.asarray(sharp - gaussian_filter(sharp, 5.0))


def _inside(sharp: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Of mean 0 and length 1 in `where`, 0 elsewhere."""
    values = np.where(where, sharp, 0.0)
    values = np.where(where, values - values.sum() / max(1, where.sum()), 0.0)
    return np.asarray(values / max(float(np.sqrt((values**2).sum())), 1e-9))


def _spectrum(e: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE): numpy's fft2 of `e`, with its phases from a place (y, x). A larger picture is folded: the waves stay."""
    folded = np.zeros((SIDE, SIDE))
    rows, columns = ((np.arange(n) - round(float(o))) % SIDE for n, o in zip(e.shape, origin, strict=True))
    np.add.at(folded, (rows[:, None], columns[None]), e)
    return np.asarray(np.fft.fft2(folded))


def _levels(spectrum: np.ndarray) -> np.ndarray:
    """How strong a wave of each frequency is by chance: by the frequencies round about, since sharpness varies with the ridges
    too. spectrum: (SIDE, SIDE), as numpy's fft2 gives it."""
    from scipy.ndimage import uniform_filter

    return np.asarray(np.sqrt(uniform_filter(np.abs(spectrum) ** 2, ROUND_ABOUT, mode="wrap"))) + 1e-9


def _at(values: np.ndarray, of_y: np.ndarray, of_x: np.ndarray) -> np.ndarray:
    """The values (SIDE, SIDE) at frequencies, cycles a pixel."""
    return np.asarray(values[np.rint(of_y * SIDE).astype(int) % SIDE, np.rint(of_x * SIDE).astype(int) % SIDE])


@dataclass(frozen=True)
class Turn:
    """A candidate for what a Rotation may have been."""

    y: float  # about which it turned
    x: float
    degrees: int
    score: float
    middle: Point  # of the disc


def turns(sharp: np.ndarray, y: float, x: float, radius: float, most: int) -> list[Turn]:
    """The likeliest turns of a disc whose middle now lies near (y, x), best first (`turned` of fpml/alteration/kinds.py).

    sharp: (H, W) of `sharpness`; radius: pixels."""
    shape = (sharp.shape[0], sharp.shape[1])
    rows, columns = axes(shape)
    e = _inside(sharp, np.hypot(rows - y, columns - x) < max(radius - 2.0, 6.0))
    angle = np.deg2rad(np.arange(360))
    c, s = np.cos(angle), np.sin(angle)
    half = 180  # the waves of angle + 180 are those of angle, turned about
    by_row = np.exp(2j * np.pi * c[:half, None] * (np.arange(shape[0]) - y))
    by_column = np.exp(-2j * np.pi * s[:half, None] * (np.arange(shape[1]) - x))
    wave = ((by_row @ e) * by_column).sum(1) / _at(_levels(_spectrum(e, np.zeros(2))), c[:half], -s[:half])
    of_y = np.concatenate([wave, wave.conj()])
    of_x = of_y[(np.arange(360) - 90) % 360]
    return _likeliest(_degrees(radius), y, x, most, of_y, of_x)


def _degrees(radius: float) -> np.ndarray:
    """By how many degrees, 0..359, discs of about this size are turned (fpml/alteration/draw.py): small ones less."""
    alike = [t for t in TURNED.values() if t.radius[0] - TOO_FAR < radius < t.radius[1] + TOO_FAR] or list(TURNED.values())
    least, most = min(t.degrees[0] for t in alike) - TOO_FAR, max(t.degrees[1] for t in alike) + TOO_FAR
    one_way = np.arange(least, min(most, 180) + 1)
    return np.unique(np.concatenate([one_way, 360 - one_way]))


def _likeliest(degrees: np.ndarray, y: float, x: float, most: int, of_y: np.ndarray, of_x: np.ndarray) -> list[Turn]:
    """The likeliest of all discs near (y, x), turned by these degrees (n,) and moved by whole pixels: by the waves of the
    places' y and x at each degree, (360,) complex; how far from there they lie; and how often SOCOFing's are moved so."""
    first = np.arange(-REACH, REACH + 1)
    first_y, first_x = (v.ravel() for v in np.meshgrid(round(y) + first, round(x) + first, indexing="ij"))
    moved = np.array(list(product(MOVED, MOVED)), float)
    chance = np.log([MOVED[int(a)] * MOVED[int(b)] for a, b in moved])
    c, s = np.cos(np.deg2rad(degrees))[:, None], np.sin(np.deg2rad(degrees))[:, None]
    phase_y = y + (1 - c) * (first_y - y) + s * (first_x - x)
    phase_x = x + (1 - c) * (first_x - x) - s * (first_y - y)
    waves = 2 * ALONG_Y * (of_y[degrees][:, None] * np.exp(2j * np.pi * phase_y)).real
    waves += 2 * ALONG_X * (of_x[degrees][:, None] * np.exp(2j * np.pi * phase_x)).real
    middle_y = first_y[None, :, None] - (c * moved[:, 0] + s * moved[:, 1])[:, None]
    middle_x = first_x[None, :, None] - (c * moved[:, 1] - s * moved[:, 0])[:, None]
    score = waves[:, :, None] - ((middle_y - y) ** 2 + (middle_x - x) ** 2) / (2 * SPREAD**2) + (chance - chance.max())
    best = np.argpartition(-score.ravel(), most)[:most]
    out = []
    for angle, at, by in zip(*np.unravel_index(best[np.argsort(-score.ravel()[best])], score.shape), strict=True):
        place, middle = turned(
            (int(first_y[at]), int(first_x[at])), int(degrees[angle]), (int(moved[by, 0]), int(moved[by, 1]))
        )
        out.append(Turn(*place, (int(degrees[angle]) + 180) % 360 - 180, float(score[angle, at, by]), middle))
    return out


UNSEEN = 10.0  # less than the waves of most turns are worth, and more than what chance gives
QUARTERS = (88, 89, 90, 91, 92, 178, 179, 180, 181, 182, 268, 269, 270, 271, 272)  # degrees
MOST = 16  # of each
APART = 0.12  # pixels by which two of them move a disc differently at least


def quarters(y: float, x: float, radius: float) -> list[Turn]:
    """Turns by about a quarter or a half, which leave no waves, of a disc whose middle now lies near (y, x). Their scores are
    `UNSEEN`, less what tells against them."""
    out: list[Turn] = []
    none = np.zeros(360)
    for degrees in np.intersect1d(QUARTERS, _degrees(radius)):
        same: list[Turn] = []
        least = APART / (2 * abs(np.sin(np.deg2rad(degrees / 2))))
        for turn in _likeliest(np.array([degrees]), y, x, 8 * MOST, none, none):
            if len(same) < MOST and all(np.hypot(turn.y - t.y, turn.x - t.x) > least for t in same):
                same.append(replace(turn, score=UNSEEN + turn.score))
        out += same
    return out


@dataclass(frozen=True)
class Cut:
    """A candidate for what a ZCut may have been."""

    cut: ZCut
    score: float


ASKEW, BESIDE = 10.0, 4.0  # degrees and pixels by which a guess may be off
OF_LINES = 2.0  # pixels, standard deviation of a guess's lines
SHAPE = (0.8, 1.2)  # a cut's base against its height: what fpml/alteration/draw.py draws, and a little more


def cuts(sharp: np.ndarray, guess: ZCut, most: int) -> list[Cut]:
    """The likeliest cuts near a guess, best first.

    Inside a triangle the shear depends on nothing but the direction and length of the base and on the two lines that hold V1V2
    and V0V3: these are what the waves tell. Where along those lines the triangles begin is left as guessed."""
    shape = (sharp.shape[0], sharp.shape[1])
    v0, v1, v2 = (np.array(v) for v in (guess.v0, guess.v1, guess.v2))
    middle = (v0 + v2) / 2
    base, side = v2 - v1, v0 - v1
    length = float(np.hypot(*base))
    normal = np.array([-base[1], base[0]]) / length
    normal *= np.sign(normal @ side)
    height = float(normal @ side)
    rows, columns = axes(shape)
    alpha, beta, _ = guess.within(rows, columns)
    off = 2.0 / max(height, 4.0)
    first = _inside(sharp, (beta > 0) & (alpha > off) & (alpha + beta < 1 - off))
    second = _inside(sharp, (beta < 1) & (alpha < 1 - off) & (alpha + beta > 1 + off))
    angle = np.arctan2(base[0], base[1]) + np.deg2rad(np.arange(-ASKEW, ASKEW + 0.1, 0.5))
    ratio = np.exp(np.arange(np.log(SHAPE[0]), np.log(SHAPE[1]), 0.01))
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turned = np.sign(normal[0] * base[1] - normal[1] * base[0])  # +1: the normal is (cos, -sin) of the base's angle
    n_y, n_x = turned * cosine, -turned * sine
    q = ratio[None, :, None]
    places = np.arange(-BESIDE, BESIDE + 0.01, 0.1)
    near = -(places**2) / (2 * OF_LINES**2)
    total = []
    for e, corner in ((first, v1), (second, v0)):
        spectrum = _spectrum(e, middle)
        level = _levels(spectrum)
        line = n_y * (corner[0] - round(middle[0])) + n_x * (corner[1] - round(middle[1])) + places  # along the normal
        score = np.broadcast_to(near, (len(angle), len(ratio), len(places))).copy()
        for strength, share in ((ALONG_Y, sine), (ALONG_X, cosine)):
            frequency = q * share
            wave = _at(spectrum, frequency * n_y, frequency * n_x) / _at(level, frequency * n_y, frequency * n_x)
            phase = (np.angle(wave) + 2 * np.pi * frequency * line).astype(np.float32)  # in which cosines are ten times faster
            score += 2 * strength * np.abs(wave) * np.cos(phase)
        total.append(score)
    from scipy.ndimage import maximum_filter

    both = total[0].max(2) + total[1].max(2)
    peaks = np.flatnonzero((both == maximum_filter(both, 3, mode="nearest")).ravel())
    peaks = peaks[np.argsort(-both.ravel()[peaks])][:most]
    found = []
    for i, j in zip(*np.unravel_index(peaks, both.shape), strict=True):
        b_hat = np.array([np.sin(angle[i]), np.cos(angle[i])])
        n_hat = turned * np.array([np.cos(angle[i]), -np.sin(angle[i])])
        steps = [_peaks(t[i, j]) for t in total]
        for one, zero in product(*steps):
            w1 = b_hat * (v1 @ b_hat) + n_hat * (v1 @ n_hat + places[one])
            w0 = b_hat * (v0 @ b_hat) + n_hat * (v0 @ n_hat + places[zero])
            w2 = w1 + b_hat * ratio[j] * float(n_hat @ (w0 - w1))
            worth = float(total[0][i, j, one] + total[1][i, j, zero])
            found.append(Cut(ZCut(point(w0), point(w1), point(w2)), worth))
    return sorted(found, key=lambda c: -c.score)[:most]


def _peaks(values: np.ndarray) -> np.ndarray:
    """Where a row of values is greatest: its three highest peaks."""
    from scipy.ndimage import maximum_filter1d

    peaks = np.flatnonzero(values == maximum_filter1d(values, 5, mode="nearest"))
    return np.asarray(peaks[np.argsort(-values[peaks])][:3])
