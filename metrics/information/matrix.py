"""Mutual information between latents and factors, in nats.

I(z_j; v_k) = H(z_j) - sum_v p(v) H(z_j | v_k = v), where q(z_j | v_k = v) is the mixture of the posteriors
of all images that show level v (Chen et al. 2018, eq. 4 and section 4.1). With weights, p(v) and all mixtures are of
the weighted rows.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from metrics import device, progress
from metrics.codes import row_weights as weighing
from metrics.codes.row_weights import shares
from metrics.information.quadrature import MixtureEntropies, mixture_entropies
from metrics.types import Array, Codes, Factors


class Information(NamedTuple):
    """Mutual information of every latent with every factor, and how well it is known.

    Args:
        matrix: (d, K) nats, >= 0.
        error: (d, K) nats: estimated error of integration, bias, or standard error where it is sampled.
        entropies: (K,) nats, of the levels found in the given rows.
        marginal_variance: (d,) of the estimate of H(z_j), where it is sampled.
        conditional_variance: (d, K) of the estimate of H(z_j | v_k), where it is sampled.
    """

    matrix: Array
    error: Array
    entropies: Array
    marginal_variance: Array | None = None
    conditional_variance: Array | None = None

    def error_of(self, weights: Array) -> float:
        """Error of the sum of weights * matrix: its standard error if sampled, else the most that errors add up to.

        Args:
            weights: (d, K).
        """
        if self.marginal_variance is None or self.conditional_variance is None:
            return float((np.abs(weights) * self.error).sum())
        # Entropies are estimated independently of each other; one of H(z_j) serves every factor.
        marginal = np.square(weights.sum(axis=1)) @ self.marginal_variance
        return math.sqrt(float(marginal + (np.square(weights) * self.conditional_variance).sum()))


def factor_entropies(factors: Factors) -> Array:
    """H(v_k) = -sum_v p(v) ln p(v), with p(v) the (weighted) frequencies in the given rows: (K,) nats."""
    return np.array([entropy(np.bincount(column, factors.weights)) for column in factors.values.T])


def present(codes: Codes, factors: Factors) -> tuple[Codes, Factors]:
    """Codes and factors without the rows that weigh nothing."""
    if factors.weights is None or factors.weights.all():
        return codes, factors
    kept = factors.weights > 0
    return (
        weighing.rows(codes, kept),
        Factors(factors.values[kept], factors.names, factors.sizes, factors.weights[kept]),
    )


def posterior(codes: Codes) -> Array:
    """The log variances; ValueError where there are none."""
    if codes.logvar is None:
        raise ValueError(
            "mutual information of posterior mixtures needs posteriors, but codes.logvar is None: "
            "give it, or take means alone where there is a way: mig_hist20, med.histogram, mig_sup.histogram"
        )
    return codes.logvar


def row_weights(factors: Factors) -> Array:
    """(N,) shares of the rows in all weight: they sum to 1."""
    if factors.weights is None:
        return np.full(len(factors), 1 / len(factors))
    return shares(factors.weights)


def quadrature_information(codes: Codes, factors: Factors) -> Information:
    """Mutual information of posterior mixtures by deterministic quadrature; no sample is drawn.

    Every latent gets its own grid over mu +- 7 sigma, no coarser than half a posterior's width where that posterior
    is; see `mixture_grid` and, for posteriors that are narrow beside the whole range, `mixture_blocks`. The entropies
    of q(z_j) and of every q(z_j | v_k) are sums of -p ln p over it.

    The error adds: the difference to the same sums over every second point; what binning the posteriors in position
    and width may do, by their mean excess kurtosis (`mixture_entropy`); and where posteriors are too narrow for the
    finest grid, which takes some ten thousand of them apart by many of their widths, a bound on what widening them
    may change.

    Args:
        codes: mean and logvar, (N, d) each.
        factors: (N, K) levels of the same images.

    Raises:
        ValueError: codes without logvar.
    """
    codes, factors = present(codes, factors)
    weights, logvar = row_weights(factors), posterior(codes)
    levels = [numbered_levels(column) for column in factors.values.T]
    varying = [k for k, level in enumerate(levels) if level.max(initial=0) > 0]
    shape = (codes.mean.shape[1], len(levels))
    matrix, error = np.zeros(shape), np.zeros(shape)
    entropies = factor_entropies(factors)
    p_level = [np.bincount(levels[k], weights) for k in varying]
    # The first mixture is of all rows, then come the levels of one factor after another.
    starts = np.cumsum([1, *map(len, p_level)])
    columns = [np.zeros(len(weights), dtype=np.int64)]
    columns += [levels[k] + start for k, start in zip(varying, starts, strict=False)]
    for j in progress.steps(range(shape[0]) if varying else range(0), "information: latent"):
        mean, std = (
            codes.mean[:, j].astype(np.float64),
            np.exp(0.5 * logvar[:, j].astype(np.float64)),
        )
        with device.one_thread():
            mixtures = mixture_entropies(mean, std, weights, columns)
        for k, start, p in zip(varying, starts, p_level, strict=False):
            rows = slice(start, start + len(p))
            information = float(mixtures.values[0] - p @ mixtures.values[rows])
            matrix[j, k] = min(
                max(0.0, information), entropies[k]
            )  # what integration may miss by a little
            error[j, k] = (
                abs(float(mixtures.change[0] - p @ mixtures.change[rows])) + mixtures.binning
            )
            error[j, k] += _widening(mixtures, levels[k], weights, matrix[j, k], entropies[k])
    return Information(matrix, error, entropies)


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
    columns = [equal_bins(column, bins) for column in np.asarray(values).T]
    return discrete_information(
        np.stack(columns, axis=1) if columns else np.zeros((len(values), 0), int), factors
    )


def discrete_information(values: Array, factors: Factors) -> Information:
    """Plug-in mutual information of integer codes (N, d) with factors (N, K)."""
    shape = (values.shape[1], factors.values.shape[1])
    matrix, error = np.zeros(shape), np.zeros(shape)
    weights = None if factors.weights is None else factors.weights / factors.weights.sum()
    # Kish's number of equally weighted rows that know as much: sum(w)^2 / sum(w^2).
    count = len(values) if weights is None else 1 / np.square(weights).sum()
    # Numbered once per column: sorting N rows costs more than all the rest.
    code_columns = [np.unique(column, return_inverse=True)[1] for column in values.T]
    level_columns = [numbered_levels(column) for column in factors.values.T]
    for (j, code), (k, level) in itertools.product(
        enumerate(code_columns), enumerate(level_columns)
    ):
        codes, levels = int(code.max()) + 1, int(level.max()) + 1
        joint = np.bincount(code * levels + level, weights, minlength=codes * levels).reshape(
            codes, levels
        )
        information = (
            entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1)) - entropy(joint.ravel())
        )
        matrix[j, k] = max(0.0, information)
        error[j, k] = (codes - 1) * (levels - 1) / (2 * count)
    return Information(matrix, error, factor_entropies(factors))


def equal_bins(column: Array, bins: int) -> Array:
    """Numbers of equal bins between the least and the greatest value: (N,); the last bin is closed on both sides."""
    low, high = float(column.min()), float(column.max())
    if low == high:
        return np.zeros(len(column), dtype=np.int64)
    scaled = (column.astype(np.float64) - low) * (bins / (high - low))
    return np.minimum(scaled.astype(np.int64), bins - 1)


def numbered_levels(column: Array) -> Array:
    """The levels that a factor shows, numbered from 0 in their order; as `np.unique` would, without sorting."""
    shown = np.bincount(column) > 0
    return (np.cumsum(shown) - 1)[column]


def entropy(counts: Array) -> float:
    """H in nats of frequencies that need not be normalised."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def _widening(
    mixtures: MixtureEntropies, level: Array, weights: Array, found: float, entropy_of_factor: float
) -> float:
    """By how much widening some posteriors may have changed an information: nats.

    Told which posteriors were widened (S, a share pi of them), the other ones' information is untouched, and theirs is
    between 0 and H(v | S). Not being told costs at most H(S). And no information leaves [0, H(v)].
    """
    if not mixtures.widened.any():
        return 0.0
    share = float(weights[mixtures.widened].sum())
    theirs = entropy(np.bincount(level[mixtures.widened], weights[mixtures.widened]))
    bound = share * theirs + entropy(np.array([share, 1 - share]))
    return min(bound, max(found, entropy_of_factor - found))
