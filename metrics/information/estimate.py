"""The estimators of mutual information by name, for the scores that are made of it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from metrics.information.matrix import (
    Information,
    quadrature_information,
    without_weightless_rows,
)
from metrics.information.monte_carlo import monte_carlo_information
from metrics.information.plug_in import discrete_information, histogram_information
from metrics.types import Codes, Factors, Inputs

Estimator = Literal["quadrature", "monte_carlo", "histogram"]

ESTIMATORS = ("quadrature", "monte_carlo", "histogram")

ALL_CONSTANT = "every factor is constant in the given rows"


def measure(
    inputs: Inputs, estimator: Estimator, *, samples: int = 10_000, bins: int = 20
) -> Information:
    """Return the mutual information of every latent with every factor.

    Discrete codes are further latents; their information is the plug-in value.

    Args:
        inputs: codes and factors; posteriors for all estimators but "histogram".
        estimator: "quadrature" or "monte_carlo" of the posterior mixtures, or "histogram" of
            posterior means.
        samples: of every mixture, for "monte_carlo".
        bins: for "histogram".

    Raises:
        ValueError: an unknown estimator, or posteriors are missing.
    """
    codes, factors = without_weightless_rows(inputs.codes, required_factors(inputs))
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
    """Return the information of continuous latents, followed by that of the discrete ones."""
    if codes.discrete is None or not codes.discrete.shape[1]:
        return information
    of_discrete = discrete_information(codes.discrete, factors)
    marginal, conditional = information.marginal_variance, information.conditional_variance
    # A plug-in value is not sampled: its variance is 0.
    if marginal is not None:
        marginal = np.concatenate([marginal, np.zeros(len(of_discrete.matrix))])
    if conditional is not None:
        conditional = np.concatenate([conditional, np.zeros_like(of_discrete.matrix)])
    return Information(
        np.concatenate([information.matrix, of_discrete.matrix]),
        np.concatenate([information.error, of_discrete.error]),
        information.entropies,
        marginal,
        conditional,
        np.concatenate([information.shuffled_or_zero(), of_discrete.shuffled_or_zero()]),
        np.concatenate([information.excess_or_zero(), of_discrete.excess_or_zero()]),
        information.widened,
    )


def supported(information: Information, codes: Codes) -> Information:
    """Return the information, with 0 where it is no larger than the error of its integration.

    This concerns continuous latents only. It is for scores that divide by the information in a
    latent: without it, they would divide rounding by rounding if the latent knows nothing.
    """
    integrated = np.arange(len(information.matrix))[:, None] < codes.mean.shape[1]
    unknown = integrated & (information.matrix <= information.error)
    return information._replace(matrix=np.where(unknown, 0.0, information.matrix))


def required_factors(inputs: Inputs) -> Factors:
    """Return the factors; `score` has checked that there are any."""
    assert inputs.factors is not None, "score() checks needs"
    return inputs.factors


def constant_factors(information: Information, factors: Factors) -> dict[str, str]:
    """Return what a score excludes: factors of zero entropy, by name, with the reason."""
    return {
        name: "one level only in the given rows: zero entropy"
        for name, entropy in zip(factors.names, information.entropies, strict=True)
        if not entropy > 0
    }
