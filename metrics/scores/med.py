"""MED: DCI's disentanglement with mutual information for importance (Cao et al. 2022)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.information.estimate import ALL_CONSTANT, constant_factors, given, measure, supported
from metrics.information.gap import check_choice
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
    """How concentrated what each latent knows is on one factor, without training anything.

        R_jk = I(z_j; v_k) / c_k,   P_jk = R_jk / sum_k R_jk,   MED = sum_j rho_j (1 - H_K(P_j))

    with H_K the entropy to base K, the factors of positive entropy, and rho_j = sum_k R_jk / sum R. A latent that
    knows nothing weighs nothing, whatever its scale.

    Args:
        inputs: codes and factors; discrete codes are further latents with the plug-in I.
        estimator: of I. "quadrature" of posterior mixtures (needs codes.logvar), or "histogram" of posterior means, as
            published, whose bias makes every latent know a little of everything.
        bins: of the histogram; 20 as published.
        normalise: c_k. "entropy" is H(v_k): a factor that no latent knows has no say. "sum" is sum_j I(z_j; v_k), as in
            the authors' code: every factor has the same say, also one of whom only the bias of I is known.
        top_k: of the latents that know one factor best, keep the k most disentangled ones (the authors' Top-k MED, for
            representations of many more latents than factors); None keeps all.

    Returns:
        value: in [0, 1]; error: the errors of I carried to first order, at most.
        details: mutual_information (latents, K) nats, importance (latents, K), disentanglement_per_latent (latents,)
        with NaN where nothing is known, weights (latents,) rho, entropies (K,), excluded: factors of zero entropy, and
        latents that `top_k` leaves out. Where no latent knows anything the value is 0, without a varying factor NaN,
        both with a reason; a single factor leaves nothing to share: 1, with a reason.

    Raises:
        ValueError: an unknown estimator or normalise, top_k < 1, or posteriors are missing.
    """
    check_choice("estimator", estimator, ("quadrature", "histogram"))
    check_choice("normalise", normalise, ("entropy", "sum"))
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be >= 1, or None for all latents, got {top_k}")
    factors = given(inputs)
    information = measure(inputs, estimator, bins=bins)
    excluded = constant_factors(information, factors)
    scored = [name for name in factors.names if name not in excluded]
    # Rounding of an integral is no knowledge, and a share of it would be all that a dead latent knows.
    known = information if estimator == "histogram" else supported(information, inputs.codes)
    importance = _importance(known.matrix, information.entropies, normalise)
    kept = (
        np.ones(len(importance), dtype=bool)
        if top_k is None
        else _most_disentangled(importance, top_k)
    )
    excluded |= {
        name: f"not among the {top_k} most disentangled latents of its factor"
        for name, keep in zip(latents.names(inputs.codes), kept, strict=True)
        if not keep
    }
    importance[~kept] = 0.0
    each, weights = _concentration(importance[:, information.entropies > 0])
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "importance": importance,
        "disentanglement_per_latent": each,
        "weights": weights,
        "entropies": information.entropies,
        "excluded": excluded,
    }
    identity = {"scored": scored}
    if not scored:
        details["reason"] = ALL_CONSTANT
        return Score(math.nan, details=details, identity=identity)
    if not weights.any():
        details["reason"] = "no latent knows any factor"
        return Score(0.0, 0.0, details=details, identity=identity)
    if len(scored) == 1:
        details["reason"] = "one factor varies: no latent can know another"
    value = min(1.0, float(np.nan_to_num(each) @ weights))  # rounding may pass 1
    return Score(value, _error(known, kept, normalise, value), details=details, identity=identity)


def _importance(information: Array, entropies: Array, normalise: str) -> Array:
    by = entropies if normalise == "entropy" else information.sum(axis=0)
    used = (entropies > 0) & (by > 0)
    return np.divide(information, by, out=np.zeros_like(information), where=used)


def _concentration(importance: Array) -> tuple[Array, Array]:
    """1 - H_K of every row, NaN where it is zero, and its share in all importance; K counts all columns."""
    sums = importance.sum(axis=1)
    known = sums > 0
    each = np.full(len(importance), np.nan)
    p = importance[known] / sums[known, None]
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    each[known] = 1 - entropy / math.log(importance.shape[1]) if importance.shape[1] > 1 else 1.0
    return each, sums / sums.sum() if known.any() else sums


def _most_disentangled(importance: Array, most: int) -> Array:
    """Which latents are among the most disentangled of those whose best factor is theirs: (latents,) bool."""
    each = np.nan_to_num(_concentration(importance)[0])
    best = importance.argmax(axis=1)
    kept = np.zeros(len(importance), dtype=bool)
    for k in range(importance.shape[1]):
        mine = np.flatnonzero((best == k) & importance.any(axis=1))
        kept[mine[np.argsort(-each[mine], kind="stable")[:most]]] = True
    return kept


def _error(information: Information, kept: Array, normalise: str, value: float) -> float:
    """The score's change if every I were off by its error, one by one, summed: at most 1."""
    varies = information.entropies > 0
    total = 0.0
    for j, k in np.argwhere(information.error > 0).tolist():
        matrix = information.matrix.copy()
        matrix[j, k] += information.error[j, k]
        importance = _importance(matrix, information.entropies, normalise) * kept[:, None]
        each, weights = _concentration(importance[:, varies])
        total += abs(float(np.nan_to_num(each) @ weights) - value)
    return min(total, 1.0)
