"""Which mutual information: one name for each way of estimating it, for the scores that are made of it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from metrics.information.matrix import (
    Information,
    discrete_information,
    histogram_information,
    present,
    quadrature_information,
)
from metrics.information.monte_carlo import monte_carlo_information
from metrics.types import Codes, Factors, Inputs

Estimator = Literal["quadrature", "monte_carlo", "histogram"]

ESTIMATORS = ("quadrature", "monte_carlo", "histogram")


def measure(
    inputs: Inputs, estimator: Estimator, *, samples: int = 10_000, bins: int = 20
) -> Information:
    """Mutual information of every latent with every factor; discrete codes are further latents with the plug-in I.

    Args:
        inputs: codes and factors; posteriors for all but "histogram".
        estimator: "quadrature" or "monte_carlo" of the posterior mixtures, or "histogram" of posterior means.
        samples: of every mixture, for "monte_carlo".
        bins: for "histogram".

    Raises:
        ValueError: an unknown estimator, or posteriors are missing.
    """
    codes, factors = present(inputs.codes, given(inputs))
    if estimator == "quadrature":
        information = quadrature_information(codes, factors)
    elif estimator == "monte_carlo":
        information = monte_carlo_information(codes, factors, samples=samples, seed=inputs.seed)
    elif estimator == "histogram":
        information = histogram_information(codes.mean, factors, bins=bins)
    else:
        raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    return with_discrete(information, codes, factors)


def with_discrete(information: Information, codes: Codes, factors: Factors) -> Information:
    """The information of continuous latents, followed by that of the discrete ones."""
    if codes.discrete is None or not codes.discrete.shape[1]:
        return information
    further = discrete_information(codes.discrete, factors)
    marginal, conditional = information.marginal_variance, information.conditional_variance
    return Information(
        np.concatenate([information.matrix, further.matrix]),
        np.concatenate([information.error, further.error]),
        information.entropies,
        # A count is not sampled: its variance is 0, and its bias stands in `error` only.
        None if marginal is None else np.concatenate([marginal, np.zeros(len(further.matrix))]),
        None
        if conditional is None
        else np.concatenate([conditional, np.zeros_like(further.matrix)]),
    )


def supported(information: Information, codes: Codes) -> Information:
    """The same with 0 where a continuous latent's I is no larger than the error of its integration.

    For scores that divide by what a latent knows: of a latent that knows nothing they would see rounding only.
    """
    integrated = np.arange(len(information.matrix))[:, None] < codes.mean.shape[1]
    unknown = integrated & (information.matrix <= information.error)
    return information._replace(matrix=np.where(unknown, 0.0, information.matrix))


def given(inputs: Inputs) -> Factors:
    """The factors, which `score` has made sure of."""
    assert inputs.factors is not None, "score() checks needs"
    return inputs.factors


def constant_factors(information: Information, factors: Factors) -> dict[str, str]:
    """What a score excludes: factors of zero entropy, by name, with the reason."""
    return {
        name: "one level only in the given rows: zero entropy"
        for name, entropy in zip(factors.names, information.entropies, strict=True)
        if not entropy > 0
    }


ALL_CONSTANT = "every factor is constant in the given rows"
