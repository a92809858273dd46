"""Plug-in mutual information: that of frequencies, for discrete codes and means in bins."""

from __future__ import annotations

import itertools

import numpy as np

from metrics.information.few_rows import shuffles, spread_over_factors
from metrics.information.matrix import Information, entropy, factor_entropies, numbered_levels
from metrics.types import Array, Factors


def histogram_information(values: Array, factors: Factors, *, bins: int = 20) -> Information:
    """Return plug-in mutual information of latents cut into equal bins over their empirical range.

    I = sum_{b,v} p(b, v) ln [p(b, v) / (p(b) p(v))] with p the frequencies. For independent latents
    it is biased upward by about (bins - 1)(levels - 1) / (2 N) nats (Miller 1955); `shuffled` is
    this bias, measured.

    Args:
        values: (N, d), usually posterior means; a constant column falls into one bin.
        factors: (N, K).
        bins: number of bins.

    Raises:
        ValueError: bins < 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    columns = [equal_bins(column, bins) for column in np.asarray(values).T]
    binned = np.stack(columns, axis=1) if columns else np.zeros((len(values), 0), int)
    return discrete_information(binned, factors)


def discrete_information(values: Array, factors: Factors) -> Information:
    """Return plug-in mutual information of integer codes (N, d) with factors (N, K)."""
    # Number each column once: sorting N rows costs more than everything else.
    code_columns: list[Array] = [np.unique(column, return_inverse=True)[1] for column in values.T]
    levels = [numbered_levels(column) for column in factors.values.T]
    entropies = factor_entropies(factors)
    random_order = shuffles(levels)
    matrix = _plug_in(code_columns, [*levels, *random_order.columns], factors.weights)
    count = len(levels)
    shuffled = spread_over_factors(matrix[:, count:], random_order.of_factor, entropies)
    information = Information(matrix[:, :count], np.zeros((len(matrix), count)), entropies)
    return information.with_shuffled(shuffled, factors)


def _plug_in(code_columns: list[Array], level_columns: list[Array], weights: Array | None) -> Array:
    """Return the plug-in information of columns of whole numbers from 0: (codes, levels) nats."""
    matrix = np.zeros((len(code_columns), len(level_columns)))
    weights = None if weights is None else weights / weights.sum()
    pairs = itertools.product(enumerate(code_columns), enumerate(level_columns))
    for (j, code), (k, level) in pairs:
        codes, levels = int(code.max()) + 1, int(level.max()) + 1
        counts = np.bincount(code * levels + level, weights, minlength=codes * levels)
        joint = counts.reshape(codes, levels)
        separate = entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))
        matrix[j, k] = max(0.0, separate - entropy(joint.ravel()))
    return matrix


def equal_bins(column: Array, bins: int) -> Array:
    """Return the bin of each value, (N,), of equal bins between the least and the greatest value.

    The last bin is closed on both sides.
    """
    low, high = float(column.min()), float(column.max())
    if low == high:
        return np.zeros(len(column), dtype=np.int64)
    scaled = (column.astype(np.float64) - low) * (bins / (high - low))
    return np.minimum(scaled.astype(np.int64), bins - 1)
