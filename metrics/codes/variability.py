"""How much a latent varies, continuous or discrete, and which vary too little to take part in a vote."""

from __future__ import annotations

import numpy as np
import torch

from metrics import gaussian
from metrics.codes import latents
from metrics.types import Array, Codes


def deviations(codes: Codes) -> Array:
    """Standard deviation of every latent over all rows, of a discrete one the root of `gini`: (d + m,)."""
    # A column of equal numbers may differ from its own mean in the last bit; that is no deviation.
    of_means = np.where(
        np.ptp(codes.mean, axis=0) > 0, codes.mean.astype(np.float64).std(axis=0), 0.0
    )
    of_categories = [gini(column[None])[0] ** 0.5 for column in latents.discrete_columns(codes)]
    return np.concatenate([of_means, np.array(of_categories, dtype=np.float64)])


def gini(categories: Array) -> Array:
    """Variance of a categorical sample, per row: (V, n) categories from 0 on to (V,).

    1/(2 n^2) sum_{a,b} 1[c_a != c_b] = 1/2 (1 - sum_c p_c^2): the variance, written with squared differences of pairs,
    with every two different categories at distance 1 (Gini 1912; Light and Margolin 1971).
    """
    votes, n = len(categories), int(categories.shape[1])
    width = int(categories.max(initial=0)) + 1
    # One bincount for all rows: each counts in cells of its own.
    cells = (categories + width * np.arange(votes)[:, None]).reshape(-1)
    shares = np.bincount(cells, minlength=votes * width).reshape(votes, width) / n
    return 0.5 * (1 - np.square(shares).sum(axis=1))


def active(
    codes: Codes, *, min_std: float = 0.0, min_kl: float | None = None
) -> tuple[Array, dict[str, str]]:
    """Which latents vary enough (d + m,), and a reason for each that does not.

    Args:
        codes: of all rows.
        min_std: smallest standard deviation; a latent without any never takes part.
        min_kl: continuous latents need a mean KL to the prior above this, in nats per image; None: any.

    Raises:
        ValueError: min_kl for codes without logvar.
    """
    deviation = deviations(codes)
    enough = (deviation >= min_std) & (deviation > 0)
    why = {
        j: f"standard deviation {deviation[j]:.2g} is below {min_std:g}"
        for j in np.flatnonzero(~enough)
    }
    why |= dict.fromkeys(np.flatnonzero(deviation == 0), "constant")
    if min_kl is not None:
        kl = mean_kl(codes)
        quiet = np.flatnonzero(kl <= min_kl)
        why |= {j: f"its KL of {kl[j]:.2g} nats is not above {min_kl:g}" for j in quiet}
        enough[quiet] = False
    names = latents.names(codes)
    return enough, {names[j]: why[j] for j in sorted(why)}


def mean_kl(codes: Codes) -> Array:
    """KL of every continuous latent to the standard normal, averaged over rows: (d,) nats per image.

    Raises:
        ValueError: codes without logvar.
    """
    if codes.logvar is None:
        raise ValueError(
            "min_kl needs posteriors, but codes.logvar is None; give them, or min_std alone"
        )
    mean, logvar = torch.as_tensor(codes.mean).double(), torch.as_tensor(codes.logvar).double()
    return gaussian.kl(mean, logvar).mean(dim=0).numpy()
