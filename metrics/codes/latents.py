"""Latents as columns: the input of classifiers and votes on codes, continuous, discrete or both.

Latents are numbered: the d continuous ones first, then the m discrete ones. A discrete latent of c
categories has no scale. As a predictor it is c indicator columns, and their importances belong to
the one latent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metrics.types import Array, Codes


class Features(NamedTuple):
    """Predictors made of latents."""

    columns: Array  # (N, D) float64
    latent: Array  # (D,) which latent a column belongs to


def count(codes: Codes) -> int:
    """Return the number of latents, continuous and discrete."""
    discrete = 0 if codes.discrete is None else codes.discrete.shape[1]
    return codes.mean.shape[1] + discrete


def names(codes: Codes) -> list[str]:
    """Return "latent 0", "latent 1", …: the names of latents in a score's `excluded`."""
    return [f"latent {j}" for j in range(count(codes))]


def discrete_columns(codes: Codes) -> list[Array]:
    """Return the discrete latents, (N,) each, with categories numbered from 0 in their order."""
    if codes.discrete is None:
        return []
    return [np.unique(column, return_inverse=True)[1] for column in codes.discrete.T]


def features(codes: Codes) -> Features:
    """Return the means, and one indicator column for each category that a discrete latent uses."""
    blocks = [codes.mean.astype(np.float64)]
    latent = list(range(codes.mean.shape[1]))
    for j, column in enumerate(discrete_columns(codes), start=codes.mean.shape[1]):
        indicators = np.eye(int(column.max()) + 1)[column]
        blocks.append(indicators)
        latent += [j] * indicators.shape[1]
    return Features(np.concatenate(blocks, axis=1), np.array(latent, dtype=np.int64))


def variances(codes: Codes, shares: Array | None = None) -> Array:
    """Return Var_x(mu_j), (d,): over images that all count alike, or by their shares (N,)."""
    mean = codes.mean.astype(np.float64)
    variance = mean.var(axis=0) if shares is None else shares @ np.square(mean - shares @ mean)
    # The mean of equal numbers may differ from them in the last bit; that is no variance.
    return np.where(np.ptp(mean, axis=0) > 0, variance, 0.0)


def active(codes: Codes, *, min_variance: float = 0.0, shares: Array | None = None) -> Array:
    """Return which latents are active, (d + m,) bool.

    A continuous latent is active if its mean varies and Var_x(mu_j) > min_variance, a discrete one
    if it uses more than one category.
    """
    varies = variances(codes, shares) > min_variance
    uses_several = [int(column.max()) > 0 for column in discrete_columns(codes)]
    return np.concatenate([varies, np.array(uses_several, dtype=bool)])
