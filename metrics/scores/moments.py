"""Scores that are functions of first and second moments of the codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from metrics import gaussian
from metrics.codes import latents, row_weights
from metrics.types import Array, Inputs, Score


def gaussian_tc(inputs: Inputs) -> Score:
    """Total correlation of the Gaussian with the covariance of q(z), in closed form; see
    `gaussian.gaussian_tc`.

    Cov(z) = Cov(mu) + E[diag(sigma^2)]. With stronger regularisation the TC of samples falls while that of
    means can rise (Locatello et al. 2019, section 5.2), so both are given: the value is that of samples. Discrete
    latents have no covariance and take no part.

    Returns:
        value: nats; infinite, with a reason, where samples are linearly dependent to float64's precision (no
        posterior has a width). details: samples and means, nats (infinite for linearly dependent means, whatever the
        posteriors' widths), covariance (d, d) of the samples, excluded.
    """
    codes, shares = row_weights.counted(inputs.codes, row_weights.of(inputs))
    assert codes.logvar is not None, "score() checks needs"
    spread = _covariance(codes.mean, shares)
    covariance = spread + np.diag(row_weights.mean(np.exp(codes.logvar.astype(np.float64)), shares))
    samples, means = gaussian.gaussian_tc(covariance), gaussian.gaussian_tc(spread)
    details: dict[str, Any] = {
        "samples": samples,
        "means": means,
        "covariance": covariance,
        "excluded": dict.fromkeys(
            latents.names(codes)[len(spread) :], "discrete: it has no covariance"
        ),
    }
    if math.isinf(samples):
        details["reason"] = "samples are linearly dependent: one latent is a sum of others"
    return Score(
        samples,
        details=details,
        identity={"estimator": "covariance of q(z)", "latents": "continuous"},
    )


def active_units(
    inputs: Inputs, *, threshold: float = latents.MIN_VARIANCE, discrete: bool = False
) -> Score:
    """Number of latents whose posterior mean varies: Var_x(mu_j) > threshold (Burda et al. 2016, section
    5.2).

    Discrete latents are left out unless asked for. Of them only the likeliest category is stored, and that changes
    from image to image even where all categories are as good as equally likely: that more than one is used shows
    activity far less surely than a variance does. How many do is in the details either way.

    Args:
        inputs: codes.
        threshold: variance of the means.
        discrete: also count discrete latents that use more than one category.

    Returns:
        value: a count. details: variances (d,), active (d + m,) (discrete latents after the continuous ones, counted
        or not), discrete_active (a count), categories (m,): how many are used, as the exponential of the entropy of
        their frequencies; kl_per_latent (d,) in nats where posteriors are given; excluded.
    """
    codes, shares = row_weights.counted(inputs.codes, row_weights.of(inputs))
    variances = latents.variances(codes, shares)
    active = latents.active(codes, min_variance=threshold, shares=shares)
    continuous = len(variances)
    details: dict[str, Any] = {
        "variances": variances,
        "active": active,
        "discrete_active": float(active[continuous:].sum()),
        "categories": np.array(
            [_used(column, shares) for column in latents.discrete_columns(codes)]
        ),
        "excluded": {}
        if discrete
        else dict.fromkeys(
            latents.names(codes)[continuous:], "discrete: counted with discrete=True only"
        ),
    }
    if codes.logvar is not None:
        mean, logvar = torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)
        details["kl_per_latent"] = row_weights.mean(
            gaussian.kl(mean.double(), logvar.double()).numpy(), shares
        )
    counted = active if discrete else active[:continuous]
    return Score(float(counted.sum()), details=details, identity={"estimator": "variance of means"})


def _used(column: Array, shares: Array | None) -> float:
    p = np.bincount(column) / len(column) if shares is None else np.bincount(column, shares)
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


def _covariance(mean: Array, shares: Array | None) -> Array:
    middle = (
        mean.mean(axis=0, dtype=np.float64) if shares is None else shares @ mean.astype(np.float64)
    )
    centred = mean.astype(np.float64) - middle
    centred[:, np.ptp(mean, axis=0) == 0] = (
        0.0  # the mean of equal numbers may differ from them in the last bit
    )
    return (
        centred.T @ centred / len(mean)
        if shares is None
        else (centred * shares[:, None]).T @ centred
    )
