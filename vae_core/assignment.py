"""The discrete codes of a batch by exact minimum-cost assignment (CascadeVAE's inner problem)."""

# scipy has no hints of its own.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


def assign(cost: Floats, balance: float) -> NDArray[np.int64]:
    """Return the classes k_1 … k_B that minimise sum_i cost[i, k_i] + λ·sum_k n_k(n_k − 1)/2, n_k images in class k.

    The r-th image of a class (from 0) costs λ·r more. As these costs rise with r, an optimal assignment of images to
    (class, r) fills every class from r = 0 on, so it solves the problem exactly; ties fall to lower classes.

    Source: Jeong and Song 2019 (arXiv:1905.09432), the minimum-cost flow of their algorithm 1.

    Args:
        cost: (B, K) float64, finite; nats.
        balance: λ >= 0. 0 is the row-wise argmin; with λ large the n_k differ by at most 1.

    Returns:
        (B,) classes.

    Raises:
        ValueError: λ is negative, or a cost is not finite.
    """
    if not balance >= 0:
        raise ValueError(f"the weight of the class sizes must be >= 0, got {balance}: the problem would not be convex")
    if not np.isfinite(cost).all():
        raise ValueError("costs must be finite, got NaN or infinity")
    if balance == 0:
        return cost.argmin(axis=1)
    images, classes = cost.shape
    places: Floats = cost[:, None, :] + balance * np.arange(images, dtype=np.float64)[None, :, None]  # [i, r, k]
    chosen: NDArray[np.int64] = linear_sum_assignment(places.reshape(images, -1))[1]
    return chosen % classes
