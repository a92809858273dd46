"""Rows that do not all count alike: p_n, the share of row n, replaces 1/N."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from metrics.types import Array, Codes, Inputs, require_weights


def weights_of(inputs: Inputs) -> Array | None:
    """Return how often each row counts, (N,) in any unit; None if all count alike."""
    return None if inputs.factors is None else inputs.factors.weights


def rows_with_weight(codes: Codes, weights: Array | None) -> tuple[Codes, Array | None]:
    """Return the codes without rows of weight 0, and the shares of the rows that are left.

    The shares are None if these rows all count alike.

    Raises:
        TypeError: weights are not floats.
        ValueError: not one weight per row, a negative weight, or all weights are zero.
    """
    if weights is None:
        return codes, None
    require_weights("weights", weights, len(codes))
    has_weight = weights > 0
    kept_codes = codes if has_weight.all() else rows(codes, has_weight)
    kept_weights = weights[has_weight]
    if (kept_weights == kept_weights[0]).all():
        return kept_codes, None
    return kept_codes, shares(kept_weights)


def rows(codes: Codes, which: Array) -> Codes:
    """Return the codes of some rows, given by their indices or by a mask."""
    return Codes(
        codes.mean[which],
        None if codes.logvar is None else codes.logvar[which],
        None if codes.discrete is None else codes.discrete[which],
    )


def shares(weights: Array) -> Array:
    """Return p_n, (N,) float64; they sum to 1."""
    p = weights.astype(np.float64)
    return p / p.sum()


def mean(terms: Array, p: Array | None) -> Array:
    """Return the mean over rows of (N, …) by their shares; p is None if all count alike."""
    return terms.mean(axis=0) if p is None else p @ terms


def draw_stratified(p: Array | None, rows: int, count: int, rng: np.random.Generator) -> Array:
    """Return rows (S,) drawn from p, one from each of S equal slices of the cumulative shares.

    The number of draws of a row of share p_n differs from S p_n by less than two. Means over the
    rows therefore vary less than means over independent draws.

    Args:
        p: (N,) shares; None: 1/N each.
        rows: N.
        count: S.
        rng: source of the draws.

    Returns:
        The rows in increasing order.
    """
    position = (np.arange(count) + rng.random(count)) / count
    # Keep below 1, so that rounding does not reach a row after the last one with weight.
    position = np.minimum(position, np.nextafter(1.0, 0.0))
    if p is None:
        return np.minimum((position * rows).astype(np.int64), rows - 1)
    cumulative = np.cumsum(p)
    return np.searchsorted(cumulative / cumulative[-1], position, side="right")


def effective_rows(weights: Array) -> float:
    """Return the effective number of rows, 1 / sum_n p_n^2 (Kish 1965).

    That many rows of equal weight give means of the same variance.
    """
    return float(1 / np.square(shares(weights)).sum())


def entropy_of_rows(p: Array | None, count: int) -> float:
    """Return -sum_n p_n ln p_n in nats; ln N if all rows count alike.

    It is the largest information that a code can have about the index of the row.
    """
    return math.log(count) if p is None else float(-(p * np.log(p)).sum())


def distribution_name(weights: Array) -> str:
    """Return 16 hex digits that identify the distribution of rows.

    They do not depend on the unit of the weights. Shares count to float32's precision.
    """
    return hashlib.sha256(shares(weights).astype("<f4").tobytes()).hexdigest()[:16]
