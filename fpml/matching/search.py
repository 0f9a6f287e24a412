"""One print looked up among many: short codes first, cylinders for the best.

Each minutia has a code of bits: on which side of so many random directions its cylinder lies and, in the other half, on which
its texture (of a print without textures the cylinder again). The share of bits in which two codes differ tells the angle
between what they stand for (Charikar 2002), so that a hundred thousand prints are gone through by counting bits. What is left
is compared as `match` compares: first by the codes and the minutiae's places, at last in full.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

from fpml.matching.cylinders import CODE, Cylinders, cylinders, geometry
from fpml.matching.match import RULE, match, relaxed
from fpml.matching.template import Template

BITS = 256
HALF = BITS // 128  # words of 64 bits that each half of a code has
ASKED = 24  # cylinders of a probe by which the first choice is made, the surest
FIRST, SECOND = 1000, 60  # prints that are left after the first choice and after the second
THREADS = 2
NEAR = 0.36  # share of different bits from which on two codes have nothing in common, where the nearest of a print counts
ALIKE = 0.44  # the same, where places count too
BATCH = 5000  # prints a thread counts bits of at a time


@dataclass(frozen=True)
class Index:
    """Many prints, ready to be searched."""

    templates: Sequence[Template]
    codes: np.ndarray  # uint64 (cylinders of all, BITS / 64)
    skins: np.ndarray  # str (prints,): of which model a print's textures are; '' where it has none
    rows: np.ndarray  # int (cylinders of all,): which minutia of its print each stands on
    starts: np.ndarray  # int (prints + 1,): each print's first cylinder; it may have none

    def __len__(self) -> int:
        return len(self.templates)


def index_of(templates: Sequence[Template], codes: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Index:
    """An index of one print or more, of each its template, its cylinders' codes, and which minutiae these stand on."""
    starts = np.concatenate([[0], np.cumsum([len(c) for c in codes])])
    return Index(templates, np.concatenate(codes), np.array([_skin(t) for t in templates]), np.concatenate(rows), starts)


def _skin(of: Template | Cylinders) -> str:
    return "" if of.texture is None else of.texture_of


@cache
def _directions(numbers: int) -> np.ndarray:
    """Fixed random directions, (numbers, BITS): the same in every run."""
    return np.random.default_rng(2010).standard_normal((numbers, BITS)).astype(np.float32)


def code(of: Cylinders) -> np.ndarray:
    """The codes of a print's minutiae, uint64 (n, BITS / 64). Of cylinders less their means; cells that don't count lie on no
    side."""
    counts = of.counts.repeat(CODE.layers, 1)
    mean = of.values.sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)
    lies, half = (of.values - mean) * counts, BITS // 2
    directions = _directions(of.values.shape[1])
    second = lies @ directions[:, half:] if of.texture is None else of.texture @ _directions(of.texture.shape[1])[:, half:]
    sides = np.concatenate([lies @ directions[:, :half], second], 1)
    return np.packbits(sides > 0, axis=1).view(np.uint64)


def by_match(a: Cylinders, b: Cylinders) -> float:
    return match(a, b).score


def search(
    index: Index, probe: Template, best: int, score: Callable[[Cylinders, Cylinders], float] = by_match
) -> list[tuple[int, float]]:
    """The `best` prints of an index by their score against a probe, highest first: place in the index, and score."""
    sought = cylinders(probe)
    if len(sought) < 2:
        return []
    asked, skin = code(sought), _skin(sought)
    surest = asked[np.argsort(-probe.quality[sought.minutiae], kind="stable")[:ASKED]]
    with ThreadPoolExecutor(THREADS) as pool, threadpool_limits(1):  # small products, which more threads only slow down
        starts = range(0, len(index), BATCH)
        first = np.concatenate(list(pool.map(lambda s: _common(index, s, min(s + BATCH, len(index)), surest, skin), starts)))
        left = _largest(first, FIRST)
        second = np.array(list(pool.map(lambda place: _by_codes(index, place, asked, sought), left)))
        left = left[_largest(second, max(SECOND, best))]
        scores = list(pool.map(lambda place: score(sought, cylinders(index.templates[place])), left))
    order = np.argsort(-np.array(scores), kind="stable")[:best]
    return [(int(left[place]), scores[place]) for place in order]


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, at most `count`."""
    return np.argpartition(-values, count)[:count] if count < len(values) else np.arange(len(values))


def _different(codes: np.ndarray, one: np.ndarray, halved: np.ndarray | bool) -> np.ndarray:
    """In how many bits codes (…, BITS / 64) differ from one (BITS / 64,), or from as many, uint16. Where `halved`, the second
    halves stand for different things, and the first counts twice."""
    words = [np.bitwise_count(codes[..., word] ^ one[..., word]) for word in range(2 * HALF)]
    own, rest = (np.add.reduce(words[part], dtype=np.uint16) for part in (slice(HALF), slice(HALF, None)))
    found: np.ndarray = own + np.where(halved, own, rest) if np.any(halved) else own + rest
    return found


def _common(index: Index, first: int, last: int, asked: np.ndarray, skin: str) -> np.ndarray:
    """How much each of some prints has in common with a probe's minutiae: the sum over these of the nearest one's bits."""
    begin, end = index.starts[first], index.starts[last]
    codes, starts = index.codes[begin:end], index.starts[first:last] - begin
    count = np.diff(index.starts[first : last + 1])
    total = np.zeros(last - first, np.float32)
    if not count.any():
        return total
    halved = np.repeat(index.skins[first:last] != skin, count)
    for one in asked:
        nearest = np.minimum.reduceat(_different(codes, one, halved), starts[count > 0])
        total[count > 0] += np.maximum(NEAR * BITS - nearest.astype(np.float32), 0)
    return total


def _by_codes(index: Index, place: int, asked: np.ndarray, sought: Cylinders) -> float:
    """The score of one print by its codes and the places of its minutiae."""
    here = slice(index.starts[place], index.starts[place + 1])
    codes, rows = index.codes[here], index.rows[here]
    if len(codes) < 2:
        return 0.0
    differ = _different(asked[:, None], codes, bool(index.skins[place] != _skin(sought)))
    found = index.templates[place]
    alike = np.maximum(1 - differ / np.float32(ALIKE * BITS), 0)
    return relaxed(alike, sought.lie, geometry(found.x[rows], found.y[rows], found.angle[rows]), RULE).score
