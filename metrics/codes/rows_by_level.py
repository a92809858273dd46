"""Rows that share a level of a factor: what votes and differences are drawn from.

A factor takes part if two of its levels are shown by two rows each: with one level nothing is held fixed that was not
fixed anyway, and a lone row has nothing to be compared with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metrics.types import Array, Factors

TOO_FEW = "no two levels with two rows each"


class Pool(NamedTuple):
    """The rows of a factor, level by level; levels shown by one row only are left out."""

    order: Array  # (N,) rows sorted by level
    starts: Array  # (V,) where a level begins in `order`
    counts: Array  # (V,) how many rows show it, >= 2


def pools(factors: Factors) -> dict[int, Pool]:
    """The pool of every factor that takes part, by the factor's column."""
    found = {k: _pool(factors.values[:, k]) for k in range(len(factors.names))}
    return {k: pool for k, pool in found.items() if pool is not None}


def excluded(factors: Factors, kept: dict[int, Pool]) -> dict[str, str]:
    """The factors that do not take part, with the reason."""
    return {name: TOO_FEW for k, name in enumerate(factors.names) if k not in kept}


def draw(pool: Pool, votes: int, group: int, rng: np.random.Generator) -> Array:
    """(votes, group) rows, with replacement; each vote's rows share one level, levels are uniform."""
    level = rng.integers(len(pool.starts), size=votes)
    within = (rng.random((votes, group), dtype=np.float32) * pool.counts[level, None]).astype(
        np.int64
    )
    # A float32 product may round up to the count itself.
    return pool.order[pool.starts[level, None] + np.minimum(within, pool.counts[level, None] - 1)]


def draw_pairs(pool: Pool, votes: int, group: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two times (votes, group) rows; each pair is two different rows of one level, levels are uniform over pairs."""
    level = rng.integers(len(pool.starts), size=(votes, group))
    starts, counts = pool.starts[level], pool.counts[level]
    first = rng.integers(counts)
    # Some 1 to counts - 1 places further round the level: never the row itself.
    second = (first + 1 + rng.integers(counts - 1)) % counts
    return pool.order[starts + first], pool.order[starts + second]


def _pool(level: Array) -> Pool | None:
    counts = np.bincount(level)
    starts = np.cumsum(counts) - counts
    usable = counts >= 2
    if usable.sum() < 2:
        return None
    return Pool(np.argsort(level, kind="stable"), starts[usable], counts[usable])
