"""The two scores that a score is compared with: chance and ceiling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metrics.types import Array, Codes, Factors, Inputs, Metric

PERMUTATIONS = 5


class Reference(NamedTuple):
    """The score of codes that carry no information about the factors, and of the factors."""

    chance: float | None
    ceiling: float | None


_cache: dict[tuple[Any, ...], Reference] = {}


def reference(name: str, metric: Metric, factors: Factors, options: Mapping[str, Any]) -> Reference:
    """Return chance and ceiling of a metric on these factors, computed once per process.

    Ceiling: the score of codes that are the factors (`own_codes`). Chance: the mean score of these
    same codes against `PERMUTATIONS` seeded permutations of the factor rows. Both depend on the
    metric, the factors, the number of rows and the options, but not on a model: every model of a
    sweep has the same two numbers, and they are computed once. Permuting the rows under a model's
    codes instead would cost five scores per model, and chance would depend on the model.

    `own_codes` span [-1, 1]. If a score depends on the scale of codes (`rmig`, `jemmig`,
    `sap.dlib`), good codes on a wider scale may exceed this ceiling. Metrics that do not use
    factors, or that need images or other models, have neither chance nor ceiling.
    """
    if "factors" not in metric.needs or metric.needs & {"images", "reconstructions", "others"}:
        return Reference(None, None)
    key = (name, *_content(factors), repr(sorted(options.items())))
    if key not in _cache:
        _cache[key] = _compute(metric, factors, options)
    return _cache[key]


def factor_codes(factors: Factors, *, discrete: bool = False) -> Codes:
    """Return codes that are the factors: one latent per factor, levels spaced evenly in [-1, 1].

    The standard deviation of each posterior is a tenth of the distance between neighbouring
    levels. Each level is then one code (their mixtures overlap by less than 1e-6), yet wide enough
    to be integrated on a small grid. A factor with one level becomes a dead latent: mean 0,
    standard deviation 1.

    Args:
        factors: of N images.
        discrete: also give the levels as discrete codes.
    """
    values = factors.values.astype(np.float64)
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    spacing = np.divide(2.0, span, out=np.full(len(span), 10.0), where=span > 0)
    logvar = np.broadcast_to(2 * np.log(spacing / 10), values.shape)
    return Codes(
        mean=np.where(span > 0, (values - low) * spacing - 1, 0.0),
        logvar=np.ascontiguousarray(logvar),
        discrete=factors.values if discrete else None,
    )


def _content(factors: Factors) -> tuple[Any, ...]:
    """Return what two sets of factors must have in common to have the same reference."""
    weights_digest = None if factors.weights is None else _digest(factors.weights)
    return (
        _digest(factors.values),
        weights_digest,
        factors.values.shape,
        factors.names,
        factors.sizes,
    )


def _digest(array: Array) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _compute(metric: Metric, factors: Factors, options: Mapping[str, Any]) -> Reference:
    codes = factor_codes(factors, discrete="discrete" in metric.needs)
    ceiling = metric.function(Inputs(codes, factors), **options).value
    chances = [
        metric.function(Inputs(codes, _permuted(factors, seed)), **options).value
        for seed in range(PERMUTATIONS)
    ]
    return Reference(float(np.mean(chances)), ceiling)


def _permuted(factors: Factors, seed: int) -> Factors:
    """Return the factors with their rows in a random order."""
    rows = np.random.default_rng(seed).permutation(len(factors))
    weights = None if factors.weights is None else factors.weights[rows]
    return Factors(factors.values[rows], factors.names, factors.sizes, weights)
