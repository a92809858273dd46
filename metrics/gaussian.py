"""Closed forms of diagonal and full Gaussians, in nats."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from metrics.types import Array

LOG_2PI = math.log(2 * math.pi)


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Divergence of every latent from the standard normal.

    KL(N(mu, s^2) || N(0, 1)) = 1/2 (mu^2 + s^2 - 1 - ln s^2)      (Kingma and Welling 2014, appendix B)

    Args:
        mean, logvar: same shape, usually (B, d).

    Returns:
        Same shape, nats per latent; sum over the last axis for nats per image.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def log_density(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Log density of every latent: ln N(z; mu, s^2) = -1/2 ((z - mu)^2 / s^2 + ln s^2 + ln 2 pi).

    Args:
        z, mean, logvar: shapes that broadcast.

    Returns:
        The broadcast shape, in nats; sum over latents for the joint density of a diagonal Gaussian.
    """
    # Scaled before squaring: (z - mu)^2 alone underflows float32 for posteriors narrower than 1e-19.
    return -0.5 * (((z - mean) * (-0.5 * logvar).exp()).square() + logvar + LOG_2PI)


def gaussian_tc(covariance: Array) -> float:
    """Total correlation of a Gaussian: TC = 1/2 (sum_j ln S_jj - ln det S).

    Equals the total correlation of q(z) if q(z) is Gaussian, bounds it from below if the marginals are
    Gaussian, and is neither otherwise.

    Args:
        covariance: (d, d), symmetric; coordinates of zero variance are independent of all and left out.

    Returns:
        Nats, >= 0; infinity where the correlations are singular to float64's precision: det R would be rounding, and
        its logarithm any number beyond some 18 nats.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a covariance must be a square matrix, got shape {matrix.shape}")
    alive = np.diag(matrix) > 0
    matrix = matrix[np.ix_(alive, alive)]
    # The determinant of the correlations, not of the covariances: scales of 1e-8 would drown it in rounding.
    scale = 1 / np.sqrt(np.diag(matrix))
    eigenvalues = np.linalg.eigvalsh(matrix * np.outer(scale, scale))
    if eigenvalues.min(initial=1.0) <= len(matrix) * np.finfo(np.float64).eps * eigenvalues.max(
        initial=1.0
    ):
        return math.inf
    return max(
        0.0, float(-0.5 * np.log(eigenvalues).sum())
    )  # rounding may leave independent latents at -1e-16


class GaussianTerms(NamedTuple):
    """The three parts of the KL and their sum, nats per image."""

    mi: float
    tc: float
    dimwise_kl: float
    kl: float


def decomposition(spread: Array, noise: Array) -> GaussianTerms:
    """Split the KL of a linear-Gaussian channel, mu ~ N(0, A) and q(z|x) = N(mu, diag(s)).

    Then q(z) = N(0, T) with T = A + diag(s), and

    MI = 1/2 (ln det T - sum_j ln s_j); TC = 1/2 (sum_j ln T_jj - ln det T);
    dimension-wise KL = 1/2 sum_j (T_jj - 1 - ln T_jj); their sum is 1/2 (tr T - d - sum_j ln s_j).

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
