"""Mutual information between latents and factors, in nats.

I(z_j; v_k) = H(z_j) - sum_v p(v) H(z_j | v_k = v), where q(z_j | v_k = v) is the mixture of the
posteriors of all images with level v (Chen et al. 2018, eq. 4 and section 4.1). With weights, p(v)
and all mixtures are those of the weighted rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from metrics import device, progress
from metrics.codes import row_weights
from metrics.codes.row_weights import shares
from metrics.information.few_rows import (
    DEVIATIONS,
    few_rows_reason,
    joined,
    largest_excess,
    shuffles,
    spread_over_factors,
    widened_reason,
)
from metrics.information.quadrature import MixtureEntropies, mixture_entropies
from metrics.types import Array, Codes, Factors


class Information(NamedTuple):
    """Mutual information of every latent with every factor, and its error.

    Args:
        matrix: (d, K) nats, >= 0.
        error: (d, K) nats: estimated error of integration; the standard error if the information is
            sampled; 0 for a plug-in value.
        entropies: (K,) nats, of the levels in the given rows.
        marginal_variance: (d,) of the estimate of H(z_j); None if not sampled.
        conditional_variance: (d, K) of the estimate of H(z_j | v_k); None if not sampled.
        shuffled: (d, K) nats: the information about each factor after a random permutation of its
            rows (see `few_rows`); None if not computed.
        excess: (d, K) nats: at most so much of the information is only due to few rows; None if not
            computed.
        widened: largest share, over the latents, of rows with a posterior too narrow for the finest
            grid.
    """

    matrix: Array
    error: Array
    entropies: Array
    marginal_variance: Array | None = None
    conditional_variance: Array | None = None
    shuffled: Array | None = None
    excess: Array | None = None
    widened: float = 0.0

    def shuffled_or_zero(self) -> Array:
        """Return the shuffled information (d, K), 0 if it was not computed."""
        return np.zeros_like(self.matrix) if self.shuffled is None else self.shuffled

    def excess_or_zero(self) -> Array:
        """Return the excess (d, K), 0 if it was not computed."""
        return np.zeros_like(self.matrix) if self.excess is None else self.excess

    def with_shuffled(self, shuffled: Array, factors: Factors) -> Information:
        """Return the same, with the shuffled information (d, K) and the excess that follows."""
        levels = np.array([len(np.unique(column)) for column in factors.values.T])
        rows = 1 / float(np.square(row_shares(factors)).sum())
        deviations = 1.0 if self.marginal_variance is None else DEVIATIONS
        excess = largest_excess(
            self.matrix, deviations * self.error, shuffled, self.entropies, levels, rows
        )
        return self._replace(shuffled=shuffled, excess=excess)

    def doubts(self, effect: float, value: float) -> str:
        """Return why a score of this information is not to be trusted, "" if it is.

        Args:
            effect: of few rows on the score.
            value: of the score.
        """
        return joined(few_rows_reason(effect, value), widened_reason(self.widened))

    def error_of(self, weights: Array) -> float:
        """Return the error of the sum of weights * matrix.

        If sampled, its standard error; else the largest value that the errors can add up to.

        Args:
            weights: (d, K).
        """
        if self.marginal_variance is None or self.conditional_variance is None:
            return float((np.abs(weights) * self.error).sum())
        # Entropies are estimated independently of each other; one H(z_j) serves every factor.
        marginal = np.square(weights.sum(axis=1)) @ self.marginal_variance
        return math.sqrt(float(marginal + (np.square(weights) * self.conditional_variance).sum()))


def factor_entropies(factors: Factors) -> Array:
    """Return H(v_k) = -sum_v p(v) ln p(v), (K,) nats.

    p(v) are the (weighted) frequencies in the given rows.
    """
    return np.array([entropy(np.bincount(column, factors.weights)) for column in factors.values.T])


def without_weightless_rows(codes: Codes, factors: Factors) -> tuple[Codes, Factors]:
    """Return codes and factors without rows of weight 0."""
    if factors.weights is None or factors.weights.all():
        return codes, factors
    kept = factors.weights > 0
    return (
        row_weights.rows(codes, kept),
        Factors(factors.values[kept], factors.names, factors.sizes, factors.weights[kept]),
    )


def logvar_of(codes: Codes) -> Array:
    """Return the log variances.

    Raises:
        ValueError: codes without logvar.
    """
    if codes.logvar is None:
        raise ValueError(
            "mutual information of posterior mixtures needs posteriors, but codes.logvar is None: "
            "give it, or take a metric of means alone: "
            "mig_hist20, med.histogram, mig_sup.histogram"
        )
    return codes.logvar


def row_shares(factors: Factors) -> Array:
    """Return the shares of the rows in the total weight, (N,); they sum to 1."""
    if factors.weights is None:
        return np.full(len(factors), 1 / len(factors))
    return shares(factors.weights)


class _LevelMixtures(NamedTuple):
    """The mixtures that quadrature integrates, numbered through.

    Mixture 0 is of all rows. Then come the levels of one varying column after another.
    """

    columns: list[Array]  # for mixture 0, then for each varying column: (N,) mixture of a row
    varying: list[_ColumnMixtures]


class _ColumnMixtures(NamedTuple):
    """The mixtures of the levels of one column."""

    k: int  # index of the column
    level: Array  # (N,) levels numbered from 0
    p: Array  # (V,) share of each level
    rows: slice  # numbers of its mixtures
    entropy: float  # nats


def quadrature_information(codes: Codes, factors: Factors) -> Information:
    """Return mutual information of posterior mixtures by deterministic quadrature, without samples.

    Every latent gets its own grid over mu +- 7 sigma. At a posterior the step is at most half of
    the posterior's width; see `quadrature_grid` and, for posteriors that are narrow compared with
    the whole range, `quadrature_blocks`. The entropies of q(z_j) and of every q(z_j | v_k) are sums
    of -p ln p over the grid.

    The error is the sum of three parts: the difference to the same sums over every second point;
    what binning the posteriors in position and width may change, by their mean excess kurtosis
    (`mixture_entropies`); and, if posteriors are too narrow for the finest grid, a bound on what
    widening them may change. The last needs a quarter of a million blocks of the grid (64 widths)
    with posteriors that overlap a few others. Isolated posteriors are integrated in closed form.

    The shuffled information is integrated with the rest, on the same grid.

    Args:
        codes: mean and logvar, (N, d) each.
        factors: (N, K) levels of the same images.

    Raises:
        ValueError: codes without logvar.
    """
    codes, factors = without_weightless_rows(codes, factors)
    levels = [numbered_levels(column) for column in factors.values.T]
    entropies = factor_entropies(factors)
    random_order = shuffles(levels)
    columns = [*levels, *random_order.columns]
    matrix, error, widened = _integrated(codes, row_shares(factors), columns)
    count = len(levels)
    shuffled = spread_over_factors(matrix[:, count:], random_order.of_factor, entropies)
    information = Information(matrix[:, :count], error[:, :count], entropies, widened=widened)
    return information.with_shuffled(shuffled, factors)


def shuffled_information(codes: Codes, factors: Factors) -> Array:
    """Return the information of posterior mixtures about shuffled factors, (d, K) nats.

    Args:
        codes, factors: without rows of weight 0.

    Raises:
        ValueError: codes without logvar.
    """
    levels = [numbered_levels(column) for column in factors.values.T]
    entropies = factor_entropies(factors)
    random_order = shuffles(levels)
    matrix, _, _ = _integrated(codes, row_shares(factors), random_order.columns)
    return spread_over_factors(matrix, random_order.of_factor, entropies)


def _integrated(codes: Codes, weights: Array, levels: list[Array]) -> tuple[Array, Array, float]:
    """Return the information of every latent about columns of levels, its error, and `widened`.

    Args:
        codes: of N rows.
        weights: (N,) shares.
        levels: for every column, (N,) levels numbered from 0.

    Returns:
        Two arrays (d, columns), nats, 0 for a constant column; and the largest share, over the
        latents, of rows with a widened posterior.

    Raises:
        ValueError: codes without logvar.
    """
    logvar, mixtures = logvar_of(codes), _level_mixtures(levels, weights)
    shape = (codes.mean.shape[1], len(levels))
    matrix, error, widened = np.zeros(shape), np.zeros(shape), 0.0
    latents = range(shape[0]) if mixtures.varying else range(0)
    for j in progress.steps(latents, "information: latent"):
        mean = codes.mean[:, j].astype(np.float64)
        std = np.exp(0.5 * logvar[:, j].astype(np.float64))
        with device.one_thread():
            integrals = mixture_entropies(mean, std, weights, mixtures.columns)
        widened = max(widened, float(weights[integrals.widened].sum()))
        for column in mixtures.varying:
            k, p, rows = column.k, column.p, column.rows
            information = float(integrals.values[0] - p @ integrals.values[rows])
            # Integration may leave [0, H(v)] by a little.
            matrix[j, k] = min(max(0.0, information), column.entropy)
            change = abs(float(integrals.change[0] - p @ integrals.change[rows]))
            widening = _widening(integrals, column.level, weights, matrix[j, k], column.entropy)
            error[j, k] = change + integrals.binning + widening
    return matrix, error, widened


def _level_mixtures(levels: list[Array], weights: Array) -> _LevelMixtures:
    """Return the mixtures of all rows and of every level of every column that varies."""
    columns = [np.zeros(len(weights), dtype=np.int64)]
    varying: list[_ColumnMixtures] = []
    first = 1
    for k, level in enumerate(levels):
        if level.max(initial=0) == 0:
            continue  # a constant factor carries no information
        p = np.bincount(level, weights)
        columns.append(level + first)
        rows = slice(first, first + len(p))
        varying.append(_ColumnMixtures(k, level, p, rows, entropy(p)))
        first += len(p)
    return _LevelMixtures(columns, varying)


def numbered_levels(column: Array) -> Array:
    """Return the levels of a factor, (N,), with those that occur numbered from 0 in their order.

    The result is that of `np.unique`, but without sorting.
    """
    occurs = np.bincount(column) > 0
    return (np.cumsum(occurs) - 1)[column]


def entropy(counts: Array) -> float:
    """Return H in nats of frequencies that need not be normalised."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def _widening(
    mixtures: MixtureEntropies,
    level: Array,
    weights: Array,
    information: float,
    entropy_of_factor: float,
) -> float:
    """Return a bound on the change of an information by widened posteriors, nats.

    If it were known which posteriors were widened (S, a share pi of them), the information of the
    others would not change, and theirs would lie between 0 and H(v | S). Not knowing it costs at
    most H(S). And no information leaves [0, H(v)].
    """
    if not mixtures.widened.any():
        return 0.0
    share = float(weights[mixtures.widened].sum())
    of_widened = entropy(np.bincount(level[mixtures.widened], weights[mixtures.widened]))
    bound = share * of_widened + entropy(np.array([share, 1 - share]))
    return min(bound, max(information, entropy_of_factor - information))
