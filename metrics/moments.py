"""Scores that are functions of first and second moments of the codes."""

from __future__ import annotations

import numpy as np
import torch

from metrics import gaussian
from metrics.types import Array, Inputs, Score


def gaussian_tc(inputs: Inputs) -> Score:
    """Total correlation of the Gaussian with the covariance of q(z), in closed form; see
    `gaussian.gaussian_tc`.

    Cov(z) = Cov(mu) + E[diag(sigma^2)]. With stronger regularisation the TC of samples falls while that of
    means can rise (Locatello et al. 2019, section 5.2), so both are given: the value is that of samples.

    Returns:
        value: nats. details: samples and means, nats (infinite for linearly dependent means), covariance
        (d, d) of the samples.
    """
    assert inputs.codes.logvar is not None, "score() checks needs"
    spread = _covariance(inputs.codes.mean)
    covariance = spread + np.diag(np.exp(inputs.codes.logvar.astype(np.float64)).mean(axis=0))
    samples, means = gaussian.gaussian_tc(covariance), gaussian.gaussian_tc(spread)
    return Score(
        samples,
        details={"samples": samples, "means": means, "covariance": covariance},
        identity={"estimator": "covariance of q(z)"},
    )


def active_units(inputs: Inputs, *, threshold: float = 0.01) -> Score:
    """Number of latents whose posterior mean varies: Var_x(mu_j) > threshold (Burda et al. 2016, section
    5.2).

    Returns:
        value: a count. details: variances (d,), active (d,), and kl_per_latent (d,) in nats where
        posteriors are given.
    """
    variances = inputs.codes.mean.astype(np.float64).var(axis=0)
    active = variances > threshold
    details = {"variances": variances, "active": active}
    if inputs.codes.logvar is not None:
        mean, logvar = torch.as_tensor(inputs.codes.mean), torch.as_tensor(inputs.codes.logvar)
        details["kl_per_latent"] = gaussian.kl(mean.double(), logvar.double()).mean(dim=0).numpy()
    return Score(float(active.sum()), details=details, identity={"estimator": "variance of means"})


def _covariance(mean: Array) -> Array:
    centred = mean.astype(np.float64) - mean.mean(axis=0, dtype=np.float64)
    return centred.T @ centred / len(mean)
