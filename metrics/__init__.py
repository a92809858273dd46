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
from typing import Any, Literal

from metrics import checks, gaussian, minibatch
from metrics.codes import dead, latents, row_weights
from metrics.codes.row_weights import effective_rows
from metrics.mixture.chain_rule import Chain, GroupInformation, chain, information_of_group
from metrics.reference.ceiling import ceiling
from metrics.reference.chance import PERMUTATIONS, of_noise, of_permutations, p_value
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
    chance: Literal["noise", "own"] = "noise",
    permutations: int = PERMUTATIONS,
    **options: Any,
) -> Score:
    """Return the score of codes by one metric of `METRICS`.

    Dead latents count for nothing: before a metric that compares codes with factors or with other
    codes sees them, every continuous latent that carries at most `dead.MIN_INFORMATION` nats about
    the image is replaced by the prior. They are named in `excluded`. Variants that reproduce
    published code see the codes as they are (`Metric.keeps_dead`).

    Args:
        name: a key of `METRICS`, or `metric.variant` with one of its variants.
        codes: codes of N images.
        factors: ground truth of the same N images, in the same order, if the metric needs it.
        images: (N, …) pixel values in [0, 1], if the metric needs them.
        reconstructions: probabilities in the shape of `images`, if the metric needs them.
        others: codes of other models on the same images, if the metric needs them.
        seed: of every draw the metric makes.
        reference: also compute chance and ceiling. False leaves both None.
        chance: which codes give the chance level: Gaussian "noise" of the same sizes, once per
            metric, sizes, factors and options in a process; or the "own" codes against row
            permutations of the factors, for every call. Own chance also gives `p_value` and
            `chance_scores` in the details.
        permutations: number of permutations of own chance.
        options: the metric's own options, by keyword.

    Raises:
        ValueError: unknown metric or chance, missing input, or numbers of rows that differ.
        TypeError: an option the metric does not have.
    """
    if chance not in ("noise", "own"):
        raise ValueError(f"chance must be 'noise' or 'own', got {chance!r}")
    metric, variant_options = checks.find(name, METRICS)
    all_options = checks.complete_options(name, metric, {**variant_options, **options})
    inputs = Inputs(codes, factors, images, reconstructions, tuple(others), seed)
    checks.check(name, metric, inputs)
    identity: dict[str, Any] = {"metric": name}
    dead_latents: dict[str, str] = {}
    if metric.needs & {"mean", "posterior"} and metric.needs & {"factors", "others"}:
        keeps = name.partition(".")[2] in metric.keeps_dead
        identity["dead_latents"] = "kept" if keeps else f"<= {dead.MIN_INFORMATION:g} nats"
        if not keeps:
            inputs, dead_latents = _without_dead_latents(inputs)
    result = metric.function(inputs, **all_options)
    identity |= {**result.identity, **all_options, "images": len(codes)}
    if "factors" in metric.needs and factors is not None:
        identity["factors"] = factors.names
    if factors is not None and factors.weights is not None:
        identity["weights"] = row_weights.distribution_name(factors.weights)
    if dead_latents:
        result = _with_dead_latents(result, dead_latents, codes)
    result = replace(result, identity=identity)
    if not reference or not _has_reference(metric):
        return result
    return _with_reference(
        result, name, metric, inputs, all_options, chance=chance, permutations=permutations
    )


def _with_dead_latents(result: Score, dead_latents: dict[str, str], codes: Codes) -> Score:
    """Return the score with the dead latents among what it excludes.

    If no latent is left it also has a reason.
    """
    excluded = {**result.excluded, **dead_latents}
    details: dict[str, Any] = {**result.details, "excluded": excluded}
    if len(dead_latents) == latents.count(codes):
        details.setdefault("reason", "no latent is active: all are dead")
    return replace(result, details=details, excluded=excluded, reason=details.get("reason", ""))


def _has_reference(metric: Metric) -> bool:
    """Return whether a metric has chance and ceiling: it compares codes with factors, alone."""
    others = metric.needs & {"images", "reconstructions", "others"}
    return "factors" in metric.needs and not others


def _with_reference(
    result: Score,
    name: str,
    metric: Metric,
    inputs: Inputs,
    options: dict[str, Any],
    *,
    chance: Literal["noise", "own"],
    permutations: int,
) -> Score:
    """Return the score with its chance level and its ceiling."""
    factors = inputs.factors
    assert factors is not None, "check() has refused missing factors"
    best = ceiling(name, metric, factors, options)
    details = result.details
    if chance == "own":
        level = of_permutations(name, metric, inputs, options, permutations)
        p = p_value(result.value, level, metric.better)
        details = {**details, "chance_scores": level.scores, "p_value": p}
    else:
        level = of_noise(name, metric, inputs.codes, factors, options)
    return replace(
        result,
        chance=level.mean,
        chance_sd=level.sd,
        ceiling=best.value,
        no_ceiling=best.reason,
        of_factors=best.of_factors,
        details=details,
    )


def _without_dead_latents(inputs: Inputs) -> tuple[Inputs, dict[str, str]]:
    """Return inputs with dead latents replaced by the prior, and those of `codes` by name."""
    weights = row_weights.weights_of(inputs)
    reasons = dead.dead_latents(inputs.codes, weights)
    others = [
        dead.neutralised(other, list(dead.dead_latents(other, weights))) for other in inputs.others
    ]
    alive = replace(inputs, codes=dead.neutralised(inputs.codes, list(reasons)), others=others)
    return alive, {f"latent {j}": reason for j, reason in reasons.items()}


__all__ = [
    "MAX_LOGVAR",
    "METRICS",
    "PERMUTATIONS",
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
