"""Scores that are functions of first and second moments of the codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from metrics import gaussian
from metrics.codes import dead, latents, row_weights
from metrics.types import Array, Inputs, Score


def gaussian_tc(inputs: Inputs) -> Score:
    """Return the total correlation, in closed form, of the Gaussian with the covariance of q(z).

        TC = 1/2 (sum_j ln Cov(z)_jj - ln det Cov(z)),   Cov(z) = Cov(mu) + E[diag(sigma^2)]

    See `gaussian.gaussian_tc`. With stronger regularisation the TC of samples falls, while that of
    means can rise (Locatello et al. 2019, section 5.2). So both are given: the value is that of
    samples. Discrete latents have no covariance and are left out.

    Args:
        inputs: codes with posteriors; the row weights of the factors, if there are any.

    Returns:
        value: nats. It is infinite, with a reason, if samples are linearly dependent to the
            precision of float64 (no posterior has a width).
        details:
            samples, means: TC of samples and of means, nats. The second is infinite if the means
                are linearly dependent, at any width of the posteriors.
            covariance: (d, d) of the samples.
            excluded: discrete latents.
    """
    codes, shares = row_weights.rows_with_weight(inputs.codes, row_weights.weights_of(inputs))
    assert codes.logvar is not None, "score() checks needs"
    of_means = _covariance(codes.mean, shares)
    variances = row_weights.mean(np.exp(codes.logvar.astype(np.float64)), shares)
    of_samples = of_means + np.diag(variances)
    samples, means = gaussian.gaussian_tc(of_samples), gaussian.gaussian_tc(of_means)
    discrete_names = latents.names(codes)[len(of_means) :]
    details: dict[str, Any] = {
        "samples": samples,
        "means": means,
        "covariance": of_samples,
        "excluded": dict.fromkeys(discrete_names, "discrete: it has no covariance"),
    }
    if math.isinf(samples):
        details["reason"] = "samples are linearly dependent: one latent is a sum of others"
    identity = {"estimator": "covariance of q(z)", "latents": "continuous"}
    return Score(samples, details=details, identity=identity)


def active_units(
    inputs: Inputs, *, min_variance: float | None = None, discrete: bool = False
) -> Score:
    """Return the number of active latents: those that carry information about the image.

    A continuous latent is active if it is not dead (`codes.dead`): it may carry more than
    `MIN_INFORMATION` = .01 nats about the image. So the count does not depend on the scale of the
    codes. Burda et al. 2016 (section 5.2) count the latents with Var_x(mu_j) > .01 instead; for
    posteriors near the prior both are the same. Without posteriors a latent is active if its mean
    varies at all.

    Discrete latents count only if `discrete` is True. Only their likeliest category is stored, and
    it changes from image to image even if all categories are almost equally likely. So the use of
    several categories shows activity far less surely than information does. The details give the
    number of such latents in both cases.

    Args:
        inputs: codes; the row weights of the factors, if there are any.
        min_variance: count by the variance of the means alone, with this threshold; None: by
            information.
        discrete: also count discrete latents that use more than one category.

    Variants:
        `variance`: the count of Burda et al., with the threshold .01.

    Returns:
        value: a count.
        details:
            variances: (d,) of the means.
            active: (d + m,), discrete latents after the continuous ones, counted or not.
            discrete_active: number of discrete latents that use more than one category.
            categories: (m,) how many categories are used, as the exponential of the entropy of
                their frequencies.
            excluded: dead latents, and discrete latents that are not counted.
            kl_per_latent: (d,) KL to the prior, nats; only with posteriors.
            information_bounds: (d,) upper bounds on I(z_j; x), nats; only with posteriors.
    """
    codes, shares = row_weights.rows_with_weight(inputs.codes, row_weights.weights_of(inputs))
    variances = latents.variances(codes, shares)
    continuous = len(variances)
    active = latents.active(codes, min_variance=min_variance or 0.0, shares=shares)
    excluded: dict[str, str] = {}
    names = latents.names(codes)
    if min_variance is None:
        for j, reason in dead.dead_latents(codes, shares).items():
            active[j] = False
            excluded[names[j]] = reason
    if not discrete:
        for name in names[continuous:]:
            excluded[name] = "discrete: counted with discrete=True only"
    categories = [_used_categories(column, shares) for column in latents.discrete_columns(codes)]
    details: dict[str, Any] = {
        "variances": variances,
        "active": active,
        "discrete_active": float(active[continuous:].sum()),
        "categories": np.array(categories),
        "excluded": excluded,
    }
    if codes.logvar is not None:
        mean, logvar = torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)
        kl = gaussian.kl(mean.double(), logvar.double()).numpy()
        details["kl_per_latent"] = row_weights.mean(kl, shares)
        details["information_bounds"] = dead.information_bounds(codes, shares)
    counted = active if discrete else active[:continuous]
    estimator = "information bound" if min_variance is None else "variance of means"
    identity = {"estimator": estimator, "limit": dead.MIN_INFORMATION}
    if min_variance is not None:
        identity["limit"] = min_variance
    return Score(float(counted.sum()), details=details, identity=identity)


def _used_categories(column: Array, shares: Array | None) -> float:
    """Return exp H of the frequencies of the categories (N,)."""
    p = np.bincount(column) / len(column) if shares is None else np.bincount(column, shares)
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


def _covariance(mean: Array, shares: Array | None) -> Array:
    """Return Cov(mu), (d, d), over uniform or weighted rows."""
    values = mean.astype(np.float64)
    centre = mean.mean(axis=0, dtype=np.float64) if shares is None else shares @ values
    centred = values - centre
    # The mean of equal numbers may differ from them in the last bit.
    centred[:, np.ptp(mean, axis=0) == 0] = 0.0
    if shares is None:
        return centred.T @ centred / len(mean)
    return (centred * shares[:, None]).T @ centred
