"""One print looked up among many: short codes first, cylinders for the best.

A cylinder's code has one bit for each of BITS random directions: on which side of it the cylinder lies. The share of bits in
which two codes differ tells the angle between the two (Charikar 2002), so that a hundred thousand prints are gone through by
counting bits. What is left is compared as `match` compares: first by the codes and the minutiae's places, at last in full.
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
ASKED = 24  # cylinders of a probe by which the first choice is made, the surest
FIRST, SECOND = 1000, 30  # prints that are left after the first choice and after the second
THREADS = 2
NEAR = 0.36  # share of different bits from which on two cylinders have nothing in common
BATCH = 5000  # prints a thread counts bits of at a time


@dataclass(frozen=True)
class Index:
    """Many prints, ready to be searched."""

    templates: Sequence[Template]
    codes: np.ndarray  # uint64 (cylinders of all, BITS / 64)
    rows: np.ndarray  # int (cylinders of all,): which minutia of its print each stands on
    starts: np.ndarray  # int (prints + 1,): each print's first cylinder; it may have none

    def __len__(self) -> int:
        return len(self.templates)


def index_of(templates: Sequence[Template], codes: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Index:
    """An index of one print or more, of each its template, its cylinders' codes, and which minutiae these stand on."""
    starts = np.concatenate([[0], np.cumsum([len(c) for c in codes])])
    return Index(templates, np.concatenate(codes), np.concatenate(rows), starts)


@cache
def _directions(numbers: int) -> np.ndarray:
    """Fixed random directions, (numbers of a cylinder, BITS): the same in every run."""
    return np.random.default_rng(2010).standard_normal((numbers, BITS)).astype(np.float32)


def code(of: Cylinders) -> np.ndarray:
    """The codes of a print's cylinders, less their means, uint64 (n, BITS / 64). Cells that don't count lie on no side."""
    counts = of.counts.repeat(CODE.layers, 1)
    mean = of.values.sum(1, keepdims=True) / np.maximum(counts.sum(1, keepdims=True), 1)
    bits = ((of.values - mean) * counts) @ _directions(of.values.shape[1]) > 0
    return np.packbits(bits, axis=1).view(np.uint64)


def by_match(a: Cylinders, b: Cylinders) -> float:
    return match(a, b).score


def search(
    index: Index, probe: Template, best: int, score: Callable[[Cylinders, Cylinders], float] = by_match
) -> list[tuple[int, float]]:
    """The `best` prints of an index by their score against a probe, highest first: place in the index, and score."""
    sought = cylinders(probe)
    if len(sought) < 2:
        return []
    asked = code(sought)
    surest = np.argsort(-probe.quality[sought.minutiae], kind="stable")[:ASKED]
    with ThreadPoolExecutor(THREADS) as pool, threadpool_limits(1):  # small products, which more threads only slow down
        starts = range(0, len(index), BATCH)
        first = np.concatenate(list(pool.map(lambda s: _common(index, s, min(s + BATCH, len(index)), asked[surest]), starts)))
        left = _largest(first, FIRST)
        second = np.array(list(pool.map(lambda place: _by_codes(index, place, asked, sought), left)))
        left = left[_largest(second, max(SECOND, best))]
        scores = list(pool.map(lambda place: score(sought, cylinders(index.templates[place])), left))
    order = np.argsort(-np.array(scores), kind="stable")[:best]
    return [(int(left[place]), scores[place]) for place in order]


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, at most `count`."""
    return np.argpartition(-values, count)[:count] if count < len(values) else np.arange(len(values))


def _common(index: Index, first: int, last: int, asked: np.ndarray) -> np.ndarray:
    """How much each of some prints has in common with a probe's cylinders: the sum over these of the nearest one's bits."""
    begin, end = index.starts[first], index.starts[last]
    codes, starts = index.codes[begin:end], index.starts[first:last] - begin
    filled = np.diff(index.starts[first : last + 1]) > 0
    total = np.zeros(last - first, np.float32)
    if not filled.any():
        return total
    for one in asked:
        differ = np.bitwise_count(codes[:, 0] ^ one[0])
        for word in range(1, codes.shape[1]):
            differ += np.bitwise_count(codes[:, word] ^ one[word])
        nearest = np.minimum.reduceat(differ, starts[filled])
        total[filled] += np.maximum(NEAR * BITS - nearest.astype(np.float32), 0)
    return total


def _by_codes(index: Index, place: int, asked: np.ndarray, sought: Cylinders) -> float:
    """The score of one print by its codes and the places of its minutiae."""
    here = slice(index.starts[place], index.starts[place + 1])
    codes, rows = index.codes[here], index.rows[here]
    if len(codes) < 2:
        return 0.0
    differ = np.bitwise_count(asked[:, None] ^ codes).sum(2, dtype=np.int32)
    found = index.templates[place]
    alike = np.maximum(1 - differ / np.float32(NEAR * BITS), 0)
    return relaxed(alike, sought.lie, geometry(found.x[rows], found.y[rows], found.angle[rows]), RULE).score
