"""Estimators of disentanglement: arrays in, numbers out.

Score codes of a data set with two factors, where each latent is one factor and noise:

>>> import itertools
>>> import numpy as np
>>> from metrics import Codes, Factors, score
>>> levels = list(itertools.product(range(3), range(4)))
>>> factors = Factors(levels, names=["shape", "scale"], sizes=[3, 4])
>>> noise = np.random.default_rng(0).normal(scale=0.1, size=(12, 2))
>>> codes = Codes(mean=levels + noise, logvar=np.full((12, 2), -4.0))
>>> result = score("mig", codes, factors)
>>> result.chance < result.value <= 1.0
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metrics import chance_and_ceiling, checks, gaussian, minibatch
from metrics.codes import row_weights
from metrics.codes.row_weights import effective_rows
from metrics.mixture.chain_rule import Chain, GroupInformation, chain, information_of_group
from metrics.registry import METRICS
from metrics.scores.elbo import ElboDecomposition, elbo_decomposition
from metrics.types import MAX_LOGVAR, Array, Codes, Factors, Inputs, Metric, Score


def find(name: str) -> Metric:
    """Return the row of `METRICS` for a name, with or without a variant.

    Raises:
        ValueError: unknown name.
    """
    return checks.find(name, METRICS)[0]


def names() -> tuple[str, ...]:
    """Return every name that `score` takes: metrics, and metrics with a variant."""
    return checks.names(METRICS)


def score(
    name: str,
    codes: Codes,
    factors: Factors | None = None,
    *,
    images: Array | None = None,
    reconstructions: Array | None = None,
    others: Sequence[Codes] = (),
    seed: int = 0,
    reference: bool = True,
    **options: Any,
) -> Score:
    """Return the score of codes by one metric of `METRICS`.

    Args:
        name: a key of `METRICS`, or `metric.variant` with one of its variants.
        codes: codes of N images.
        factors: ground truth of the same N images, in the same order, if the metric needs it.
        images: (N, …) pixel values in [0, 1], if the metric needs them.
        reconstructions: probabilities in the shape of `images`, if the metric needs them.
        others: codes of other models on the same images, if the metric needs them.
        seed: of every draw the metric makes.
        reference: also compute chance and ceiling: six more scores, of codes that are the factors,
            once per metric, factors and options in a process. False leaves both None.
        options: the metric's own options, by keyword.

    Raises:
        ValueError: unknown metric, missing input, or numbers of rows that differ.
        TypeError: an option the metric does not have.
    """
    metric, variant_options = checks.find(name, METRICS)
    all_options = checks.complete_options(name, metric, {**variant_options, **options})
    inputs = Inputs(codes, factors, images, reconstructions, tuple(others), seed)
    checks.check(name, metric, inputs)
    result = metric.function(inputs, **all_options)
    chance = ceiling = None
    if reference and factors is not None:
        chance, ceiling = chance_and_ceiling.reference(name, metric, factors, all_options)
    identity = {"metric": name, **result.identity, **all_options, "images": len(codes)}
    if "factors" in metric.needs and factors is not None:
        identity["factors"] = factors.names
    if factors is not None and factors.weights is not None:
        identity["weights"] = row_weights.distribution_name(factors.weights)
    return replace(result, chance=chance, ceiling=ceiling, identity=identity)


__all__ = [
    "MAX_LOGVAR",
    "METRICS",
    "Chain",
    "Codes",
    "ElboDecomposition",
    "Factors",
    "GroupInformation",
    "Inputs",
    "Metric",
    "Score",
    "chain",
    "effective_rows",
    "elbo_decomposition",
    "find",
    "gaussian",
    "information_of_group",
    "minibatch",
    "names",
    "score",
]
