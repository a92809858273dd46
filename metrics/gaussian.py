"""Closed forms of diagonal and full Gaussians, in nats."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from metrics.types import Array

LOG_2PI = math.log(2 * math.pi)


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the divergence of every latent from the standard normal.

    KL(N(mu, s^2) || N(0, 1)) = 1/2 (mu^2 + s^2 - 1 - ln s^2)
    (Kingma and Welling 2014, appendix B)

    Args:
        mean, logvar: same shape, usually (B, d).

    Returns:
        Same shape, nats per latent; sum over the last axis for nats per image.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def log_density(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the log density of every latent.

    ln N(z; mu, s^2) = -1/2 ((z - mu)^2 / s^2 + ln s^2 + ln 2 pi)

    Args:
        z, mean, logvar: shapes that broadcast.

    Returns:
        The broadcast shape, in nats; sum over latents for the joint density of a diagonal Gaussian.
    """
    # Scale before squaring: (z - mu)^2 alone underflows float32 for posteriors narrower than 1e-19.
    return -0.5 * (((z - mean) * (-0.5 * logvar).exp()).square() + logvar + LOG_2PI)


def log_density_of_arrays(z: Array, mean: Array, logvar: Array) -> Array:
    """Return `log_density` of numpy arrays.

    It is a function of its own because numpy's and torch's exponentials differ in the last bit.

    Args:
        z, mean, logvar: shapes that broadcast.

    Returns:
        The broadcast shape, in nats.
    """
    return -0.5 * (np.square((z - mean) * np.exp(-0.5 * logvar)) + logvar + LOG_2PI)


def gaussian_tc(covariance: Array) -> float:
    """Return the total correlation of a Gaussian: TC = 1/2 (sum_j ln S_jj - ln det S).

    It equals the total correlation of q(z) if q(z) is Gaussian, is a lower bound of it if the
    marginals are Gaussian, and is neither otherwise.

    Args:
        covariance: (d, d), symmetric; coordinates of zero variance are independent of all others
            and are left out.

    Returns:
        Nats, >= 0; infinity if the correlations are singular to float64's precision: det R would
        be rounding, and its logarithm any number above some 18 nats.

    Raises:
        ValueError: not a square matrix.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a covariance must be a square matrix, got shape {matrix.shape}")
    varies = np.diag(matrix) > 0
    matrix = matrix[np.ix_(varies, varies)]
    # Take the determinant of the correlations, not of the covariances: at scales of 1e-8 rounding
    # would be larger than the determinant.
    scale = 1 / np.sqrt(np.diag(matrix))
    eigenvalues = np.linalg.eigvalsh(matrix * np.outer(scale, scale))
    smallest, largest = eigenvalues.min(initial=1.0), eigenvalues.max(initial=1.0)
    if smallest <= len(matrix) * np.finfo(np.float64).eps * largest:
        return math.inf
    # Rounding may leave independent latents at -1e-16.
    return max(0.0, float(-0.5 * np.log(eigenvalues).sum()))


class GaussianTerms(NamedTuple):
    """The three parts of the KL and their sum, nats per image."""

    mi: float
    tc: float
    dimwise_kl: float
    kl: float


def decomposition(spread: Array, noise: Array) -> GaussianTerms:
    """Return the parts of the KL of a linear-Gaussian channel.

    The channel is mu ~ N(0, A) and q(z|x) = N(mu, diag(s)). Then q(z) = N(0, T) with
    T = A + diag(s), and

        MI = 1/2 (ln det T - sum_j ln s_j)
        TC = 1/2 (sum_j ln T_jj - ln det T)
        dimension-wise KL = 1/2 sum_j (T_jj - 1 - ln T_jj)

    Their sum is 1/2 (tr T - d - sum_j ln s_j).

    Args:
        spread: (d, d) covariance A of the posterior means.
        noise: (d,) posterior variances s, positive.
    """
    noise = np.asarray(noise, dtype=np.float64)
    total = np.asarray(spread, dtype=np.float64) + np.diag(noise)
    marginal = np.diag(total)
    log_det = float(np.linalg.slogdet(total)[1])
    mi = 0.5 * (log_det - float(np.log(noise).sum()))
    tc = 0.5 * (float(np.log(marginal).sum()) - log_det)
    dimwise = 0.5 * float((marginal - 1 - np.log(marginal)).sum())
    return GaussianTerms(mi=mi, tc=tc, dimwise_kl=dimwise, kl=mi + tc + dimwise)
