"""Mutual information between latents and factors, in nats.

I(z_j; v_k) = H(z_j) - sum_v p(v) H(z_j | v_k = v), where q(z_j | v_k = v) is the mixture of the posteriors
of all images that show level v (Chen et al. 2018, eq. 4 and section 4.1).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.mixture_grid import Grid, bin_posteriors, make_grid
from metrics.types import Array, Codes, Factors

_ROWS = 16  # mixtures whose densities are held at a time: a few MB, whatever the number of levels


class Information(NamedTuple):
    """Mutual information of every latent with every factor, and how well it is known."""

    matrix: Array  # (d, K) nats, >= 0
    error: Array  # (d, K) nats, estimated error of integration
    entropies: Array  # (K,) nats, of the levels found in the given rows


def factor_entropies(factors: Factors) -> Array:
    """H(v_k) = -sum_v p(v) ln p(v), with p(v) the frequencies in the given rows: (K,) nats."""
    return np.array([_entropy(np.bincount(column)) for column in factors.values.T])


def quadrature_information(codes: Codes, factors: Factors) -> Information:
    """Mutual information of posterior mixtures by deterministic quadrature; no sample is drawn.

    Every latent gets its own uniform periodic grid over mu +- 7 sigma, no coarser than half its narrowest
    posterior. Posteriors are binned on it (`mixture_grid`), once per factor; the densities of all mixtures
    are then one product in Fourier space, and -p ln p is summed over the grid.

    The error adds what is left out: the difference to the same integral on every second point, the entropy
    that interpolating between widths can add, and, where a posterior is too narrow for the finest grid and
    is widened, the effect of widening it again by as much.

    Args:
        codes: mean and logvar, (N, d) each.
        factors: (N, K) levels of the same images.

    Raises:
        ValueError: codes without logvar.
    """
    if codes.logvar is None:
        raise ValueError("mutual information of posterior mixtures needs posteriors: codes.logvar is None")
    shape = (codes.mean.shape[1], factors.values.shape[1])
    matrix, error = np.zeros(shape), np.zeros(shape)
    levels = [np.unique(column, return_inverse=True)[1] for column in factors.values.T]
    for j in range(shape[0]):
        mean, std = codes.mean[:, j].astype(np.float64), np.exp(0.5 * codes.logvar[:, j].astype(np.float64))
        grid = make_grid(mean, std)
        binned = bin_posteriors(grid, mean, std)
        for k, level in enumerate(levels):
            if level.max() == 0:
                continue  # a constant factor carries no information
            matrix[j, k], error[j, k] = _mutual_information(grid, binned.histograms(level), np.bincount(level))
            error[j, k] += binned.width_error
    return Information(matrix, error, factor_entropies(factors))


def histogram_information(values: Array, factors: Factors, *, bins: int = 20) -> Information:
    """Plug-in mutual information of latents cut into equal bins over their empirical range.

    I = sum_{b,v} p(b, v) ln [p(b, v) / (p(b) p(v))] with p the frequencies. Biased upward by about
    (bins - 1)(levels - 1) / (2 N) nats (Miller 1955), which is also what `error` reports.

    Args:
        values: (N, d), usually posterior means; a constant column falls into one bin.
        factors: (N, K).
        bins: number of bins.
    """
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    binned = np.stack([_equal_bins(column, bins) for column in np.asarray(values).T], axis=1)
    return discrete_information(binned, factors)


def discrete_information(values: Array, factors: Factors) -> Information:
    """Plug-in mutual information of integer codes (N, d) with factors (N, K)."""
    shape = (values.shape[1], factors.values.shape[1])
    matrix, error = np.zeros(shape), np.zeros(shape)
    # Numbered once per column: sorting N rows costs more than all the rest.
    code_columns = [_numbered(column) for column in values.T]
    level_columns = [_numbered(column) for column in factors.values.T]
    for (j, code), (k, level) in itertools.product(enumerate(code_columns), enumerate(level_columns)):
        codes, levels = int(code.max()) + 1, int(level.max()) + 1
        joint = np.bincount(code * levels + level, minlength=codes * levels).reshape(codes, levels)
        information = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1)) - _entropy(joint.ravel())
        matrix[j, k] = max(0.0, information)
        error[j, k] = (codes - 1) * (levels - 1) / (2 * len(values))
    return Information(matrix, error, factor_entropies(factors))


def _numbered(column: Array) -> Array:
    """The values of a column, numbered from 0 in their order."""
    return np.unique(column, return_inverse=True)[1]


def _entropy(counts: Array) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def _equal_bins(column: Array, bins: int) -> Array:
    low, high = float(column.min()), float(column.max())
    if low == high:
        return np.zeros(len(column), dtype=np.int64)
    scaled = (column.astype(np.float64) - low) * (bins / (high - low))
    return np.minimum(scaled.astype(np.int64), bins - 1)  # the last bin is closed on both sides


def _mutual_information(grid: Grid, histograms: Array, counts: Array) -> tuple[float, float]:
    """I(z; v) from the binned posteriors of every level, (V, cells) each summing to its count, and its error."""
    p_level = torch.as_tensor(counts / counts.sum())
    marginal = torch.zeros(grid.size // 2 + 1, dtype=torch.complex128)
    conditional = torch.zeros(3, dtype=torch.float64)
    for start in range(0, len(counts), _ROWS):
        rows = slice(start, start + _ROWS)
        spectrum = grid.spectrum(histograms[rows] / counts[rows, None])
        marginal += p_level[rows].to(spectrum) @ spectrum
        conditional += p_level[rows] @ _entropies(grid, spectrum)
    fine, coarse, widened = (float(x) for x in _entropies(grid, marginal[None])[0] - conditional)
    return max(0.0, fine), abs(fine - coarse) + abs(fine - widened)


def _entropies(grid: Grid, spectrum: Tensor) -> Tensor:
    """Differential entropies (V, 3): on the grid, on every second point, and of the widened mixtures."""
    integrand = _minus_p_log_p(grid.densities(spectrum))
    fine = integrand.sum(dim=1) * grid.step
    coarse = integrand[:, ::2].sum(dim=1) * (2 * grid.step)
    if not grid.widened:
        return torch.stack([fine, coarse, fine], dim=1)
    wider = _minus_p_log_p(grid.densities(grid.widen(spectrum)))
    return torch.stack([fine, coarse, wider.sum(dim=1) * grid.step], dim=1)


def _minus_p_log_p(density: Tensor) -> Tensor:
    p = density.clamp(min=1e-300)  # 0 ln 0 = 0
    return -p * p.log()
