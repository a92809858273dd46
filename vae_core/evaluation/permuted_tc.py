"""The total correlation of independent latents in a mixture of the same size."""

from __future__ import annotations

import numpy as np

import metrics
from metrics import Codes
from vae_core import random_draws

LARGEST_ERROR = 0.02
"""The sampling error, in nats, that the total correlation of permuted latents may have."""

MOST_WORK = 1e10
"""Samples x images x latents at most: a quarter of what the total correlation itself may take."""


def permuted_tc(codes: Codes, *, samples: int, seed: int) -> dict[str, float]:
    """Return the TC of the same codes with the rows of every latent permuted on their own, nats.

    The latents are then independent of each other, and each has the same posteriors as before. In
    a mixture of N sharp posteriors their TC is not 0: a sample lies near its own image's posterior
    in all latents at once. This much of a TC says nothing about dependent latents.

    Args:
        codes: posteriors of N images that all count alike.
        samples: S of the first round, as in `metrics.elbo_decomposition`.
        seed: of the permutations, the images and the noise.

    Returns:
        `tc_permuted` and `tc_permuted_error`.

    Raises:
        ValueError: the codes do not have log variances.
    """
    if codes.logvar is None:
        raise ValueError("codes must have logvar, because TC needs the posterior, got None")
    mean, logvar = codes.mean.copy(), codes.logvar.copy()
    rng = np.random.default_rng(random_draws.key(seed, "permuted latents"))
    for j in range(mean.shape[1]):
        rows = rng.permutation(len(mean))
        mean[:, j], logvar[:, j] = codes.mean[rows, j], codes.logvar[rows, j]
    decomposition = metrics.elbo_decomposition(
        Codes(mean, logvar),
        samples=samples,
        seed=seed,
        largest_error=LARGEST_ERROR,
        most_work=MOST_WORK,
    )
    return {"tc_permuted": decomposition.tc, "tc_permuted_error": decomposition.tc_error}
