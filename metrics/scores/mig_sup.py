"""MIG-sup: the gap between factors, taken for each latent (Li et al. 2020, section 5)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import (
    ALL_CONSTANT,
    Estimator,
    constant_factors,
    measure,
    required_factors,
)
from metrics.information.few_rows import bounded_error, gap_bounds, joined
from metrics.information.matrix import row_shares
from metrics.types import Array, Codes, Factors, Inputs, Score


class _Gaps(NamedTuple):
    """The gap of every latent between its two best factors."""

    gaps: Array  # (latents,), NaN for a dead latent
    best_factors: Array  # (latents,) columns, -1 for a dead latent
    signs: Array  # (latents, K): +1 for the best factor, -1 for the second best, else 0


def mig_sup(
    inputs: Inputs,
    *,
    estimator: Estimator = "quadrature",
    samples: int = 10_000,
    bins: int = 20,
    min_variance: float = 0.0,
) -> Score:
    """Return the mean gap of active latents between their best and second best factor.

        MIG-sup = 1/J sum_j [ n_jk1 - n_jk2 ],   n_jk = I(z_j; v_k) / H(v_k)

    with k1 and k2 the factors of greatest and second greatest n_jk. `mig` falls if several latents
    share a factor. This score falls if a latent mixes several factors, but it does not fall if no
    latent has information about a factor.

    The mean is over the J latents with a posterior mean that varies, as in the code of the
    authors. An active latent that is only noise counts, with a gap near 0.

    Args:
        inputs: codes and factors; discrete codes are further latents, active if they have more
            than one category.
        estimator, samples, bins: of I, see `information.estimate.measure`; all estimators but
            "histogram" need posteriors.
        min_variance: the mean of an active latent has a variance above this. With a limit above 0
            the score depends on the scale of the codes.

    Returns:
        value: in [0, 1].
        error: that of I and of few rows, as in `mig`.
        details:
            mutual_information, shuffled_information: (latents, K) nats, see `mig`.
            few_rows: see `mig`.
            normalised: (latents, K) n.
            entropies: (K,) nats.
            gaps: (latents,), NaN for dead latents.
            best_factors: (latents,) k1, -1 for dead latents.
            excluded: factors of zero entropy and dead latents.
        With a single factor the gap of a latent is n_jk itself. Without an active latent the value
        is 0, and without a varying factor it is NaN. All three come with a reason.

    Raises:
        ValueError: the estimator is unknown, or posteriors are missing.
    """
    factors = required_factors(inputs)
    information = measure(inputs, estimator, samples=samples, bins=bins)
    active, kept = _active(inputs.codes, factors, min_variance), information.entropies > 0
    inverse = np.divide(1.0, information.entropies, out=np.zeros(len(kept)), where=kept)
    normalised = information.matrix * inverse
    per_latent = _gaps(normalised, active)
    excluded = constant_factors(information, factors)
    for name, is_active in zip(latents.names(inputs.codes), active, strict=True):
        if not is_active:
            excluded[name] = (
                f"dead: its mean varies by no more than {min_variance} (variance over the rows)"
            )
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "shuffled_information": information.shuffled_or_zero(),
        "normalised": normalised,
        "entropies": information.entropies,
        "gaps": per_latent.gaps,
        "best_factors": per_latent.best_factors,
        "excluded": excluded,
    }
    identity = {"scored": [factors.names[k] for k in np.flatnonzero(kept)]}
    if not kept.any():
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    if not active.any():
        details["reason"] = "no latent is active"
        return Score(0.0, 0.0, details=details, identity=identity)
    value = min(1.0, float(per_latent.gaps[active].mean()))  # a sampled I may exceed H(v)
    excess = information.excess_or_zero() * inverse
    above, below = gap_bounds(normalised[active].T, excess[active].T)
    effect = details["few_rows"] = max(float(above.mean()), float(below.mean()))
    single = "one factor varies: a latent has no second factor to compare with"
    reason = joined(single if kept.sum() == 1 else "", information.doubts(effect, value))
    if reason:
        details["reason"] = reason
    error = information.error_of(per_latent.signs * inverse / active.sum()) + effect
    return Score(value, bounded_error(error, value), details=details, identity=identity)


def _gaps(normalised: Array, active: Array) -> _Gaps:
    """Return the gap of every latent, from n (latents, K)."""
    padded = np.concatenate([normalised, np.zeros((len(normalised), 2))], axis=1)
    descending = np.sort(padded, axis=1)[:, ::-1]
    order = np.argsort(-normalised, axis=1, kind="stable")
    rows = np.arange(len(normalised))
    signs = np.zeros_like(normalised)
    if normalised.shape[1] > 0:
        signs[rows, order[:, 0]] = active
    if normalised.shape[1] > 1:
        signs[rows, order[:, 1]] = -1.0 * active
    best = np.where(active, order[:, 0] if order.shape[1] else -1, -1)
    return _Gaps(np.where(active, descending[:, 0] - descending[:, 1], np.nan), best, signs)


def _active(codes: Codes, factors: Factors, min_variance: float) -> Array:
    """Return the same as `latents.active`, but with the variance of the weighted rows."""
    weights, mean = row_shares(factors), codes.mean.astype(np.float64)
    variance = weights @ np.square(mean - weights @ mean)
    several: list[bool] = []
    for column in latents.discrete_columns(codes):
        several.append(len(np.unique(column[weights > 0])) > 1)
    return np.concatenate([variance > min_variance, np.array(several, dtype=bool)])
