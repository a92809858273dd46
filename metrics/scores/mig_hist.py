"""The mutual information gap of posterior means in a histogram (Locatello et al. 2019, appendix B)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from metrics.information.estimate import constant_factors, given, measure, with_discrete
from metrics.information.gap import Average, check_choice, coefficients, gap_score, gap_shares
from metrics.information.matrix import discrete_information
from metrics.types import Array, Codes, Factors, Inputs, Score


def mig_hist20(
    inputs: Inputs,
    *,
    bins: int = 20,
    protocol: Literal["all_rows", "dlib"] = "all_rows",
    rows: int = 10_000,
    average: Average = "factors",
) -> Score:
    """Gap of `mig` with the plug-in I of posterior means cut into equal bins; not comparable with `mig`.

    A factor of more levels than bins cannot score 1: read it against its ceiling (.9024 on all of dSprites with 20
    bins).

    Args:
        inputs: codes and factors; discrete codes are further latents with their own categories.
        bins: equal bins between the least and the greatest mean of every latent.
        protocol: "all_rows" counts every row, by its weight. "dlib" draws `rows` of them with replacement and cuts
            where numpy's histogram does, in the precision of the codes: the way of disentanglement_lib, except that a
            constant factor is excluded where that divides by zero.
        rows: of the draw.
        average: "factors", as published, or "entropy"; see `mig`.

    Returns:
        As `mig`, with as error the plug-in bias that the gap has at most; or the standard error of the draw, and that
        bias in details["bias"].

    Raises:
        ValueError: bins < 1, rows < 2, an unknown protocol or average.
    """
    check_choice("protocol", protocol, ("all_rows", "dlib"))
    identity = {"estimator": "histogram of means"}
    if protocol == "all_rows":
        information = measure(inputs, "histogram", bins=bins)
        excluded = constant_factors(information, given(inputs))
        return gap_score(
            information,
            information.entropies,
            given(inputs),
            excluded=excluded,
            average=average,
            identity=identity,
        )
    if rows < 2 or bins < 1:
        raise ValueError(f"need rows >= 2 and bins >= 1, got {rows} rows and {bins} bins")
    codes, factors = _drawn(inputs, rows)
    columns = [_cut(column, bins) for column in codes.mean.T]
    information = with_discrete(
        discrete_information(_stacked(columns, rows), factors), codes, factors
    )
    excluded = dict.fromkeys(
        constant_factors(information, factors), "one level only in the drawn rows: zero entropy"
    )
    result = gap_score(
        information,
        information.entropies,
        factors,
        excluded=excluded,
        average=average,
        identity=identity,
    )
    if math.isnan(result.value):
        return result
    if codes.discrete is not None:
        columns += list(codes.discrete.T)
    shares = gap_shares(information.entropies, factors, excluded, average)
    error = _draw_error(columns, factors, coefficients(information.matrix, shares))
    return replace(result, error=error, details={**result.details, "bias": result.error})


def _drawn(inputs: Inputs, rows: int) -> tuple[Codes, Factors]:
    """Rows drawn with replacement, by their weights."""
    codes, factors = inputs.codes, given(inputs)
    share = None
    if factors.weights is not None:
        share = factors.weights.astype(np.float64) / factors.weights.astype(np.float64).sum()
    drawn = np.random.default_rng(inputs.seed).choice(len(codes), size=rows, p=share)
    discrete = None if codes.discrete is None else codes.discrete[drawn]
    return (
        Codes(codes.mean[drawn], discrete=discrete),
        Factors(factors.values[drawn], factors.names, factors.sizes),
    )


def _cut(column: Array, bins: int) -> Array:
    """Bins numbered from 1 by numpy's own edges, each closed to the left; the greatest value belongs to the last."""
    try:
        edges: Array = np.histogram(column, bins)[1]
    except (
        ValueError
    ):  # neighbouring float32 numbers: too close for edges of their own kind between them
        edges = np.histogram(column.astype(np.float64), bins)[1]
    return np.digitize(column, edges[:-1])


def _stacked(columns: list[Array], rows: int) -> Array:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype=np.int64)


def _draw_error(columns: list[Array], factors: Factors, weights: Array) -> float:
    """Standard error of a weighted sum of plug-in informations over independently drawn rows.

    To first order an estimate of I moves like the mean of ln p(b, v) - ln p(b) - ln p(v) over the rows.
    """
    terms = np.zeros(len(factors))
    for j, k in np.argwhere(weights).tolist():
        code: Array = np.unique(columns[j], return_inverse=True)[1]
        level: Array = factors.values[:, k].astype(np.int64)
        cell: Array = code * factors.sizes[k] + level
        logs = [np.log(np.bincount(number)[number] / len(terms)) for number in (cell, code, level)]
        terms += weights[j, k] * (logs[0] - logs[1] - logs[2])
    return float(terms.std(ddof=1)) / math.sqrt(len(terms))
