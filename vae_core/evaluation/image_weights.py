"""Weights of images in an evaluation, which follow from correlated factors."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.types import Data


def weighted(data: Data, distribution: NDArray[np.float64] | None) -> Data:
    """Return the data with a distribution over the images as weights of the factors.

    All scores on these data are then means under that distribution; a subset is weighted by the
    shares of its rows. For None the data are returned as they are.
    """
    if distribution is None or data.factors is None:
        return data
    return dataclasses.replace(
        data, factors=dataclasses.replace(data.factors, weights=distribution)
    )


def rows_of(factors: Factors, indices: NDArray[np.int64]) -> Factors:
    """Return the factors, and their weights, of some images."""
    if len(indices) == len(factors):
        return factors
    weights = None if factors.weights is None else factors.weights[indices]
    return Factors(factors.values[indices], factors.names, factors.sizes, weights)


def shares(data: Data, indices: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the weights (n,) of some images, divided by their sum; None without weights."""
    if data.factors is None or data.factors.weights is None:
        return None
    weights = data.factors.weights[indices]
    return weights / weights.sum()
