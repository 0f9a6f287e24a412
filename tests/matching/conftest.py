"""Minutiae as they lie on fingers: apart from each other, with directions that follow a flow."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fpml.matching.template import Template, from_table
from fpml.matching.texture import NUMBERS, kept

Make = Callable[..., Template]


@pytest.fixture
def made() -> Make:
    """made(seed): a finger's minutiae. turned (radians), shifted (pixels), lost, false (shares), noise (pixels)."""

    def make(
        seed: int, turned: float = 0.0, shifted: tuple[float, float] = (0.0, 0.0), lost: float = 0.0, false: float = 0.0,
        noise: float = 0.0, again: int = 0,
    ) -> Template:  # fmt: skip
        rng = np.random.default_rng(seed)
        points: list[np.ndarray] = []
        while len(points) < 40:
            point = rng.uniform((40, 40), (300, 340))
            if all(np.hypot(*(point - other)) > 14 for other in points):
                points.append(point)
        places = np.array(points)
        flow = 0.01 * places[:, 0] + 0.006 * places[:, 1] + seed
        table = np.column_stack([places, flow + np.pi * rng.integers(2, size=40), rng.integers(2, size=40), np.ones(40)])
        rng = np.random.default_rng([seed, again])
        table = table[rng.random(40) >= lost]
        extra = np.column_stack([
            rng.uniform((40, 40), (300, 340), (round(40 * false), 2)), rng.uniform(0, 6.28, round(40 * false)),
            np.ones((round(40 * false), 2)),
        ])  # fmt: skip
        table = np.concatenate([table, extra])
        middle = np.array([170, 190])
        c, s = np.cos(turned), np.sin(turned)
        at = (table[:, :2] - middle) @ np.array([[c, -s], [s, c]])  # y down: counter-clockwise on the picture
        table[:, :2] = at + middle + shifted + rng.normal(0, noise, at.shape)
        table[:, 2] = (table[:, 2] + turned) % (2 * np.pi)
        return from_table(table, 340, 380)

    return make


def textured(template: Template, seed: int, of: str = "one") -> Template:
    """The template with skin drawn at random round each minutia, as of a model of this name."""
    numbers = np.random.default_rng(seed).standard_normal((len(template), NUMBERS))
    return replace(template, texture=kept(numbers / np.linalg.norm(numbers, axis=1, keepdims=True)), texture_of=of)
