"""Entropies of the latents of a mixture by quadrature, and closed-form moments of the mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metrics import device
from metrics.gaussian import LOG_2PI
from metrics.information.quadrature import mixture_entropies
from metrics.types import Array, Codes

_RESOLVED = 1e-12
"""Width of a posterior relative to the largest mean, from which rounding samples to float64 changes
nothing: it moves them by 1e-4 of a width."""


class Marginals(NamedTuple):
    """What is known about q(z) = sum_n p_n q(z|x_n) without samples; nats.

    Args:
        entropies: (d,) H(z_j), by quadrature.
        bounds: (d,) how far the quadrature may be from H(z_j).
        known: (d,) bool, whether H(z_j) is known. It is not if posteriors are too narrow for the
            finest grid of the quadrature.
        resolved: (d,) bool, whether float64 resolves the posteriors: a sample of a posterior that
            is narrower than the spacing of numbers around its mean is the mean itself.
        of_posteriors: (d,) E_x H(q(z_j|x)).
        centre: (d,) E z_j.
        covariance: (d, d) of q(z).
        log_prior: E log p(z) with p(z) = N(0, I).
    """

    entropies: Array
    bounds: Array
    known: Array
    resolved: Array
    of_posteriors: Array
    centre: Array
    covariance: Array
    log_prior: float


def marginals(codes: Codes, shares: Array | None) -> Marginals:
    """Return entropies of all latents and moments of q(z).

    Args:
        codes: mean and logvar of N images.
        shares: (N,) p_n, sum 1; None: 1/N each.
    """
    assert codes.logvar is not None, "draw() checks it"
    count, latents = codes.mean.shape
    p = np.full(count, 1 / count) if shares is None else shares
    one_mixture = [np.zeros(count, dtype=np.int64)]
    entropies, bounds, of_posteriors, centre = np.zeros((4, latents))
    known, resolved = np.zeros((2, latents), dtype=bool)
    covariance = np.zeros((latents, latents))
    # Sums instead of products of matrices: those depend on the number of threads in the last bit.
    with device.one_thread():
        for j in range(latents):
            mean, logvar = codes.mean[:, j].astype(np.float64), codes.logvar[:, j].astype(float)
            std = np.exp(0.5 * logvar)
            resolved[j] = float(std.min()) >= _RESOLVED * float(np.abs(mean).max())
            # The quadrature counts the points of its finest grid in 64 bits.
            if resolved[j] and std.min() >= _RESOLVED * std.max():
                integral = mixture_entropies(mean, std, p, one_mixture)
                known[j] = not integral.widened.any()
                entropies[j] = float(integral.values[0])
                # Rounded: the last bits of a bound depend on the number of threads.
                bounds[j] = round(integral.binning + abs(float(integral.change[0])), 10)
            of_posteriors[j] = 0.5 * (LOG_2PI + 1 + (p * logvar).sum())
            centre[j] = (p * mean).sum()
            weighted = p * (mean - centre[j])
            for k in range(j + 1):
                other = codes.mean[:, k].astype(np.float64) - centre[k]
                covariance[j, k] = covariance[k, j] = (weighted * other).sum()
            covariance[j, j] += (p * np.square(std)).sum()
    squares = np.diag(covariance) + np.square(centre)
    log_prior = -0.5 * float((squares + LOG_2PI).sum())
    return Marginals(
        entropies, bounds, known, resolved, of_posteriors, centre, covariance, log_prior
    )
