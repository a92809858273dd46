"""The mutual information gap of posterior means in a histogram (Locatello et al. 2019, app. B)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from metrics.information.estimate import constant_factors, measure, required_factors, with_discrete
from metrics.information.few_rows import bounded_error
from metrics.information.gap import Average, coefficients, gap_score, gap_shares, require_choice
from metrics.information.matrix import Information, factor_entropies
from metrics.information.plug_in import discrete_information
from metrics.types import Array, Codes, Factors, Inputs, Score

_IDENTITY = {"estimator": "histogram of means"}


def mig_hist20(
    inputs: Inputs,
    *,
    bins: int = 20,
    protocol: Literal["all_rows", "dlib"] = "all_rows",
    rows: int = 10_000,
    average: Average = "factors",
) -> Score:
    """Return the mutual information gap of posterior means that are cut into equal bins.

        MIG = 1/K sum_k [ I(b_j1; v_k) - I(b_j2; v_k) ] / H(v_k)

    with b_j the bin of the mean of latent j and the plug-in I (Locatello et al. 2019, appendix B).
    The value is not comparable with `mig`. A factor of more levels than bins cannot score 1, so
    compare the value with its ceiling (.9024 on all of dSprites with 20 bins).

    Args:
        inputs: codes and factors; discrete codes are further latents with their own categories.
        bins: equal bins between the least and the greatest mean of every latent.
        protocol: "all_rows" counts every row, with its weight. "dlib" is the protocol of
            disentanglement_lib: it draws `rows` of them with replacement, and cuts at the edges of
            numpy's histogram, in the precision of the codes. One thing differs: a constant factor
            is excluded here, and divides by zero there.
        rows: of the draw.
        average: "factors", as published, or "entropy"; see `mig`.

    Returns:
        As `mig`. The plug-in value has no error but that of few rows; for "dlib" the standard error
        of the draw, details["draw_error"], comes on top of it.

    Raises:
        ValueError: bins < 1, rows < 2, or the protocol or the average is unknown.
    """
    require_choice("protocol", protocol, ("all_rows", "dlib"))
    if protocol == "dlib":
        return _gap_of_draw(inputs, bins=bins, rows=rows, average=average)
    information = measure(inputs, "histogram", bins=bins)
    return gap_score(
        information,
        information.entropies,
        required_factors(inputs),
        excluded=constant_factors(information, required_factors(inputs)),
        average=average,
        identity=_IDENTITY,
    )


def largest_gap(factors: Factors, options: Mapping[str, Any]) -> float:
    """Return a value that no code can exceed on these factors.

    The best gap of factor k is min(H(v_k), ln bins): the bin of a latent contains at most ln bins
    nats. Divided by H(v_k) it is .864 for 32 levels and .812 for 40 levels in 20 bins.

    Args:
        factors: of the scored rows.
        options: `bins` and `average` of `mig_hist20`.
    """
    entropies = factor_entropies(factors)
    entropies = entropies[entropies > 0]
    if not len(entropies):
        return 1.0
    gaps = np.minimum(entropies, math.log(options["bins"]))
    if options["average"] == "entropy":
        return float(gaps.sum() / entropies.sum())
    return float((gaps / entropies).mean())


def _gap_of_draw(inputs: Inputs, *, bins: int, rows: int, average: Average) -> Score:
    """Return the score of the protocol "dlib"."""
    if rows < 2 or bins < 1:
        raise ValueError(f"need rows >= 2 and bins >= 1, got {rows} rows and {bins} bins")
    drawn = _drawn_rows(inputs, rows)
    codes, factors = _rows(inputs, drawn)
    columns = [_cut(column, bins) for column in codes.mean.T]
    information = with_discrete(
        discrete_information(_stacked(columns, rows), factors), codes, factors
    )
    if codes.discrete is not None:
        columns += list(codes.discrete.T)
    information = _with_shuffled_rows(information, inputs, drawn, columns)
    excluded = dict.fromkeys(
        constant_factors(information, factors), "one level only in the drawn rows: zero entropy"
    )
    result = gap_score(
        information,
        information.entropies,
        factors,
        excluded=excluded,
        average=average,
        identity=_IDENTITY,
    )
    if math.isnan(result.value):
        return result
    shares = gap_shares(information.entropies, factors, excluded, average)
    draw_error = _draw_error(columns, factors, coefficients(information.matrix, shares))
    error = bounded_error(draw_error + float(result.details["few_rows"]), result.value)
    return replace(result, error=error, details={**result.details, "draw_error": draw_error})


def _drawn_rows(inputs: Inputs, rows: int) -> Array:
    """Return indices of rows drawn with replacement, by their weights."""
    factors, shares = required_factors(inputs), None
    if factors.weights is not None:
        shares = factors.weights.astype(np.float64) / factors.weights.astype(np.float64).sum()
    return np.random.default_rng(inputs.seed).choice(len(inputs.codes), size=rows, p=shares)


def _rows(inputs: Inputs, drawn: Array) -> tuple[Codes, Factors]:
    """Return some rows of codes and factors."""
    codes, factors = inputs.codes, required_factors(inputs)
    discrete = None if codes.discrete is None else codes.discrete[drawn]
    return (
        Codes(codes.mean[drawn], discrete=discrete),
        Factors(factors.values[drawn], factors.names, factors.sizes),
    )


def _with_shuffled_rows(
    information: Information, inputs: Inputs, drawn: Array, columns: list[Array]
) -> Information:
    """Return the information of drawn rows with that of shuffled factors.

    Rows are shuffled before they are drawn: a row that is drawn twice keeps its two equal levels.
    So each row counts once, with the number of its draws as weight.

    Args:
        information: of the drawn rows.
        inputs: all rows.
        drawn: (rows,) indices.
        columns: (rows,) categories of every latent in the drawn rows.
    """
    factors = required_factors(inputs)
    distinct, first, counts = np.unique(drawn, return_index=True, return_counts=True)
    once = Factors(
        factors.values[distinct], factors.names, factors.sizes, counts.astype(np.float64)
    )
    of_distinct = discrete_information(_stacked(columns, len(drawn))[first], once)
    return information._replace(shuffled=of_distinct.shuffled, excess=of_distinct.excess)


def _cut(column: Array, bins: int) -> Array:
    """Return the bin of each value, numbered from 1, between the edges of numpy's histogram.

    Each bin contains its left edge. The greatest value is in the last bin.
    """
    try:
        edges: Array = np.histogram(column, bins)[1]
    except ValueError:
        # The values are neighbouring float32 numbers: no float32 edges fit between them.
        edges = np.histogram(column.astype(np.float64), bins)[1]
    return np.digitize(column, edges[:-1])


def _stacked(columns: list[Array], rows: int) -> Array:
    """Return the columns side by side, (rows, columns)."""
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype=np.int64)


def _draw_error(columns: list[Array], factors: Factors, weights: Array) -> float:
    """Return the standard error of sum_jk weights_jk I_jk over independently drawn rows.

    To first order, an estimate of I varies like the mean of ln p(b, v) - ln p(b) - ln p(v) over
    the rows.
    """
    terms = np.zeros(len(factors))
    for j, k in np.argwhere(weights).tolist():
        code: Array = np.unique(columns[j], return_inverse=True)[1]
        level: Array = factors.values[:, k].astype(np.int64)
        cell: Array = code * factors.sizes[k] + level
        log_joint, log_code, log_level = _log_share(cell), _log_share(code), _log_share(level)
        terms += weights[j, k] * (log_joint - log_code - log_level)
    return float(terms.std(ddof=1)) / math.sqrt(len(terms))


def _log_share(numbers: Array) -> Array:
    """Return for every row the log of the share of rows with the same number."""
    return np.log(np.bincount(numbers)[numbers] / len(numbers))
