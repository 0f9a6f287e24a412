"""What interpolation leaves behind: how an alteration is placed to a tenth of a pixel without knowing the real print.

A pixel that was taken from between four others is their mean, and blurred; one that was taken from just on another is as sharp
as before. So sharpness waves over what was moved, with the fractional part of the place that each pixel came from. The waves'
frequency tells the angle (or the shear), their phase the place. (Resampling is detected by such waves: Popescu and Farid 2005,
Gallagher 2005.) SOCOFing's ridges are 3 to 4 pixels apart, which makes the waves strong.

Every score here is in standard deviations of what a picture without waves would give.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from fpml.alteration.kinds import ZCut, axes, point, turned_about

FLOOR = 60.0  # grey levels: differences below are noise
ALONG_Y, ALONG_X = 2.4, 1.0  # how strong waves are of the places' y and x: most ridges of a print run across it
ON_GRID = 0.12  # half pixels from a whole number
HALVES = (-0.9, 0.0, 0.0)  # what it is worth that 0, 1, 2 of a centre's coordinates lie on the half-pixel grid
LEAST = 27  # degrees; less is never turned
SPREAD = 1.3  # pixels by which a disc is moved besides it, standard deviation each way, with a guess's own error
REACH = 3.0  # pixels round a disc's middle, in which the place that it turned about is looked for


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


SIDE, ROUND_ABOUT = 256, 29  # frequencies a cycle; and how many of them each way are looked at


@dataclass(frozen=True)
class Turn:
    """A candidate for what a Rotation may have been."""

    y: float
    x: float
    degrees: int
    score: float


def turns(sharp: np.ndarray, y: float, x: float, radius: float, spread: float, most: int) -> list[Turn]:
    """The likeliest turns of a disc with its middle at (y, x), best first.

    sharp: (H, W) of `sharpness`; radius: pixels; spread: pixels by which the disc was moved besides, standard deviation each
    way: turned about a place that lies o beside its middle, it is moved by (1 - R) o."""
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

    def score(degrees: np.ndarray, cy: np.ndarray, cx: np.ndarray) -> np.ndarray:
        """For centres cy, cx (offsets from y, x) that broadcast against degrees."""
        c_, s_ = c[degrees], s[degrees]
        phase_y = y + (1 - c_) * cy + s_ * cx
        phase_x = x + (1 - c_) * cx - s_ * cy
        waves = ALONG_Y * (of_y[degrees] * np.exp(2j * np.pi * phase_y)).real
        waves += ALONG_X * (of_x[degrees] * np.exp(2j * np.pi * phase_x)).real
        return np.asarray(2 * waves - 2 * (1 - c_) * (cy**2 + cx**2) / (2 * spread**2))

    allowed = np.arange(LEAST, 360 - LEAST + 1)
    # The centres at which both waves are in step lie on a lattice: (1 - R) centre = phases + whole numbers.
    whole = np.arange(-6, 7)
    many_y, many_x = (v.ravel() for v in np.meshgrid(whole, whole, indexing="ij"))
    wanted_y = -np.angle(of_y[allowed])[:, None] / (2 * np.pi) - y + round(y) + many_y
    wanted_x = -np.angle(of_x[allowed])[:, None] / (2 * np.pi) - x + round(x) + many_x
    c_, s_ = c[allowed, None], s[allowed, None]
    determinant = (1 - c_) ** 2 + s_**2
    cy, cx = ((1 - c_) * wanted_y - s_ * wanted_x) / determinant, ((1 - c_) * wanted_x + s_ * wanted_y) / determinant
    coarse = np.where(np.hypot(cy, cx) < REACH, score(np.broadcast_to(allowed[:, None], cy.shape), cy, cx), -np.inf)
    best = np.argpartition(-coarse.ravel(), most)[:most]
    fine = np.arange(-0.3, 0.31, 0.05)
    near_y, near_x = (v.ravel() for v in np.meshgrid(fine, fine, indexing="ij"))
    out = []
    for at in best[np.isfinite(coarse.ravel()[best])]:
        degrees = int(allowed[at // len(many_y)])
        around = score(np.array([degrees]), cy.flat[at] + near_y, cx.flat[at] + near_x)
        k = int(around.argmax())
        place = y + float(cy.flat[at] + near_y[k]), x + float(cx.flat[at] + near_x[k])
        on_grid = sum(abs(2 * v - round(2 * v)) < ON_GRID for v in place)
        out.append(Turn(*place, (degrees + 180) % 360 - 180, float(around[k]) + HALVES[on_grid]))
    return sorted(out, key=lambda t: -t.score)


QUARTERS = (-92, -90, -88, 88, 90, 92, 178, 180, 182)  # degrees
STEPS = (-1.5, -0.5, 0.5, 1.5)  # pixels, each way


def quarters(y: float, x: float, spread: float) -> list[Turn]:
    """Turns of a disc with its middle at (y, x) by about a quarter or a half, which leave no waves. Their scores are `UNSEEN`,
    less what their distance costs."""
    out = []
    for degrees, of_y, of_x in product(QUARTERS, STEPS, STEPS):
        down, right = turned_about(degrees, (of_y, of_x))
        cost = (of_y**2 + of_x**2) / (2 * spread**2)
        out.append(Turn(y + down, x + right, (degrees + 180) % 360 - 180, UNSEEN - cost))
    return out


UNSEEN = 10.0  # less than the waves of most turns are worth, and more than what chance gives


def near(turn: Turn, step: float) -> list[Turn]:
    """Turns by a degree more or less, about places that move the disc by a step more or less each way."""
    out = []
    for more, of_y, of_x in product((-1, 0, 1), (-step, 0.0, step), (-step, 0.0, step)):
        degrees = (turn.degrees + more + 180) % 360 - 180
        down, right = turned_about(degrees, (of_y, of_x))
        out.append(Turn(turn.y + down, turn.x + right, degrees, turn.score))
    return out


@dataclass(frozen=True)
class Cut:
    """A candidate for what a ZCut may have been."""

    cut: ZCut
    score: float


TURNED, MOVED = 10.0, 4.0  # degrees and pixels by which a guess may be off
SHAPE = (0.8, 1.2)  # a cut's base against its height: what fpml/alteration/draw.py draws, and a little more


def cuts(sharp: np.ndarray, guess: ZCut, most: int, spread: float = 2.0) -> list[Cut]:
    """The likeliest cuts near a guess, best first. spread: standard deviation of the guess's lines, pixels.

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
    angle = np.arctan2(base[0], base[1]) + np.deg2rad(np.arange(-TURNED, TURNED + 0.1, 0.5))
    ratio = np.exp(np.arange(np.log(SHAPE[0]), np.log(SHAPE[1]), 0.01))
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turned = np.sign(normal[0] * base[1] - normal[1] * base[0])  # +1: the normal is (cos, -sin) of the base's angle
    n_y, n_x = turned * cosine, -turned * sine
    q = ratio[None, :, None]
    places = np.arange(-MOVED, MOVED + 0.01, 0.1)
    near = -(places**2) / (2 * spread**2)
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
