"""How the KL is divided among the latents, and among the factors that the latents code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import Codes

Floats = NDArray[np.float64]


def kl_per_latent(codes: Codes, weights: Floats | None = None) -> Floats:
    """Return the mean KL(q(z_j|x) || N(0, 1)) of each latent in closed form, nats (d,).

    The mean is over images, in proportion to `weights` (N,) if they are given.

    Raises:
        ValueError: the codes do not have log variances.
    """
    mean, logvar = _posterior(codes)
    return 0.5 * _mean(mean**2 + np.exp(logvar) - 1 - logvar, weights)


def kl_per_factor(codes: Codes, information: Floats, weights: Floats | None = None) -> Floats:
    """Return the KL (K,) that codes each factor, nats.

    A part of the KL of latent j is divided among the factors in proportion to I(z_j; v_k). This is
    the part that distinguishes images,

        KL_j − KL(N(m_j, s_j) || N(0, 1)) = ½ ln s_j − ½ E ln σ_j²,

    with m_j and s_j the mean and variance of q(z_j). It is I(z_j; x) if q(z_j) is Gaussian, more if
    not. The rest comes from a q(z_j) that is not the prior; it is the same for all images and codes
    nothing.

    Args:
        codes: posteriors of N images.
        information: (d, K) I(z_j; v_k); a latent without information on any factor is not counted.
        weights: (N,) how often each image counts; None: all equally.

    Raises:
        ValueError: the codes do not have log variances.
    """
    mean, logvar = _posterior(codes)
    if weights is None:
        variance = mean.var(axis=0)
    else:
        variance = _mean(np.square(mean - _mean(mean, weights)), weights)
    coding = 0.5 * (np.log(variance + _mean(np.exp(logvar), weights)) - _mean(logvar, weights))
    total = information.sum(axis=1, keepdims=True)
    return coding @ np.divide(information, total, out=np.zeros_like(information), where=total > 0)


def _posterior(codes: Codes) -> tuple[Floats, Floats]:
    if codes.logvar is None:
        raise ValueError("codes must have logvar, because the KL needs the posterior, got None")
    return codes.mean.astype(np.float64), codes.logvar.astype(np.float64)


def _mean(terms: Floats, weights: Floats | None) -> Floats:
    return terms.mean(axis=0) if weights is None else weights @ terms / weights.sum()
