"""Prints altered while training, with all that is true of them: what the networks of fpml/models/undo.py learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fpml.alteration.apply import apply
from fpml.alteration.draw import LEVELS, draw
from fpml.alteration.kinds import CLASSES, Alteration, Obliteration, Rotation, ZCut
from fpml.alteration.noise import KNOWN

SHARES = (0.12, 0.36, 0.36, 0.16)  # of CLASSES
MADE_UP = 0.2  # of the obliterations have a noise that SOCOFing has not


@dataclass(frozen=True)
class Altered:
    picture: np.ndarray  # uint8 (H, W)
    real: np.ndarray  # uint8 (H, W)
    damage: np.ndarray  # bool (H, W)
    alteration: Alteration | None


def spoilt(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A print as another reader might have given it: mirrored, its greys bent, faded or speckled from an edge, with holes."""
    grey = picture[:, ::-1] if rng.random() < 0.5 else picture
    grey = grey.astype(np.float32)
    height, width = grey.shape
    if rng.random() < 0.5:
        grey = 255 * (grey / 255) ** np.exp(rng.normal(0, 0.35))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if rng.random() < 0.4:  # an edge that was pressed less
        angle = rng.uniform(0, 2 * np.pi)
        far = (y - height / 2) * np.sin(angle) + (x - width / 2) * np.cos(angle)
        grey = grey + (255 - grey) * np.clip((far - rng.uniform(5, 45)) / rng.uniform(8, 40), 0, 0.95)
    if rng.random() < 0.4:  # dust from below
        chance = np.exp(-(height - y) / rng.uniform(3, 20)) * rng.uniform(0, 0.8)
        grey = np.where(rng.random(grey.shape) < chance, rng.uniform(0, 255, grey.shape), grey)
    for _ in range(rng.poisson(0.8)):  # holes
        far = np.hypot((y - rng.uniform(0, height)) / rng.uniform(0.7, 3), (x - rng.uniform(0, width)) / rng.uniform(0.7, 3))
        grey = np.where(far < 1, 255, grey)
    if rng.random() < 0.3:
        down, right = (int(v) for v in rng.integers(-12, 13, 2))
        grey = np.roll(np.pad(grey, 12, constant_values=255), (down, right), (0, 1))[12:-12, 12:-12]
    return np.asarray(np.rint(grey.clip(0, 255)), np.uint8)


def altered(prints: Sequence[np.ndarray] | np.ndarray, rng: np.random.Generator, kind: str | None = None) -> Altered:
    """One of the prints, each uint8 (H, W), spoilt and altered; kind: one of CLASSES, else drawn."""
    real = spoilt(prints[int(rng.integers(len(prints)))], rng)
    kind = kind or str(rng.choice(CLASSES, p=SHARES))
    if kind == "none":
        return Altered(real, real, np.zeros(real.shape, bool), None)
    alteration = draw(real, kind, str(rng.choice(LEVELS)), rng)
    if isinstance(alteration, Obliteration) and rng.random() < MADE_UP:
        alteration = replace(alteration, noise=int(rng.integers(KNOWN, 2**31)))
    picture, damage = apply(real, alteration)
    return Altered(picture, real, damage, alteration)


@dataclass(frozen=True)
class Asked:
    """What Find is asked for of a print of (H, W), at half its size."""

    labels: np.ndarray  # int64 (h, w)
    votes: np.ndarray  # float32 (9, h, w), pixels; 0 where none is asked for
    cover: np.ndarray  # float32 (h, w)
    kind: int


def asked(example: Altered, height: int, width: int) -> Asked:
    """height, width: of the picture with what is padded to it below and right."""
    alteration, shape = example.alteration, example.picture.shape
    labels, cover = np.zeros((height, width), np.int64), np.zeros((height, width), np.float32)
    place = np.zeros(9, np.float32)
    inside = np.s_[: shape[0], : shape[1]]
    if alteration is not None:
        made = alteration.map((shape[0], shape[1]))
        cover[inside] = made.weight
    if isinstance(alteration, Rotation):
        labels[inside] = made.moved
        place[[0, 1, 8]] = *alteration.middle, alteration.radius
    elif isinstance(alteration, ZCut):
        alpha, beta, moved = alteration.within(*np.mgrid[: shape[0], : shape[1]].astype(np.float64))
        labels[inside] = np.where(moved, np.where(alpha + beta <= 1, 2, 3), 0)
        place[2:8] = np.ravel([alteration.v0, alteration.v1, alteration.v2])
    elif alteration is not None:
        labels[inside] = 4 * example.damage
    labels, cover = labels[::2, ::2], cover.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    y, x = (2 * v + 0.5 for v in np.mgrid[: height // 2, : width // 2].astype(np.float32))
    votes = np.stack(
        [place[0] - y, place[1] - x, *(place[k] - (x if k % 2 else y) for k in range(2, 8)), np.full_like(y, place[8])]
    )
    return Asked(labels, votes.astype(np.float32), cover, CLASSES.index(alteration.kind if alteration else "none"))
