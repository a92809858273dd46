"""The parts of the KL of a mixture of posteriors, where only the joint entropy is sampled.

With q(z) = sum_n p_n q(z|x_n), H(z) = -E log q(z) and the entropies H(z_j) of its latents

    MI = H(z) - sum_j E_x H(q(z_j|x))
    TC = sum_j H(z_j) - H(z)
    dimension-wise KL = -sum_j H(z_j) - E log p(z)

H(z_j) are integrals over one dimension (`marginals`), E_x H(q(z_j|x)) and E log p(z) are closed
forms. So H(z) is the only sampled number, and the sum of the three is the KL in closed form.

The samples of log q(z) have controls, functions of z with known means (`control_variates`): log
q(z_j) with -H(z_j), log q(z_j|x) with -E_x H(q(z_j|x)), and the log density of the Gaussian that
has the moments of q(z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metrics.codes.sampling import Samples, draw
from metrics.mixture.control_variates import Estimate, estimate
from metrics.mixture.log_density import Densities, log_densities
from metrics.mixture.marginals import Marginals, marginals
from metrics.types import Array, Codes

MOST_WORK = 4e10
"""The largest samples x images x latents of all rounds together. In float32 that takes about half a
minute on two cores."""

MOST_SAMPLES = 1 << 17
"""The largest number of samples in a round, for few images."""

FIRST_ROUND = 512
"""Samples of the first of several rounds, at least."""

_AMPLE, _ENOUGH = 50, 10
"""Samples for each fitted coefficient. With ample samples the fit adds at most 2 % to the variance;
with less than enough it adds more than it removes."""

ESTIMATOR = "joint entropy sampled with controls, entropies of latents by quadrature"
"""The estimator in the identity of a score."""


class Decomposition(NamedTuple):
    """The parts of the KL with their standard errors, nats per image.

    Args:
        mi, tc, dimwise_kl: the parts.
        mi_error, tc_error, dimwise_kl_error: their standard errors.
        chain: (d - 1,) I(z_<i ; z_i); their sum is `tc`. Empty if it was not asked for.
        chain_errors: (d - 1,) standard errors.
        mi_of_latents: (d,) I(x; z_j) of each latent alone; their sum less `tc` is `mi`.
        sampling_error: the part of the errors of MI and TC that more samples would make smaller.
        samples: number of samples behind these numbers.
    """

    mi: float
    tc: float
    dimwise_kl: float
    mi_error: float
    tc_error: float
    dimwise_kl_error: float
    chain: Array
    chain_errors: Array
    mi_of_latents: Array
    sampling_error: float
    samples: int


def decompose(
    codes: Codes,
    shares: Array | None,
    *,
    samples: int,
    seed: int,
    largest_error: float | None = None,
    most_work: float = MOST_WORK,
    order: Sequence[int] | None = None,
) -> Decomposition:
    """Return the parts of the KL.

    With `largest_error` there are several rounds, each with a new draw of more samples. The first
    has `samples`, at least 512, so that its error is known well enough. The next has as many as the
    error of the last one demands. They end when the sampling error is small enough, or when another
    round would exceed `most_work`. The result is that of the last round, and depends on nothing but
    the arguments.

    Args:
        codes: mean and logvar of N images.
        shares: (N,) p_n > 0, sum 1; None: 1/N each.
        samples: S.
        seed: of the images and the noise.
        largest_error: the wanted sampling error, nats; None: one round.
        most_work: the largest samples x images x latents of all rounds together.
        order: also return the chain of these latents (`Decomposition.chain`).

    Raises:
        ValueError: codes without logvar, no rows, or samples < 1.
    """
    if largest_error is not None:
        samples = max(samples, FIRST_ROUND)
    drawn = draw(codes, samples=samples, seed=seed, shares=shares)
    if not codes.mean.shape[1]:
        nothing = np.zeros(0)
        return Decomposition(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, nothing, nothing, nothing, 0.0, samples)
    exact = marginals(codes, shares)
    result = _from_samples(codes, shares, exact, drawn, order)
    done = samples
    while largest_error is not None and result.sampling_error > largest_error:
        wanted = _wanted(result.samples, result.sampling_error / largest_error, len(codes))
        affordable = int(most_work / codes.mean.size) - done
        more = min(wanted, affordable, MOST_SAMPLES)
        if more <= result.samples:
            break
        drawn = draw(codes, samples=more, seed=seed, shares=shares)
        result = _from_samples(codes, shares, exact, drawn, order)
        done += more
    return result


def _wanted(samples: int, ratio: float, images: int) -> int:
    """Return how many samples the next round should have.

    If they are more than the images, every image is drawn equally often.

    Args:
        samples: number of the last round.
        ratio: its error over the wanted error, > 1.
        images: N.
    """
    # The error itself is an estimate: with 10 % more, another round is seldom needed.
    wanted = max(2 * samples, math.ceil(1.1 * samples * ratio**2))
    return wanted if wanted < images else math.ceil(wanted / images) * images


def _from_samples(
    codes: Codes,
    shares: Array | None,
    exact: Marginals,
    drawn: Samples,
    order: Sequence[int] | None,
) -> Decomposition:
    """Return the parts of the KL from one round of samples."""
    latents = range(codes.mean.shape[1]) if order is None else order
    densities = log_densities(
        drawn, codes, latents=latents, prefixes=order is not None, shares=shares
    )
    links = _links(densities) if order is not None else np.zeros((len(drawn.z), 0))
    marginal = np.empty_like(densities.marginal)
    marginal[list(latents)] = densities.marginal  # in the order of the codes
    known, resolved = exact.known, exact.resolved
    centred = (marginal[known] + exact.entropies[known, None]).T
    # Without controls, this gives the plain mean of log q(z) - sum_j log q(z_j) as TC.
    joint = densities.joint[-1] - centred.sum(axis=1)
    of_unknown = marginal[~known].T
    of_unresolved = np.where(resolved, 0.0, drawn.log_qzx)
    functions = np.column_stack(
        [
            of_unresolved.sum(axis=1) - joint,
            joint - of_unknown.sum(axis=1),
            of_unknown.sum(axis=1),
            links,
            of_unresolved[:, ~known] - of_unknown,
        ]
    )
    controls, needs = _controls(drawn, exact, centred)
    fit = estimate(functions, controls)
    of_posteriors = np.where(resolved, exact.of_posteriors, 0.0)
    entropies = float(exact.entropies[known].sum())
    mi = float(fit.means[0] - of_posteriors.sum())
    tc = float(fit.means[1] + entropies)
    dimwise_kl = float(fit.means[2] - entropies - exact.log_prior)
    mi_of_latents = exact.entropies - of_posteriors
    first_alone = 3 + links.shape[1]
    mi_of_latents[~known] = fit.means[first_alone:] - of_posteriors[~known]
    errors = np.hypot(fit.errors, _integration_errors(exact, fit, needs))
    return Decomposition(
        mi=mi,
        tc=tc,
        dimwise_kl=dimwise_kl,
        mi_error=float(errors[0]),
        tc_error=float(errors[1]),
        dimwise_kl_error=float(errors[2]),
        chain=fit.means[3:first_alone],
        chain_errors=errors[3:first_alone],
        mi_of_latents=mi_of_latents,
        sampling_error=float(fit.errors[:2].max()),
        samples=len(drawn.z),
    )


def _links(densities: Densities) -> Array:
    """Return log q(z_<=i) - log q(z_<i) - log q(z_i) at each sample, (S, d - 1)."""
    return (densities.joint[1:] - densities.joint[:-1] - densities.marginal[1:]).T


def _controls(drawn: Samples, exact: Marginals, centred: Array) -> tuple[Array, Array]:
    """Return functions of the samples with mean 0, (S, k), and which entropies their means need.

    Without ample samples to fit one coefficient per latent, the log densities are summed over
    latents; without enough for these few controls there are none.

    Args:
        drawn: the samples.
        exact: the means.
        centred: (S, known latents) log q(z_j) minus its mean.

    Returns:
        The controls, and (known latents, k) bool: whether the mean of a control has the entropy of
        that latent in it.
    """
    conditional = (drawn.log_qzx + exact.of_posteriors)[:, exact.resolved]
    gaussian = _gaussian_log_density(drawn.z - exact.centre, exact.covariance)
    known = centred.shape[1]
    separate = np.concatenate([centred, conditional, gaussian], axis=1)
    together = np.column_stack([centred.sum(axis=1), conditional.sum(axis=1), gaussian])
    choices = ((separate, np.eye(known), _AMPLE), (together, np.ones((known, 1)), _ENOUGH))
    for controls, of_latents, samples_per_coefficient in choices:
        if len(drawn.z) >= samples_per_coefficient * (1 + controls.shape[1]):
            needs = np.zeros((known, controls.shape[1]), dtype=bool)
            needs[:, : of_latents.shape[1]] = of_latents > 0
            return controls, needs
    return np.zeros((len(drawn.z), 0)), np.zeros((known, 0), dtype=bool)


def _integration_errors(exact: Marginals, fit: Estimate, needs: Array) -> Array:
    """Return what the quadrature adds to the errors, (T,).

    A change of H(z_j) changes MI by 1, dimension-wise KL by -1, and TC and its chain by 0, less the
    coefficient of the control whose mean it is. The bound of an entropy counts as the half width of
    a uniform distribution, whose standard deviation is the bound / sqrt(3).

    Args:
        exact: the entropies.
        fit: the coefficients of the controls.
        needs: (known latents, k) bool, as of `_controls`.
    """
    direct = np.zeros(fit.means.shape)
    direct[0], direct[2] = 1.0, -1.0
    change = direct - np.einsum("jk,kt->jt", needs.astype(float), fit.coefficients)
    bounds = exact.bounds[exact.known, None] / math.sqrt(3.0)
    return np.sqrt(np.square(change * bounds).sum(axis=0))


def _gaussian_log_density(centred: Array, covariance: Array) -> Array:
    """Return the log density of the Gaussian with the moments of q(z), minus its mean, (S, 1)."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > 1e-9 * values[-1]
    axes = vectors[:, kept] / np.sqrt(values[kept])
    scores = np.einsum("sj,jk->sk", centred / scale, axes)
    return 0.5 * (kept.sum() - np.square(scores).sum(axis=1))[:, None]
