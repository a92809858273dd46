"""Dead latents: continuous latents that carry almost no information about the image.

There is one rule for all metrics, and it is about information. A small variance of the means is no
sign of a dead latent: codes on a small scale carry as much as the same codes on a large one.
"""

from __future__ import annotations

import numpy as np

from metrics.codes import latents, row_weights
from metrics.types import Array, Codes

MIN_INFORMATION = 0.01
"""A continuous latent is dead if it carries at most this many nats about the image.

It is the threshold that Duan et al. 2020 set on the KL. The KL of a latent is never below the bound
that `information_bounds` returns, so every latent that is dead by its KL is dead by this rule."""


def information_bounds(codes: Codes, shares: Array | None = None) -> Array:
    """Return an upper bound on the information of each latent about the image, nats (d,).

        I(z_j; x) = H(z_j) - E_x H(z_j | x)
                 <= 1/2 ln(Var_x mu_j + E_x sigma_j²) - 1/2 E_x ln sigma_j²

    because no distribution of the same variance has more entropy than a Gaussian. The bound does
    not change if a latent is scaled. It is 0 if all images have the same posterior.

    Args:
        codes: posteriors of N images.
        shares: (N,) p_n, sum 1; None if all images count alike.

    Raises:
        ValueError: codes without logvar.
    """
    if codes.logvar is None:
        raise ValueError("the information of latents needs posteriors, but codes.logvar is None")
    logvar = codes.logvar.astype(np.float64)
    # Variances relative to the largest one: exp(logvar) alone may leave the range of float64.
    largest = logvar.max(axis=0)
    noise = row_weights.mean(np.exp(logvar - largest), shares)
    signal = latents.variances(codes, shares) * np.exp(-largest)
    bounds = 0.5 * (np.log(signal + noise) + largest - row_weights.mean(logvar, shares))
    return np.maximum(bounds, 0.0)  # rounding may fall below 0


def dead_latents(codes: Codes, weights: Array | None = None) -> dict[int, str]:
    """Return the columns of the dead continuous latents, with the reason.

    Without posteriors nothing is known about the noise of a code, so only a latent with the same
    mean for every image is dead.

    Args:
        codes: of N images.
        weights: (N,) how often each image counts; None if all count alike.
    """
    codes, shares = row_weights.rows_with_weight(codes, weights)
    reasons: dict[int, str] = {}
    if codes.logvar is not None:
        for j, bound in enumerate(information_bounds(codes, shares)):
            if bound <= MIN_INFORMATION:
                reasons[j] = (
                    f"dead: it carries at most {bound:.2g} nats about the image "
                    f"(limit {MIN_INFORMATION:g})"
                )
        return reasons
    for j in map(int, np.flatnonzero(np.ptp(codes.mean, axis=0) == 0)):
        reasons[j] = "dead: its mean is the same for every image"
    return reasons


def neutralised(codes: Codes, columns: list[int]) -> Codes:
    """Return the codes with some continuous latents replaced by the prior: mean 0, variance 1.

    A latent of this kind carries exactly nothing, so it cannot add to any score.
    """
    if not columns:
        return codes
    mean = codes.mean.copy()
    mean[:, columns] = 0.0
    if codes.logvar is None:
        return Codes(mean, None, codes.discrete)
    logvar = codes.logvar.copy()
    logvar[:, columns] = 0.0
    return Codes(mean, logvar, codes.discrete)
