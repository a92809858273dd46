"""What the KL is spent on: of each latent, and of each factor that latents tell of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import Codes


def kl_per_latent(codes: Codes, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the closed-form KL(q(z_j|x) || N(0, 1)) of each latent, (weighted) mean over images, nats (d,)."""
    if codes.logvar is None:
        raise ValueError("the KL needs a posterior: codes have no logvar")
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    return 0.5 * _mean(mean**2 + np.exp(logvar) - 1 - logvar, weights)


def kl_per_factor(
    codes: Codes, information: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the KL (K,) that codes each factor, nats: latent j's shared in proportion to I(z_j; v_k).

    Shared is what of KL_j can tell images apart, KL_j − KL(N(m_j, s_j) || N(0, 1)) = ½ ln s_j − ½ E ln σ_j² with m_j
    and s_j the mean and variance of q(z_j): I(z_j; x) if q(z_j) is Gaussian, more if not. The rest, a q(z_j) that is
    not the prior, is the same for all images and codes nothing.

    Args:
        codes: posteriors of N images.
        information: (d, K) I(z_j; v_k); a latent that knows of no factor counts for none.
        weights: (N,) how often each image counts; None: all alike.
    """
    if codes.logvar is None:
        raise ValueError("the KL needs a posterior: codes have no logvar")
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    spread = (
        mean.var(axis=0)
        if weights is None
        else _mean(np.square(mean - _mean(mean, weights)), weights)
    )
    telling = 0.5 * (np.log(spread + _mean(np.exp(logvar), weights)) - _mean(logvar, weights))
    total = information.sum(axis=1, keepdims=True)
    return telling @ np.divide(information, total, out=np.zeros_like(information), where=total > 0)


def _mean(terms: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return terms.mean(axis=0) if weights is None else weights @ terms / weights.sum()
