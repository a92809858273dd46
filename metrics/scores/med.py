"""MED: the disentanglement of DCI with mutual information as importance (Cao et al. 2022)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import (
    ALL_CONSTANT,
    constant_factors,
    measure,
    required_factors,
    supported,
)
from metrics.information.few_rows import bounded_error, corners, joined
from metrics.information.gap import require_choice
from metrics.information.matrix import Information
from metrics.types import Array, Inputs, Score


def med(
    inputs: Inputs,
    *,
    estimator: Literal["quadrature", "histogram"] = "quadrature",
    bins: int = 20,
    normalise: Literal["entropy", "sum"] = "entropy",
    top_k: int | None = None,
) -> Score:
    """Return how far each latent has information about one factor only; no model is trained.

        R_jk = I(z_j; v_k) / c_k,   P_jk = R_jk / sum_k R_jk,   MED = sum_j rho_j (1 - H_K(P_j))

    with H_K the entropy to base K, K the number of factors of positive entropy, and
    rho_j = sum_k R_jk / sum_jk R_jk. A latent without information has no weight, at any scale.

    Args:
        inputs: codes and factors; discrete codes are further latents with the plug-in I.
        estimator: of I. "quadrature" of posterior mixtures (needs codes.logvar); or "histogram" of
            posterior means, as published. The bias of the histogram gives every latent a little
            information about every factor.
        bins: of the histogram; 20 as published.
        normalise: c_k. "entropy" is H(v_k): a factor that no latent has information about has no
            influence. "sum" is sum_j I(z_j; v_k), as in the code of the authors: every factor has
            the same influence, also a factor with an I that is only bias.
        top_k: keep, of the latents with the same best factor, the k most disentangled ones (Top-k
            MED of the authors, for representations with many more latents than factors); None
            keeps all.

    Returns:
        value: in [0, 1].
        error: an upper bound on the effect of the errors of I, to first order; plus `few_rows`.
        details:
            mutual_information, shuffled_information: (latents, K) nats, see `mig`.
            few_rows: the largest change of the score if the information that may be due to few rows
                is taken away: everywhere, from the best factor of every latent only, or from all
                other factors only.
            importance: (latents, K) R.
            disentanglement_per_latent: (latents,) 1 - H_K(P_j), NaN for a latent without
                information.
            weights: (latents,) rho.
            entropies: (K,) nats.
            excluded: factors of zero entropy, and latents that `top_k` leaves out.
        If no latent has information about any factor the value is 0, and without a varying factor
        it is NaN. With a single factor it is 1, because no other factor can share a latent. All
        three come with a reason.

    Raises:
        ValueError: the estimator or `normalise` is unknown, top_k < 1, or posteriors are missing.
    """
    require_choice("estimator", estimator, ("quadrature", "histogram"))
    require_choice("normalise", normalise, ("entropy", "sum"))
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be >= 1, or None for all latents, got {top_k}")
    factors = required_factors(inputs)
    measured = measure(inputs, estimator, bins=bins)
    excluded = constant_factors(measured, factors)
    scored = [name for name in factors.names if name not in excluded]
    # The rounding of an integral is no information, but it would be all that a dead latent has,
    # and its shares could be anything.
    information = measured if estimator == "histogram" else supported(measured, inputs.codes)
    importance = _importance(information.matrix, information.entropies, normalise)
    kept = np.ones(len(importance), dtype=bool)
    if top_k is not None:
        kept = _most_disentangled(importance, top_k)
    for name, keep in zip(latents.names(inputs.codes), kept, strict=True):
        if not keep:
            excluded[name] = f"not among the {top_k} most disentangled latents of its factor"
    importance[~kept] = 0.0
    per_latent, weights = _concentration(importance[:, information.entropies > 0])
    details: dict[str, Any] = {
        "mutual_information": measured.matrix,
        "shuffled_information": measured.shuffled_or_zero(),
        "importance": importance,
        "disentanglement_per_latent": per_latent,
        "weights": weights,
        "entropies": information.entropies,
        "excluded": excluded,
    }
    identity = {"scored": scored}
    if not scored:
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    if not weights.any():
        details["reason"] = "no latent has information about any factor"
        return Score(0.0, 0.0, details=details, identity=identity)
    value = min(1.0, float(np.nan_to_num(per_latent) @ weights))  # rounding may exceed 1
    effect = details["few_rows"] = _few_rows_effect(information, kept, normalise, value)
    single = "one factor varies: no latent can have information about another"
    reason = joined(single if len(scored) == 1 else "", measured.doubts(effect, value))
    if reason:
        details["reason"] = reason
    error = _error(information, kept, normalise, value) + effect
    return Score(value, bounded_error(error, value), details=details, identity=identity)


def _importance(information: Array, entropies: Array, normalise: str) -> Array:
    """Return R_jk = I(z_j; v_k) / c_k, (latents, K); 0 for factors with c_k = 0 or H(v_k) = 0."""
    normalisers = entropies if normalise == "entropy" else information.sum(axis=0)
    used = (entropies > 0) & (normalisers > 0)
    return np.divide(information, normalisers, out=np.zeros_like(information), where=used)


def _concentration(importance: Array) -> tuple[Array, Array]:
    """Return 1 - H_K of every row, NaN for a row of zeros, and its share in all importance.

    K counts all columns.
    """
    sums = importance.sum(axis=1)
    positive = sums > 0
    concentration = np.full(len(importance), np.nan)
    p = importance[positive] / sums[positive, None]
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    factors = importance.shape[1]
    concentration[positive] = 1 - entropy / math.log(factors) if factors > 1 else 1.0
    return concentration, sums / sums.sum() if positive.any() else sums


def _most_disentangled(importance: Array, most: int) -> Array:
    """Return which latents to keep, (latents,) bool: the `most` most disentangled ones per factor.

    A latent belongs to the factor that it is most important for.
    """
    concentration = np.nan_to_num(_concentration(importance)[0])
    best_factor = importance.argmax(axis=1)
    kept = np.zeros(len(importance), dtype=bool)
    for k in range(importance.shape[1]):
        members = np.flatnonzero((best_factor == k) & importance.any(axis=1))
        order = np.argsort(-concentration[members], kind="stable")
        kept[members[order[:most]]] = True
    return kept


def _error(information: Information, kept: Array, normalise: str, value: float) -> float:
    """Return the sum, at most 1, of the changes of the score if one I at a time grows by its error.

    To first order, this is an upper bound on the effect of all errors together.
    """
    total = 0.0
    for j, k in np.argwhere(information.error > 0).tolist():
        matrix = information.matrix.copy()
        matrix[j, k] += information.error[j, k]
        total += abs(_score_of(matrix, information.entropies, kept, normalise) - value)
    return min(total, 1.0)


def _few_rows_effect(information: Information, kept: Array, normalise: str, value: float) -> float:
    """Return the largest change of the score if information due to few rows is taken away."""
    return max(
        abs(_score_of(matrix, information.entropies, kept, normalise) - value)
        for matrix in corners(information.matrix, information.excess_or_zero())
    )


def _score_of(matrix: Array, entropies: Array, kept: Array, normalise: str) -> float:
    """Return the score of information (latents, K), of the latents that are kept."""
    importance = _importance(matrix, entropies, normalise) * kept[:, None]
    per_latent, weights = _concentration(importance[:, entropies > 0])
    return float(np.nan_to_num(per_latent) @ weights)
