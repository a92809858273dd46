"""Scores that are a gap between the two latents with the most information about a factor."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.information.estimate import ALL_CONSTANT
from metrics.information.few_rows import bounded_error, gap_bounds
from metrics.information.matrix import Information
from metrics.types import Array, Factors, Score

Average = Literal["factors", "entropy"]


def gaps(information: Array, entropies: Array) -> tuple[Array, Array]:
    """Return the normalised gap and the best latent of each factor.

    Factors of zero entropy get NaN and -1.

    Args:
        information: (d, K) nats. The gap of a single latent is its distance to 0, as if there were
            a dead latent too.
        entropies: (K,) nats.
    """
    padded = np.concatenate([information, np.zeros((2, information.shape[1]))])
    best, second = np.sort(padded, axis=0)[[-1, -2]]
    kept = entropies > 0
    gap = np.full(len(entropies), np.nan)
    gap[kept] = (best[kept] - second[kept]) / entropies[kept]
    best_latent = padded.argmax(axis=0) if len(information) else -1
    return gap, np.where(kept, best_latent, -1)


def gap_score(
    information: Information,
    normalisers: Array,
    factors: Factors,
    *,
    excluded: dict[str, str],
    average: Average,
    identity: dict[str, Any],
) -> Score:
    """Return the mean gap with its error and details.

    The error is that of the estimate of I, plus how much the gap may be wrong because rows are few
    (`few_rows_effect`). It is cut off where it would reach beyond the far end of [0, 1].

    Args:
        information: of all latents and factors.
        normalisers: (K,) nats that each gap is divided by.
        factors: their names.
        excluded: which of them do not count, and why.
        average: over "factors", each alike, or by "entropy", each by its normaliser.
        identity: says which score it is; the names of the factors that count are added as `scored`.

    Raises:
        ValueError: an unknown average.
    """
    shares = gap_shares(normalisers, factors, excluded, average)
    kept = shares > 0
    gap, best = gaps(information.matrix, np.where(kept, normalisers, 0.0))
    details: dict[str, Any] = {
        "mutual_information": information.matrix,
        "information_error": information.error,
        "shuffled_information": information.shuffled_or_zero(),
        "entropies": normalisers,
        "gaps": gap,
        "best_latents": best,
        "excluded": excluded,
    }
    identity = identity | {"scored": [name for name in factors.names if name not in excluded]}
    if not kept.any():
        details["reason"] = (
            "no factor is left to score" if information.entropies.any() else ALL_CONSTANT
        )
        return Score(math.nan, details=details, identity=identity)
    # A sampled I may exceed H(v); a score may not exceed 1.
    value = min(1.0, float(np.average(gap[kept], weights=(shares * normalisers)[kept])))
    effect = few_rows_effect(information, shares)
    details["few_rows"] = effect
    reason = information.doubts(effect, value)
    if reason:
        details["reason"] = reason
    error = information.error_of(coefficients(information.matrix, shares)) + effect
    return Score(value, bounded_error(error, value), details=details, identity=identity)


def few_rows_effect(information: Information, shares: Array) -> float:
    """Return how much a weighted sum of gaps may be too small, or too large, as rows are few.

    It is the larger of the two. A latent without information about a factor that comes second makes
    the gap too small, by nearly all of its information. A perfect latent has no excess.

    Args:
        information: of all latents and factors.
        shares: (K,) what one nat of each factor's gap adds.
    """
    above, below = gap_bounds(information.matrix, information.excess_or_zero())
    return max(float(shares @ above), float(shares @ below))


def gap_shares(
    normalisers: Array, factors: Factors, excluded: dict[str, str], average: Average
) -> Array:
    """Return what one nat of each factor's gap adds to the score, (K,).

    It is 0 for factors that do not count.

    Raises:
        ValueError: an unknown average.
    """
    require_choice("average", average, ("factors", "entropy"))
    kept = np.array([name not in excluded for name in factors.names], dtype=bool)
    weights = kept * (np.ones(len(kept)) if average == "factors" else normalisers)
    normalised = weights / max(float(weights.sum()), 1e-300)
    return np.divide(normalised, normalisers, out=np.zeros(len(kept)), where=kept)


def coefficients(information: Array, shares: Array) -> Array:
    """Return the score as a linear function of I near this one, (d, K).

    The coefficient of the best latent of a factor is +share, that of the second best -share.
    """
    signs = np.zeros_like(information)
    order = np.argsort(-information, axis=0, kind="stable")
    columns = np.arange(len(shares))
    if len(order) > 0:
        signs[order[0], columns] = 1.0
    if len(order) > 1:
        signs[order[1], columns] = -1.0
    return signs * shares


def require_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError if the value of an option is none of the known ones."""
    if value not in known:
        raise ValueError(f"{option} must be one of {', '.join(known)}, got {value!r}")
