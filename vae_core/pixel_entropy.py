"""The entropy of grey pixels: no Bernoulli likelihood reconstructs an image with fewer nats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 18
"""Pixels at a time: their entropies, 2 MB, stay in the cache of a processor."""


def level_entropies(levels: int) -> NDArray[np.float64]:
    """Return H(l / levels) of every level l from 0 to `levels`, nats.

    H(x) = −x ln x − (1 − x) ln(1 − x), and 0 for a black or white pixel. It is the cross-entropy of
    a grey pixel with itself, the least that any output of a Bernoulli likelihood reaches:
    −x ln s − (1 − x) ln(1 − s) has its minimum at s = x.
    """
    x = np.arange(levels + 1) / levels
    inside = x[1:-1]
    entropies = np.zeros(levels + 1)
    entropies[1:-1] = -inside * np.log(inside) - (1 - inside) * np.log1p(-inside)
    return entropies


def image_entropies(images: NDArray[np.uint8], levels: int) -> NDArray[np.float64]:
    """Return the sum of the entropies of all pixels of each image, nats (N,).

    Args:
        images: (N, pixels) levels, or packed bits if `levels` is 1. They may be on disk: they are
            read once, in chunks.
        levels: pixel value = level / levels. With 1, all pixels are 0 or 1, and the result is 0.
    """
    totals = np.zeros(len(images))
    if levels == 1:
        return totals
    table, ones = level_entropies(levels), np.ones(images.shape[1])
    step = max(1, _CHUNK // images.shape[1])
    for start in range(0, len(images), step):
        # The product with ones is a sum, four times as fast.
        totals[start : start + step] = table.take(images[start : start + step]) @ ones
    return totals
