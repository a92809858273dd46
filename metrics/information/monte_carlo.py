"""Mutual information of posterior mixtures by sampling, as the MIG was published.

Chen et al. 2018, section 4.1.
"""

# torch's reductions carry no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from metrics import device, progress
from metrics.gaussian import LOG_2PI
from metrics.information.matrix import (
    Information,
    factor_entropies,
    logvar_of,
    numbered_levels,
    row_shares,
    shuffled_information,
    without_weightless_rows,
)
from metrics.types import Array, Codes, Factors

_BLOCK = 1 << 20  # densities in memory at a time, samples x rows: 8 MB
# Smaller exponents are raised to this: exp is a hundred times slower if its result underflows.
_LEAST = -700.0


class _Mixture(NamedTuple):
    """Posteriors of one latent: (N,) float64 each."""

    mean: Array
    std: Array
    weight: Array  # sums to 1


def monte_carlo_information(
    codes: Codes, factors: Factors, *, samples: int, seed: int
) -> Information:
    """Return mutual information, with the entropy of each mixture as a mean over samples of it.

    H(z_j) is the mean of -ln q(z) over S draws z ~ q(z_j), and H(z_j | v_k = v) that of
    -ln q(z | v) over S draws z ~ q(z_j | v_k = v). The density is that of the exact mixture over
    all rows (with level v). Every draw picks a row by its weight and a point of its posterior,
    independently of all other draws. An estimate of I below 0 becomes 0, as in the authors' code.
    One above H(v_k) stays, since cutting it off would bias the mean.

    The cost is S N (1 + K) densities per latent, streamed through blocks of fixed size.

    Args:
        codes: mean and logvar, (N, d) each.
        factors: (N, K) levels of the same images.
        samples: S, of every mixture.
        seed: of the draws.

    Returns:
        Information whose `error` are standard errors, and with the variances of the entropies. Its
        shuffled information is by quadrature, which costs little beside the samples.

    Raises:
        ValueError: codes without logvar, or samples < 2.
    """
    if samples < 2:
        raise ValueError(f"samples must be >= 2, for a standard error, got {samples}")
    codes, factors = without_weightless_rows(codes, factors)
    rng, weights, logvar = np.random.default_rng(seed), row_shares(factors), logvar_of(codes)
    levels = [numbered_levels(column) for column in factors.values.T]
    shape = (codes.mean.shape[1], len(levels))
    matrix, conditional, marginal = np.zeros(shape), np.zeros(shape), np.zeros(shape[0])
    with device.one_thread(when=samples * len(codes) < _BLOCK * 16):
        for j in progress.steps(range(shape[0]), "information by sampling: latent"):
            mean = codes.mean[:, j].astype(np.float64)
            std = np.exp(0.5 * logvar[:, j].astype(np.float64))
            latent = _Mixture(mean, np.maximum(std, 1e-100), weights)
            entropy, marginal[j] = _entropy(latent, samples, rng)
            for k, level in enumerate(levels):
                if level.max() == 0:
                    continue  # a constant factor carries no information
                information = entropy
                for share, mixture in _by_level(latent, level):
                    of_level, variance = _entropy(mixture, samples, rng)
                    information -= share * of_level
                    conditional[j, k] += share**2 * variance
                matrix[j, k] = max(0.0, information)
    error = np.where(conditional > 0, np.sqrt(marginal[:, None] + conditional), 0.0)
    information = Information(matrix, error, factor_entropies(factors), marginal, conditional)
    return information.with_shuffled(shuffled_information(codes, factors), factors)


def _by_level(latent: _Mixture, level: Array) -> list[tuple[float, _Mixture]]:
    """Return the share of every level, and the mixture of the rows that have it."""
    order = np.argsort(level, kind="stable")
    ends = np.cumsum(np.bincount(level))
    mixtures: list[tuple[float, _Mixture]] = []
    for rows in np.split(order, ends[:-1]):
        share = float(latent.weight[rows].sum())
        of_level = _Mixture(latent.mean[rows], latent.std[rows], latent.weight[rows] / share)
        mixtures.append((share, of_level))
    return mixtures


def _entropy(mixture: _Mixture, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the mean of -ln q over samples of q, and the variance of this mean.

    The units are nats and nats squared.
    """
    # Draw rows by their cumulative weights. `rng.choice` does the same, with checks.
    ends: Array = np.cumsum(mixture.weight)
    position = rng.random(samples) * float(ends[-1])
    rows: Array = np.minimum(np.searchsorted(ends, position, side="right"), len(ends) - 1)
    z = mixture.mean[rows] + mixture.std[rows] * rng.standard_normal(samples)
    surprise: Array = -_log_density(mixture, z)
    return float(surprise.mean()), float(surprise.var(ddof=1)) / samples


def _log_density(mixture: _Mixture, z: Array) -> Array:
    """Return ln q(z) at every sample: (S,).

    The posterior that a sample was drawn from keeps the sum from underflowing.
    """
    target = device.pick()
    points = torch.as_tensor(z, device=target)[:, None]
    total = torch.zeros(len(z), dtype=torch.float64, device=target)
    # Heights are relative to the highest peak, so that the narrowest posterior cannot overflow.
    height: Array = np.log(mixture.weight) - np.log(mixture.std)
    peak = float(height.max())
    step = max(1, _BLOCK // len(z))
    for start in range(0, len(mixture.mean), step):
        rows = slice(start, start + step)
        centre = torch.as_tensor(mixture.mean[rows], device=target)
        scale = torch.as_tensor(math.sqrt(0.5) / mixture.std[rows], device=target)
        work = points - centre
        work.mul_(scale).square_().neg_().add_(torch.as_tensor(height[rows] - peak, device=target))
        total += work.clamp_(min=_LEAST).exp_().sum(dim=1)
    return total.log().cpu().numpy() + (peak - 0.5 * LOG_2PI)
