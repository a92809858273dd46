"""What a score is read against: chance and ceiling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metrics.types import Codes, Factors, Inputs, Metric

PERMUTATIONS = 5


class Reference(NamedTuple):
    """Scores of codes that know nothing about the factors, and of codes that are the factors."""

    chance: float | None
    ceiling: float | None


_cache: dict[tuple[Any, ...], Reference] = {}


def reference(name: str, metric: Metric, factors: Factors, options: Mapping[str, Any]) -> Reference:
    """Chance and ceiling of a metric on these factors, computed once per process.

    Ceiling: the score of the factors' own codes (`own_codes`). Chance: the mean score of these same codes against
    `PERMUTATIONS` seeded permutations of the factor rows. Both are properties of metric, factors, number of rows
    and options, not of a model: the same two numbers stand beside every model of a sweep and are paid for once.
    The own codes span [-1, 1]: of a score that depends on the scale of codes (`rmig`, `jemmig`, `sap.dlib`) good codes
    on a wider scale may reach more than this ceiling. Permuting the rows under a model's own codes instead would cost
    five scores per model and mix the model into its own yardstick. Metrics that do not use factors, or that need images
    or other models, have neither.
    """
    if "factors" not in metric.needs or metric.needs & {"images", "reconstructions", "others"}:
        return Reference(None, None)
    content = hashlib.sha256(factors.values.tobytes()).hexdigest()
    weights = (
        None if factors.weights is None else hashlib.sha256(factors.weights.tobytes()).hexdigest()
    )
    key = (
        name,
        content,
        weights,
        factors.values.shape,
        factors.names,
        factors.sizes,
        repr(sorted(options.items())),
    )
    if key not in _cache:
        codes = own_codes(factors, discrete="discrete" in metric.needs)
        ceiling = metric.function(Inputs(codes, factors), **options).value
        chances = [
            metric.function(Inputs(codes, _permuted(factors, seed)), **options).value
            for seed in range(PERMUTATIONS)
        ]
        _cache[key] = Reference(float(np.mean(chances)), ceiling)
    return _cache[key]


def own_codes(factors: Factors, *, discrete: bool = False) -> Codes:
    """Codes that are the factors: one latent per factor, its levels spread evenly over [-1, 1].

    With `discrete` the levels are the discrete codes as well.

    The width of each posterior is a tenth of the distance between neighbouring levels: one code per level
    (their mixtures overlap by less than 1e-6), yet wide enough to be integrated on a small grid. A factor
    with one level is a dead latent: mean 0, width 1.
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


def _permuted(factors: Factors, seed: int) -> Factors:
    rows = np.random.default_rng(seed).permutation(len(factors))
    weights = None if factors.weights is None else factors.weights[rows]
    return Factors(factors.values[rows], factors.names, factors.sizes, weights)
