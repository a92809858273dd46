"""Chance: the score of codes that carry no information about the factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metrics import progress
from metrics.codes import latents
from metrics.reference.built_in_codes import noise_codes
from metrics.reference.content import content
from metrics.types import Array, Codes, Factors, Inputs, Metric

PERMUTATIONS = 20
"""Row permutations of the scored codes, if chance is asked for them and no number is given."""


class Chance(NamedTuple):
    """The distribution of a score over codes without information about the factors."""

    mean: float
    sd: float  # of one score, over the draws
    scores: Array  # one per draw


_cache: dict[tuple[Any, ...], Chance] = {}


def of_noise(
    name: str, metric: Metric, codes: Codes, factors: Factors, options: Mapping[str, Any]
) -> Chance:
    """Return the scores of Gaussian noise codes, computed once per process.

    The noise has as many latents as the codes, and as many categories in each discrete latent.
    Its means are normal with standard deviation 1, its posteriors have standard deviation
    `NOISE_STD`. It does not depend on the model otherwise: all models of a sweep have the same
    chance. Codes that are the factors, against permuted rows, would not do: such codes take a few
    values on a grid, and many scores of a grid differ from those of noise (the interventional
    robustness of a permuted grid is 0, that of Gaussian noise .36).

    Args:
        name: of the metric, with its variant; part of the cache's key.
        metric: its row in the registry.
        codes: the scored codes; only the sizes are used.
        factors: of the same rows.
        options: of the metric, all of them.
    """
    sizes = (codes.mean.shape[1], _categories(codes))
    key = (name, *content(factors), sizes, repr(sorted(options.items())))
    if key not in _cache:
        scores: list[float] = []
        for draw in progress.steps(range(metric.chance_draws), f"chance of {name}: noise"):
            noise = noise_codes(len(factors), *sizes, seed=draw)
            inputs = Inputs(noise, factors, seed=draw)
            scores.append(metric.function(inputs, **options).value)
        _cache[key] = _summary(scores)
    return _cache[key]


def of_permutations(
    name: str, metric: Metric, inputs: Inputs, options: Mapping[str, Any], permutations: int
) -> Chance:
    """Return the scores of the codes themselves against row permutations of the factors.

    Under the hypothesis that codes and factors are independent, the score of the codes and these
    scores have the same distribution. This is the exact chance level of one model, at the price
    of one score per permutation.

    Args:
        name: of the metric, for the display of progress.
        metric: its row in the registry.
        inputs: what was scored.
        options: of the metric, all of them.
        permutations: how many, >= 1.

    Raises:
        ValueError: permutations < 1.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be >= 1, got {permutations}")
    factors = inputs.factors
    assert factors is not None, "score() checks needs"
    scores: list[float] = []
    for draw in progress.steps(range(permutations), f"chance of {name}: permutation"):
        permuted = Inputs(inputs.codes, _permuted(factors, draw), seed=inputs.seed)
        scores.append(metric.function(permuted, **options).value)
    return _summary(scores)


def p_value(value: float, chance: Chance, better: str) -> float:
    """Return the probability of a score at least as good as this one without information.

        p = (1 + number of chance scores at least as good) / (1 + number of chance scores)

    It is exact for the scores of `of_permutations` (Phipson and Smyth 2010, eq. 2): without
    information, p <= a has probability at most a. A chance score that is NaN counts as at least as
    good, because it shows nothing. If the score itself is NaN, so is p.

    Args:
        value: of the codes.
        chance: of the same codes.
        better: the better end of the metric, "max" or "min".
    """
    if math.isnan(value):
        return math.nan
    better_scores = chance.scores >= value if better == "max" else chance.scores <= value
    as_good = better_scores | np.isnan(chance.scores)
    return float((1 + as_good.sum()) / (1 + len(chance.scores)))


def _summary(scores: list[float]) -> Chance:
    array = np.array(scores)
    sd = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return Chance(float(array.mean()), sd, array)


def _categories(codes: Codes) -> tuple[int, ...]:
    """Return the number of categories of every discrete latent."""
    return tuple(int(column.max()) + 1 for column in latents.discrete_columns(codes))


def _permuted(factors: Factors, seed: int) -> Factors:
    """Return the factors with their rows in a random order."""
    rows = np.random.default_rng(seed).permutation(len(factors))
    weights = None if factors.weights is None else factors.weights[rows]
    return Factors(factors.values[rows], factors.names, factors.sizes, weights)
