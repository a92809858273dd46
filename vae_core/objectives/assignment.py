"""The discrete codes of a batch by exact minimum-cost assignment (CascadeVAE's inner problem)."""

# scipy does not have type hints.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


def assign(cost: Floats, balance: float) -> NDArray[np.int64]:
    """Return the classes k_1 … k_B that minimise Σ_i cost[i, k_i] + λ·Σ_k n_k(n_k − 1)/2.

    n_k is the number of images in class k. The r-th image of a class (from 0) costs λ·r more. These
    costs grow with r, so an optimal assignment of images to (class, r) fills every class from r = 0
    on and solves the problem exactly. If the best class of an image is more than λ·(B − 1) cheaper
    than every other, the image is in that class in every solution, because leaving it saves less on
    the class sizes. Only the other images are assigned: this is exact too, and much less work where
    λ is small.

    Source: Jeong and Song 2019 (arXiv:1905.09432), their minimum-cost flow.

    Args:
        cost: (B, K) float64, finite; nats.
        balance: λ >= 0. 0 gives the row-wise argmin; for large λ the n_k differ by at most 1.

    Returns:
        (B,) classes.

    Raises:
        ValueError: λ is negative, or a cost is not finite.
    """
    if not balance >= 0:
        raise ValueError(
            f"the weight of the class sizes must be >= 0, got {balance}: the problem would not be "
            "convex"
        )
    if not np.isfinite(cost).all():
        raise ValueError("costs must be finite, got NaN or infinity")
    images, classes = cost.shape
    best = cost.argmin(axis=1)
    runner_up = np.partition(cost, 1, axis=1)[:, 1] if classes > 1 else np.full(images, np.inf)
    free = np.flatnonzero(runner_up - cost.min(axis=1) <= balance * (images - 1))
    if balance == 0 or len(free) == 0:
        return best
    settled = np.bincount(np.delete(best, free), minlength=classes)
    # [r, k]: images before the r-th free one of class k
    ranks = settled[None, :] + np.arange(len(free))[:, None]
    rank_costs: Floats = cost[free, None, :] + balance * ranks[None, :, :]  # [i, r, k]
    chosen: NDArray[np.int64] = linear_sum_assignment(rank_costs.reshape(len(free), -1))[1]
    best[free] = chosen % classes
    return best
