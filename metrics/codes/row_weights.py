"""Rows that do not all count alike: p_n, the share of row n, takes the place of 1/N."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from metrics.types import Array, Codes, Inputs, require_weights


def of(inputs: Inputs) -> Array | None:
    """How often each row counts, (N,) in any unit; None where all count alike."""
    return None if inputs.factors is None else inputs.factors.weights


def counted(codes: Codes, weights: Array | None) -> tuple[Codes, Array | None]:
    """Codes without the rows that weigh nothing, and the shares of the others; None where these count alike.

    Raises:
        TypeError: weights are not floats.
        ValueError: not one weight per row, a negative one, or all zero.
    """
    if weights is None:
        return codes, None
    require_weights("weights", weights, len(codes))
    kept = weights > 0
    rest = weights[kept]
    return codes if kept.all() else rows(codes, kept), None if (rest == rest[0]).all() else shares(
        rest
    )


def rows(codes: Codes, which: Array) -> Codes:
    """Codes of some rows, by number or by a mask."""
    return Codes(
        codes.mean[which],
        None if codes.logvar is None else codes.logvar[which],
        None if codes.discrete is None else codes.discrete[which],
    )


def shares(weights: Array) -> Array:
    """p_n, (N,) float64; they sum to 1."""
    p = weights.astype(np.float64)
    return p / p.sum()


def mean(terms: Array, p: Array | None) -> Array:
    """Mean over rows of (N, …); None: all count alike."""
    return terms.mean(axis=0) if p is None else p @ terms


def stratified(p: Array, count: int, rng: np.random.Generator) -> Array:
    """Rows (S,) drawn from p, one from each of S equal slices of the cumulative shares.

    A row of share p_n comes less than two times more or less often than S p_n: means over the rows vary less than those
    of independent draws, whose standard errors are therefore on the safe side.
    """
    cumulative = np.cumsum(p)
    at = (np.arange(count) + rng.random(count)) / count
    # Below 1, so that rounding reaches no row beyond the last that weighs something.
    return np.searchsorted(
        cumulative / cumulative[-1], np.minimum(at, np.nextafter(1.0, 0.0)), side="right"
    )


def effective_rows(weights: Array) -> float:
    """1 / sum_n p_n^2: as many rows that count alike give means of the same variance (Kish 1965)."""
    return float(1 / np.square(shares(weights)).sum())


def entropy_of_rows(p: Array | None, count: int) -> float:
    """-sum_n p_n ln p_n, nats: the most that anything can know of which row it is; ln N where all count alike."""
    return math.log(count) if p is None else float(-(p * np.log(p)).sum())


def name(weights: Array) -> str:
    """16 hex digits of the distribution of rows: in whatever unit, to float32's precision."""
    return hashlib.sha256(shares(weights).astype("<f4").tobytes()).hexdigest()[:16]
