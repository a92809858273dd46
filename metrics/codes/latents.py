"""Latents as columns: what classifiers and votes read of codes that may be continuous, discrete or both.

Latents are counted through: the d continuous ones first, then the m discrete ones. A discrete latent of c categories
has no scale; as a predictor it is c indicator columns, whose importances belong to the one latent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metrics.types import Array, Codes

MIN_VARIANCE = 0.01
"""A continuous latent whose posterior mean varies less is dead (Burda et al. 2016, section 5.2)."""


class Features(NamedTuple):
    """Predictors made of latents."""

    columns: Array  # (N, D) float64
    latent: Array  # (D,) which latent a column belongs to


def count(codes: Codes) -> int:
    """Number of latents, continuous and discrete."""
    return codes.mean.shape[1] + (0 if codes.discrete is None else codes.discrete.shape[1])


def names(codes: Codes) -> list[str]:
    """ "latent 0", "latent 1", …: how a score's `excluded` calls them."""
    return [f"latent {j}" for j in range(count(codes))]


def discrete_columns(codes: Codes) -> list[Array]:
    """The discrete latents, each (N,) with its categories numbered from 0 in their order."""
    if codes.discrete is None:
        return []
    return [np.unique(column, return_inverse=True)[1] for column in codes.discrete.T]


def features(codes: Codes) -> Features:
    """Means as they are, each discrete latent as one indicator column per category it shows."""
    blocks = [codes.mean.astype(np.float64)]
    latent = list(range(codes.mean.shape[1]))
    for j, column in enumerate(discrete_columns(codes), start=codes.mean.shape[1]):
        indicators = np.eye(int(column.max()) + 1)[column]
        blocks.append(indicators)
        latent += [j] * indicators.shape[1]
    return Features(np.concatenate(blocks, axis=1), np.array(latent, dtype=np.int64))


def variances(codes: Codes, shares: Array | None = None) -> Array:
    """Var_x(mu_j), (d,): over images that all count alike, or by their shares (N,)."""
    mean = codes.mean.astype(np.float64)
    return mean.var(axis=0) if shares is None else shares @ np.square(mean - shares @ mean)


def active(
    codes: Codes, *, min_variance: float = MIN_VARIANCE, shares: Array | None = None
) -> Array:
    """Which latents say anything: Var_x(mu_j) > min_variance, or more than one category. (d + m,) bool."""
    varies = variances(codes, shares) > min_variance
    used = [int(column.max()) > 0 for column in discrete_columns(codes)]
    return np.concatenate([varies, np.array(used, dtype=bool)])
