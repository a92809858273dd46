"""How much each latent varies, and which latents vary too little to take part in a vote."""

from __future__ import annotations

import numpy as np
import torch

from metrics import gaussian
from metrics.codes import latents
from metrics.types import Array, Codes


def deviations(codes: Codes) -> Array:
    """Return the deviation of every latent over all rows, (d + m,).

    It is the standard deviation of a continuous latent, and the root of `gini` of a discrete one.
    """
    # A column of equal numbers may differ from its mean in the last bit; its deviation is 0.
    varies = np.ptp(codes.mean, axis=0) > 0
    of_means = np.where(varies, codes.mean.astype(np.float64).std(axis=0), 0.0)
    of_categories = [gini(column[None])[0] ** 0.5 for column in latents.discrete_columns(codes)]
    return np.concatenate([of_means, np.array(of_categories, dtype=np.float64)])


def gini(categories: Array) -> Array:
    """Return the variance of a categorical sample, for each row: (V, n) -> (V,).

        1/(2 n^2) sum_{a,b} 1[c_a != c_b] = 1/2 (1 - sum_c p_c^2)

    It is the variance as a sum over squared differences of pairs, where any two different
    categories are at distance 1 (Gini 1912; Light and Margolin 1971).

    Args:
        categories: (V, n) integers from 0.
    """
    votes, n = len(categories), int(categories.shape[1])
    width = int(categories.max(initial=0)) + 1
    # One bincount serves all rows: each row counts in a range of cells of its own.
    cells = (categories + width * np.arange(votes)[:, None]).reshape(-1)
    shares = np.bincount(cells, minlength=votes * width).reshape(votes, width) / n
    return 0.5 * (1 - np.square(shares).sum(axis=1))


def active(
    codes: Codes, *, min_std: float = 0.0, min_kl: float | None = None
) -> tuple[Array, dict[str, str]]:
    """Return which latents vary enough, (d + m,) bool, and a reason for each that does not.

    Args:
        codes: of all rows.
        min_std: smallest deviation (`deviations`); a constant latent never takes part.
        min_kl: continuous latents need a mean KL to the prior above this, in nats per image; None
            asks for nothing.

    Raises:
        ValueError: min_kl for codes without logvar.
    """
    deviation = deviations(codes)
    enough = (deviation >= min_std) & (deviation > 0)
    reasons: dict[int, str] = {}
    for j in map(int, np.flatnonzero(~enough)):
        if deviation[j] == 0:
            reasons[j] = "constant"
        else:
            reasons[j] = f"standard deviation {deviation[j]:.2g} is below {min_std:g}"
    if min_kl is not None:
        kl = mean_kl(codes)
        for j in map(int, np.flatnonzero(kl <= min_kl)):
            reasons[j] = f"its KL of {kl[j]:.2g} nats is not above {min_kl:g}"
            enough[j] = False
    names = latents.names(codes)
    return enough, {names[j]: reasons[j] for j in sorted(reasons)}


def mean_kl(codes: Codes) -> Array:
    """Return the KL of every continuous latent to the standard normal, averaged over rows: (d,).

    The unit is nats per image.

    Raises:
        ValueError: codes without logvar.
    """
    if codes.logvar is None:
        raise ValueError(
            "min_kl needs posteriors, but codes.logvar is None; give them, or min_std alone"
        )
    mean, logvar = torch.as_tensor(codes.mean).double(), torch.as_tensor(codes.logvar).double()
    return gaussian.kl(mean, logvar).mean(dim=0).numpy()
