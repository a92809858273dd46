"""Rows that share a level of a factor: the pools that votes and differences are drawn from.

A factor takes part if at least two of its levels have two rows each. With one level, nothing is
held fixed that was not fixed before, and a single row has nothing to be compared with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metrics.types import Array, Factors

TOO_FEW = "no two levels with two rows each"


class Pool(NamedTuple):
    """The rows of a factor, level by level, without levels that have one row only."""

    order: Array  # (N,) rows sorted by level
    starts: Array  # (V,) index in `order` of the first row of a level
    counts: Array  # (V,) number of rows of a level, >= 2


def pools(factors: Factors) -> dict[int, Pool]:
    """Return the pool of every factor that takes part, by the factor's column."""
    by_factor: dict[int, Pool] = {}
    for k in range(len(factors.names)):
        pool = _pool(factors.values[:, k])
        if pool is not None:
            by_factor[k] = pool
    return by_factor


def excluded(factors: Factors, kept: dict[int, Pool]) -> dict[str, str]:
    """Return the factors that do not take part, with the reason."""
    return {name: TOO_FEW for k, name in enumerate(factors.names) if k not in kept}


def draw(pool: Pool, votes: int, group: int, rng: np.random.Generator) -> Array:
    """Return (votes, group) rows, drawn with replacement.

    The rows of a vote share one level; each vote draws its level uniformly.
    """
    level = rng.integers(len(pool.starts), size=votes)
    counts = pool.counts[level, None]
    within = (rng.random((votes, group), dtype=np.float32) * counts).astype(np.int64)
    # A float32 product may round up to the count itself.
    within = np.minimum(within, counts - 1)
    return pool.order[pool.starts[level, None] + within]


def draw_pairs(pool: Pool, votes: int, group: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the first and the second row of (votes, group) pairs.

    A pair is two different rows of one level; each pair draws its level uniformly.
    """
    level = rng.integers(len(pool.starts), size=(votes, group))
    starts, counts = pool.starts[level], pool.counts[level]
    first = rng.integers(counts)
    # 1 to counts - 1 rows further on, cyclically: never the first row itself.
    second = (first + 1 + rng.integers(counts - 1)) % counts
    return pool.order[starts + first], pool.order[starts + second]


def _pool(level: Array) -> Pool | None:
    """Return the pool of one factor (N,), or None if it has no two levels with two rows each."""
    counts = np.bincount(level)
    starts = np.cumsum(counts) - counts
    usable = counts >= 2
    if usable.sum() < 2:
        return None
    return Pool(np.argsort(level, kind="stable"), starts[usable], counts[usable])
