"""Unsupervised disentanglement ranking (Duan et al. 2020).

Models that disentangle the factors agree on their latents, so models are compared with each other.
"""

# scikit-learn and scipy ship no types: their results are turned into arrays.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics import progress
from metrics.codes import latents, variability
from metrics.types import Array, Codes, Inputs, Score

_SIMILARITIES = ("spearman", "lasso")


def udr(
    inputs: Inputs,
    *,
    similarity: Literal["spearman", "lasso"] = "spearman",
    alpha: float = 0.1,
    min_kl: float = 0.01,
) -> Score:
    """Return how nearly the latents of other models match the latents of this one, one to one.

        UDR = median over models of
            1/(d_a + d_b) [ sum_b r_b^2 / sum_a R[a, b]  +  sum_a r_a^2 / sum_b R[a, b] ]
        r_b = max_a R[a, b],  r_a = max_b R[a, b]

    R[a, b] >= 0 is the similarity of latent a of this model and latent b of the other. Sums are
    over active latents, d_a and d_b in number. No factor is used. The other models should differ
    only in their seed (Duan et al. take all pairs of five or more seeds of one configuration), and
    the rows must be the same images in the same order. Models that are all wrong in the same way
    score high as well. Discrete latents have no order to correlate and are left out.

    Args:
        inputs: codes, and `others`; numbers of latents may differ.
        similarity: "spearman": |rank correlation|. "lasso": |coefficients| of a regression with L1
            penalty of this model's standardised latents on those of the other; perfectly matched
            latents then score 1 - alpha, not 1.
        alpha: weight of the penalty.
        min_kl: a latent is active if its mean KL to the prior is above this, in nats per image. In
            a model without posteriors (logvar), a latent is active if its mean varies.

    Variants:
        `lasso`: UDR_L of the paper. The default is UDR_S of the paper.

    Returns:
        value: in [0, 1].
        error: standard error of a median over the other models, for scores of any distribution
            (Maritz and Jarrett 1978); None with one other model.
        details:
            active_latents: (d,) of this model.
            excluded: latents of this model that are left out.
            pair_scores: (M,) one per other model; 0 if it has no active latent.
            similarity: M matrices (d, d_other) R, NaN for latents that are not active.
            active_others: M arrays (d_other,).
        Without an active latent the value is 0, with a reason.

    Raises:
        ValueError: the similarity is unknown, alpha <= 0 or min_kl < 0.
    """
    if similarity not in _SIMILARITIES:
        raise ValueError(
            f"similarity must be one of {', '.join(_SIMILARITIES)}, got {similarity!r}"
        )
    if not alpha > 0 or not min_kl >= 0:
        raise ValueError(f"alpha must be > 0 and min_kl >= 0, got {alpha} and {min_kl}")
    active = _active(inputs.codes, min_kl)
    excluded = _excluded(inputs.codes, active, min_kl)
    details: dict[str, Any] = {"active_latents": active, "excluded": excluded}
    identity = {"estimator": f"{similarity} similarity of latents", "others": len(inputs.others)}
    if not active.any():
        details["reason"] = "no continuous latent is active"
        return Score(0.0, details=details, identity=identity)
    columns = _prepared(inputs.codes, active, similarity)
    scores = np.zeros(len(inputs.others))
    matrices: list[Array] = []
    actives: list[Array] = []
    for i, other in progress.steps(list(enumerate(inputs.others)), "udr: model"):
        other_active = _active(other, min_kl)
        matrix = np.full((len(active), len(other_active)), math.nan)
        if other_active.any():
            other_columns = _prepared(other, other_active, similarity)
            if similarity == "spearman":
                similarities = _correlations(columns, other_columns)
            else:
                similarities = _coefficients(columns, other_columns, alpha)
            matrix[np.ix_(active, other_active)] = similarities
            scores[i] = pair_score(similarities)
        actives.append(other_active)
        matrices.append(matrix)
    details |= {"pair_scores": scores, "similarity": matrices, "active_others": actives}
    error = None if len(scores) < 2 else _error_of_median(scores)
    return Score(float(np.median(scores)), error, details=details, identity=identity)


def _error_of_median(values: Array) -> float:
    """Return the standard error of the median of independent values (M,), M >= 2.

    The median is distributed as a mean of the order statistics, weighted by a Beta distribution.
    The median of two values is their mean.
    """
    from scipy.stats.mstats import mjci

    if len(values) == 2:
        return float(values.std(ddof=1) / math.sqrt(2))
    return float(np.asarray(mjci(values, prob=[0.5]))[0])


def pair_score(similarity: Array) -> float:
    """Return how nearly a matrix of similarities is a one-to-one match.

        1/(d_a + d_b) [ sum_b r_b^2 / sum_a R[a, b]  +  sum_a r_a^2 / sum_b R[a, b] ]

    Each row and column contributes its largest entry times the share of this entry in the row or
    column. The score is the mean of these contributions (Duan et al. 2020).

    Args:
        similarity: (d_a, d_b) R, all >= 0.

    Returns:
        A number in [0, 1] if the entries are in [0, 1].
    """
    total = 0.0
    for axis in (0, 1):
        largest, sums = similarity.max(axis=axis), similarity.sum(axis=axis)
        terms = np.divide(largest**2, sums, out=np.zeros_like(sums), where=sums > 0)
        total += float(terms.sum())
    return min(1.0, total / sum(similarity.shape))  # rounding may bring a correlation of 1 above 1


def _active(codes: Codes, min_kl: float) -> Array:
    """Return which continuous latents are active: (d,)."""
    if codes.logvar is None:
        return latents.active(codes)[: codes.mean.shape[1]]
    return variability.mean_kl(codes) > min_kl


def _excluded(codes: Codes, active: Array, min_kl: float) -> dict[str, str]:
    """Return the latents left out, each with the reason."""
    if codes.logvar is None:
        dead = "its mean does not vary"
    else:
        dead = f"its KL is not above {min_kl:g} nats"
    excluded: dict[str, str] = {}
    for j, name in enumerate(latents.names(codes)):
        if j >= len(active):
            excluded[name] = "discrete: its categories have no order"
        elif not active[j]:
            excluded[name] = dead
    return excluded


def _prepared(codes: Codes, active: Array, similarity: str) -> Array:
    """Return the active latents or their ranks, at mean 0 and deviation 1; constant ones at 0."""
    from scipy.stats import rankdata

    columns = codes.mean[:, active].astype(np.float64)
    if similarity == "spearman":
        columns = np.asarray(rankdata(columns, axis=0), dtype=np.float64)
    centred = columns - columns.mean(axis=0)
    varies = np.ptp(columns, axis=0) > 0
    return np.divide(centred, centred.std(axis=0), out=np.zeros_like(centred), where=varies)


def _correlations(columns: Array, other_columns: Array) -> Array:
    """Return |correlation| of every pair of columns: (d_a, d_b)."""
    return np.abs(columns.T @ other_columns) / len(columns)


def _coefficients(columns: Array, other_columns: Array, alpha: float) -> Array:
    """Return |coefficients| of a lasso of the columns on those of the other model: (d_a, d_b)."""
    # This import takes a second, and only this similarity needs it.
    from sklearn.linear_model import Lasso

    # A constant column has nothing to explain. The Gram matrix makes the cost independent of the
    # number of rows.
    model = Lasso(alpha=alpha, precompute=True, random_state=0).fit(other_columns, columns)
    coefficients = np.asarray(model.coef_, dtype=np.float64)
    return np.abs(coefficients).reshape(columns.shape[1], other_columns.shape[1])
