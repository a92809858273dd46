"""Estimators of disentanglement: arrays in, numbers out."""

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
    """The row of `METRICS` that a name, or a name with a variant, stands for; ValueError if it is unknown."""
    return checks.find(name, METRICS)[0]


def names() -> tuple[str, ...]:
    """Every name that `score` takes: metrics, and metrics with a variant."""
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
    """Score codes with one metric of `METRICS`.

    Args:
        name: a key of `METRICS`, or `metric.variant` with one of its variants.
        codes: codes of N images.
        factors: ground truth of the same N images, in the same order; where the metric needs it.
        images: (N, …) pixel values in [0, 1]; where needed.
        reconstructions: probabilities in the shape of `images`; where needed.
        others: codes of other models on the same images; where needed.
        seed: of every draw the metric makes.
        reference: also find chance and ceiling: six more scores on codes of the factors themselves, once per
            metric, factors and options in a process. False leaves both None.
        options: the metric's own, by keyword.

    Raises:
        ValueError: unknown metric, missing input, or numbers of rows that differ.
        TypeError: an option the metric does not have.
    """
    metric, variant = checks.find(name, METRICS)
    chosen = checks.complete_options(name, metric, {**variant, **options})
    given = Inputs(codes, factors, images, reconstructions, tuple(others), seed)
    checks.check(name, metric, given)
    result = metric.function(given, **chosen)
    chance = ceiling = None
    if reference and factors is not None:
        chance, ceiling = chance_and_ceiling.reference(name, metric, factors, chosen)
    identity = {"metric": name, **result.identity, **chosen, "images": len(codes)}
    if "factors" in metric.needs and factors is not None:
        identity["factors"] = factors.names
    if factors is not None and factors.weights is not None:
        identity["weights"] = row_weights.name(factors.weights)
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
