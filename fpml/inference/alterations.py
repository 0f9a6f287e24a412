"""Which alteration a print has, and exactly where: guessed by networks, traced in the picture, and judged.

The networks (fpml/models/undo.py) are asked through `run`, by ONNX Runtime or by torch; all between them is numpy:

1. find says which kind of alteration there is and roughly where;
2. rim says where exactly the rim of a disc lies;
3. the waves that interpolation left in the picture give candidates for exactly how (fpml/alteration/traces.py);
4. turn or cut judges each candidate by the ridges across its seam;
5. blot says where one of the noises was blended in.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fpml.alteration.kinds import Obliteration, Rotation, ZCut, point, runs_of
from fpml.alteration.noise import KNOWN, cover, largest
from fpml.alteration.seams import FARTHER, cut_strips, of_circle, turn_strips
from fpml.alteration.traces import Cut, Turn, cuts, quarters, sharpness, turns

Run = Callable[..., list[np.ndarray]]  # run([outputs], input=array, …) → their arrays

MULTIPLE = 16  # of the sides that find and polish take
UNIT, RADIUS = 16.0, 32.0  # pixels that a vote's 1 stands for
WAVES = {"CR": 0.8, "Zcut": 1.4}  # what a waves' score counts beside the judge's logit
MOST = 80  # candidates for a turn
MOST_CUTS = 96  # and for a cut
SLID, SLIDES = 3, (2.0, 1.0, 0.5)  # how many of them are moved along their lines, and in which steps, pixels
NUDGED, NUDGES = (
    2,
    (0.6, 0.6, 0.35, 0.35, 0.026, 0.03),
)  # how often the best is moved, and by what: pixels, radians, a share of it
PLAIN = 20.0  # a score from which on no turn by a quarter or a half is thought of
FEW, BESIDE = 48, 0.5  # of a turn's candidates the best are judged again, with radii that are pixels smaller and larger too
NEAR = 0.3  # pixels; two turns about such places are one
MOVED = 5.0  # pixels by which a guess is changed at most, at once
STIFF = 0.01  # as in fpml/models/undo.py
LEAST = 30.0  # square pixels of a cut, or covered by noise


def look(run: Run, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What find says of a print: the probabilities of CLASSES; and (9,) CR's centre, V0, V1, V2 (y, x each) and CR's radius, in
    pixels."""
    labels, votes, kinds = run(["labels", "votes", "kinds"], prints=padded(picture))
    chances = _softmax(labels[0], 0)
    y, x = (2 * v + 0.5 for v in np.mgrid[: chances.shape[1], : chances.shape[2]])
    guess = np.zeros(9)
    for number in range(9):
        weight = chances[1] ** 2 if number in (0, 1, 8) else (chances[2] + chances[3]) ** 2
        own = votes[0, number] * (RADIUS if number == 8 else UNIT)
        values = own if number == 8 else own + (x if number % 2 else y)
        guess[number] = float((weight * values).sum() / max(float(weight.sum()), 1e-6))
    return _softmax(kinds[0], 0), guess


def placed_turn(run: Run, picture: np.ndarray, guess: np.ndarray) -> tuple[Rotation | None, float]:
    """The turn that most probably was, and how probably, 0..1."""
    y, x, radius = float(guess[0]), float(guess[1]), float(guess[8])
    for _ in range(2):
        radius = float(np.clip(radius, 7, 0.45 * min(picture.shape)))
        answers = run(["rim"], rims=turn_strips(picture, [Turn(y, x, 0, 0.0, (y, x))], radius))[0][0]
        y, x, radius = (float(v) for v in np.add([y, x, radius], fitted(answers, of_circle(answers.shape[1]))))
    found = turns(sharpness(picture), y, x, radius, MOST)
    if found[0].score < PLAIN:
        found += quarters(y, x, radius)
    told, gaps = _judged(run, picture, found, radius)
    best = np.argsort(-(told + WAVES["CR"] * _scores(found)))[:FEW]
    found = [found[k] for k in best]
    beside = [_judged(run, picture, found, radius + off)[0] for off in (-BESIDE, BESIDE)]
    chance = _softmax(np.mean([told[best], *beside], 0) + WAVES["CR"] * _scores(found))
    chosen = int(chance.argmax())
    top, gap = found[chosen], gaps[best[chosen]]
    same = [_alike(t, top) for t in found]
    radius += float(np.clip(gap, -3, 3))
    off = point(np.subtract(top.middle, (top.y, top.x)))
    return Rotation(top.y, top.x, radius, top.degrees, None, off), float(chance[same].sum())


def _judged(run: Run, picture: np.ndarray, turns_: list[Turn], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """How right each turn of a disc is, a logit, and by how many pixels the radius is too small by it."""
    judged = run(["turned"], turns=turn_strips(picture, turns_, radius, FARTHER))[0]
    return judged[:, 0], judged[:, 1]


def _alike(one: Turn, other: Turn) -> bool:
    turned = abs((one.degrees - other.degrees + 180) % 360 - 180)
    return bool(turned <= 1 and np.hypot(one.y - other.y, one.x - other.x) < NEAR)


def fitted(answers: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What answers (2, n) add up to, (k,): `fitted` of fpml/models/undo.py, of one, each at most MOVED pixels."""
    weight = _softmax(answers[1])[:, None]
    normal = basis.T @ (weight * basis) + STIFF * np.eye(basis.shape[1])
    return np.asarray(np.linalg.solve(normal, basis.T @ (weight[:, 0] * answers[0]))).clip(-MOVED, MOVED)


def placed_cut(run: Run, picture: np.ndarray, guess: np.ndarray) -> tuple[ZCut | None, float]:
    """The cut that most probably was, and how probably, 0..1."""
    start = _cut(guess[2:8])
    if _area(start) < LEAST:
        return None, 0.0
    found = cuts(sharpness(picture), start, MOST_CUTS)
    if not found:
        return None, 0.0
    told = run(["cut"], cuts=cut_strips(picture, [c.cut for c in found]))[0]
    likeliest = np.argsort(-(told + WAVES["Zcut"] * _scores(found)))
    for k in likeliest[:SLID]:  # where along their lines the best ones' triangles begin
        for step in SLIDES:
            slides = [(one * step, zero * step, 0.0, 0.0, 0.0, 0.0) for one in (-1, 0, 1) for zero in (-1, 0, 1)]
            cut, told[k] = _best_moved(run, picture, found[k].cut, slides)
            found[k] = replace(found[k], cut=cut)
    chance = _softmax(told + WAVES["Zcut"] * _scores(found))
    best = int(chance.argmax())
    same = [_apart(c.cut, found[best].cut) < 0.5 for c in found]
    return _settled(run, picture, found[best].cut, float(told[best])), float(chance[same].sum())


def _settled(run: Run, picture: np.ndarray, cut: ZCut, told: float) -> ZCut:
    """A cut, moved a little each way if that makes it more right, a logit, at most NUDGED times by each share of NUDGES: the
    waves place a small one roughly."""
    for share in (1.0, 0.5):
        moves = [tuple(sign * share * step * (k == m) for m, step in enumerate(NUDGES)) for k in range(6) for sign in (-1, 1)]
        for _ in range(NUDGED):
            nudged, better = _best_moved(run, picture, cut, moves)
            if better <= told:
                break
            cut, told = nudged, better
    return cut


def _best_moved(run: Run, picture: np.ndarray, cut: ZCut, moves: Sequence[tuple[float, ...]]) -> tuple[ZCut, float]:
    """The most right of a cut's moves, and how right it is, a logit."""
    tries = [_moved(cut, *move) for move in moves]
    judged = run(["cut"], cuts=cut_strips(picture, tries))[0]
    return tries[int(judged.argmax())], float(judged.max())


def _moved(cut: ZCut, one: float, zero: float, down: float, up: float, turned: float, longer: float) -> ZCut:
    """A cut whose V1 and V0 lie so many pixels farther along its base (one, zero) and across it (down, up), turned by so many
    radians about its middle, and with a base that is longer by a share."""
    base, middle = np.subtract(cut.v2, cut.v1), np.add(cut.v0, cut.v2) / 2
    along = base / np.hypot(*base)
    across = np.array([-along[1], along[0]])
    turn = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    v1, v0 = (np.add(v, along * a + across * b) for v, a, b in ((cut.v1, one, down), (cut.v0, zero, up)))
    v1, v0 = (middle + turn @ (v - middle) for v in (v1, v0))
    return ZCut(point(v0), point(v1), point(v1 + (1 + longer) * (turn @ base)))


def placed_blot(run: Run, picture: np.ndarray, guess: np.ndarray) -> tuple[Obliteration | None, float]:
    """The obliteration that most probably was, by one of the known noises, and how sure blot is of its pixels, 0..1."""
    height, width = picture.shape
    darkest = float(picture.min())
    noises = [np.rint(cover(number, (height, width), darkest)).astype(np.uint8) for number in range(KNOWN)]
    tried = np.concatenate([np.concatenate([padded(picture), padded(noise)], 1) for noise in noises])
    chances = run(["covered"], noises=tried)[0][:, 0, :height, :width]
    number = int((chances * (chances > 0.5)).sum((1, 2)).argmax())
    covered = largest(chances[number] > 0.5)
    if covered.sum() < LEAST:
        return None, 0.0
    y, x = (float(v.mean()) for v in np.nonzero(covered))
    return Obliteration(y, x, runs_of(covered), number, darkest), float(chances[number][covered].mean())


def _cut(corners: np.ndarray) -> ZCut:
    v0, v1, v2 = ((float(corners[k]), float(corners[k + 1])) for k in (0, 2, 4))
    return ZCut(v0, v1, v2)


def _area(cut: ZCut) -> float:
    b, e = np.subtract(cut.v2, cut.v1), np.subtract(cut.v0, cut.v1)
    return float(abs(b[0] * e[1] - b[1] * e[0]))


def _apart(one: ZCut, other: ZCut) -> float:
    """Pixels between the corners of two cuts, the mean."""
    return float(np.mean([np.hypot(*np.subtract(getattr(one, v), getattr(other, v))) for v in ("v0", "v1", "v2", "v3")]))


def _scores(found: list[Turn] | list[Cut]) -> np.ndarray:
    scores = np.array([f.score for f in found])
    return np.asarray(scores - scores.max())


def padded(picture: np.ndarray) -> np.ndarray:
    below, right = (-side % MULTIPLE for side in picture.shape)
    return np.pad(picture, ((0, below), (0, right)), mode="edge")[None, None]


def _softmax(values: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(values - values.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))
