"""MIG-sup: the gap asked of latents instead of factors (Li et al. 2020, section 5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import ALL_CONSTANT, Estimator, constant_factors, given, measure
from metrics.information.matrix import row_weights
from metrics.types import Array, Codes, Factors, Inputs, Score


def mig_sup(
    inputs: Inputs,
    *,
    estimator: Estimator = "quadrature",
    samples: int = 10_000,
    bins: int = 20,
    min_variance: float = latents.MIN_VARIANCE,
) -> Score:
    """Mean over active latents of how much more they know of their best factor than of any other.

        MIG-sup = 1/J sum_j [ n_jk1 - n_jk2 ],   n_jk = I(z_j; v_k) / H(v_k)

    with k1 and k2 the factors of greatest and second greatest n_jk. Where `mig` falls when several latents share a
    factor, this falls when a latent mixes several; a factor that no latent knows is not missed.

    The mean is over the J latents whose posterior mean varies, as in the authors' code. An active latent of mere noise
    counts, with a gap near 0. The threshold is a variance: the score depends on the scale of the codes where a latent
    is near it.

    Args:
        inputs: codes and factors; discrete codes are further latents, active with more than one category.
        estimator, samples, bins: of I, see `estimators.measure`; all but "histogram" need posteriors.
        min_variance: that the mean of an active latent exceeds.

    Returns:
        value: in [0, 1]; error: of I, as in `mig`.
        details: mutual_information (latents, K) nats, normalised the same, entropies (K,), gaps (latents,) with NaN
        for dead ones, best_factors (latents,), excluded: factors of zero entropy and dead latents. A single factor has
        a gap to nothing, n_jk itself; without an active latent the value is 0; without a varying factor NaN; all three
        with a reason.

    Raises:
        ValueError: an unknown estimator; posteriors are missing.
    """
    factors = given(inputs)
    information = measure(inputs, estimator, samples=samples, bins=bins)
    active, kept = _active(inputs.codes, factors, min_variance), information.entropies > 0
    inverse = np.divide(1.0, information.entropies, out=np.zeros(len(kept)), where=kept)
    normalised = information.matrix * inverse
    gap, best, weights = _gaps(normalised, active)
    dead = f"dead: its mean varies by no more than {min_variance} (variance over the rows)"
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "normalised": normalised,
        "entropies": information.entropies,
        "gaps": gap,
        "best_factors": best,
        "excluded": constant_factors(information, factors)
        | {
            name: dead
            for name, alive in zip(latents.names(inputs.codes), active, strict=True)
            if not alive
        },
    }
    identity = {"scored": [n for n, k in zip(factors.names, kept, strict=True) if k]}
    if not kept.any():
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    if not active.any():
        details["reason"] = "no latent is active"
        return Score(0.0, 0.0, details=details, identity=identity)
    if kept.sum() == 1:
        details["reason"] = "one factor varies: a latent's gap is to nothing"
    value = min(1.0, float(gap[active].mean()))  # a sampled I may pass H(v)
    error = information.error_of(weights * inverse / active.sum())
    return Score(value, error, details=details, identity=identity)


def _gaps(normalised: Array, active: Array) -> tuple[Array, Array, Array]:
    """Per latent: its gap, NaN for a dead one; its best factor, else -1; and the signs of its best two (d, K)."""
    padded = np.concatenate([normalised, np.zeros((len(normalised), 2))], axis=1)
    top = np.sort(padded, axis=1)[:, ::-1]
    order = np.argsort(-normalised, axis=1, kind="stable")
    signs = np.zeros_like(normalised)
    for place, sign in zip(range(min(2, normalised.shape[1])), (1.0, -1.0), strict=False):
        signs[np.arange(len(signs)), order[:, place]] = sign * active
    best = np.where(active, order[:, 0] if order.shape[1] else -1, -1)
    return np.where(active, top[:, 0] - top[:, 1], np.nan), best, signs


def _active(codes: Codes, factors: Factors, min_variance: float) -> Array:
    """As `latents.active`, with the variance of the weighted rows."""
    weights, mean = row_weights(factors), codes.mean.astype(np.float64)
    variance = weights @ np.square(mean - weights @ mean)
    shown = [len(np.unique(column[weights > 0])) > 1 for column in latents.discrete_columns(codes)]
    return np.concatenate([variance > min_variance, np.array(shown, dtype=bool)])
