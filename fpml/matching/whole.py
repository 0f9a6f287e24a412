"""A whole print as one vector: what the skin round all its minutiae says together."""

from functools import cache

import numpy as np

from fpml.base.errors import FpmlError
from fpml.matching.template import Template

NUMBERS = 2048  # of the vector: each is about one random direction,
NEAR = 0.3  # the least cosine with it from which on a texture counts


@cache
def _directions(numbers: int) -> np.ndarray:
    """Fixed random directions, (numbers, NUMBERS), of length 1: the same in every run."""
    drawn = np.random.default_rng(2018).standard_normal((numbers, NUMBERS))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0), np.float32)


def whole(template: Template) -> np.ndarray:
    """One vector for a print, float32 (NUMBERS,) of length 1; the product of two of them says how alike two prints' skin is,
    wherever on the finger it lies. Only those of one model's textures can be compared.

    Each number counts the textures near a random direction, weighed by how near and how sure they are: so alike textures of
    two prints meet in the same numbers, and others hardly do. The root keeps what is often there from drowning the rest (as
    in Fisher vectors; Perronnin, Sanchez and Mensink 2010). FpmlError for a template without textures."""
    if template.texture is None or not len(template):
        raise FpmlError("a template without textures has no vector: make it anew from its picture, by fpml minutiae")
    texture = template.texture.astype(np.float32)
    texture /= np.maximum(np.linalg.norm(texture, axis=1, keepdims=True), 1e-9)
    near = np.maximum(texture @ _directions(texture.shape[1]) - NEAR, 0)
    counted = template.quality @ near
    more = counted - counted.mean()  # all prints have some of everything: what tells them apart is where there is more
    rooted = np.sign(more) * np.sqrt(np.abs(more))
    return np.asarray(rooted / max(float(np.linalg.norm(rooted)), 1e-9), np.float32)
