"""Unsupervised disentanglement ranking: models that found the factors found the same latents (Duan et al. 2020)."""

# scikit-learn and scipy ship no types; what comes out is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

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
    """Median over other models of how nearly their latents and this one's match one to one.

        UDR = median over models of 1/(d_a + d_b) [ sum_b r_b^2 / sum_a R[a, b]  +  sum_a r_a^2 / sum_b R[a, b] ],
        r_b = max_a R[a, b],  r_a = max_b R[a, b]

    R[a, b] >= 0 says how alike latent a of this model and latent b of the other are; sums run over active latents,
    d_a and d_b of them. No factor is used. The other models should differ by their seed only (Duan et al. take all
    pairs of five or more seeds of one configuration), and the rows must be the same images in the same order. Models
    that are all wrong in the same way score high as well.

    Args:
        inputs: codes, and `others`; numbers of latents may differ.
        similarity: "spearman": |rank correlation|. "lasso": |coefficients| of a regression with L1 penalty of this
            model's standardised latents on the other's; perfectly matched latents then score 1 - alpha, not 1.
        alpha: weight of the penalty.
        min_kl: a latent is active if its mean KL to the prior is above this, in nats per image. Of a model without
            posteriors (logvar), those whose mean varies by more than `latents.MIN_VARIANCE` are.

    Discrete latents have no order to correlate and are left out. Variant `lasso`: UDR_L of the paper; the default
    is its UDR_S.

    Returns:
        value: in [0, 1]. error: standard error of a median over the other models, 1.2533 s / sqrt(M), as for normal
        scores; None with one other. details: pair_scores (M,), similarity: M matrices (d, d_other), NaN where a latent
        is not active, active_latents (d,), active_others, excluded latents of this model. Without an active latent
        the value is 0 with a reason; a pair whose other model has none scores 0.

    Raises:
        ValueError: unknown similarity, alpha <= 0 or min_kl < 0.
    """
    if similarity not in _SIMILARITIES:
        raise ValueError(
            f"similarity must be one of {', '.join(_SIMILARITIES)}, got {similarity!r}"
        )
    if not alpha > 0 or not min_kl >= 0:
        raise ValueError(f"alpha must be > 0 and min_kl >= 0, got {alpha} and {min_kl}")
    active = _active(inputs.codes, min_kl)
    details: dict[str, Any] = {
        "active_latents": active,
        "excluded": _excluded(inputs.codes, active, min_kl),
    }
    identity = {"estimator": f"{similarity} similarity of latents", "others": len(inputs.others)}
    if not active.any():
        details["reason"] = "no continuous latent is active"
        return Score(0.0, details=details, identity=identity)
    ours = _prepared(inputs.codes, active, similarity)
    scores, matrices, actives = np.zeros(len(inputs.others)), list[Array](), list[Array]()
    for i, other in progress.steps(list(enumerate(inputs.others)), "udr: model"):
        actives.append(_active(other, min_kl))
        matrices.append(np.full((len(active), len(actives[-1])), math.nan))
        if actives[-1].any():
            theirs = _prepared(other, actives[-1], similarity)
            alike = (
                _correlations(ours, theirs)
                if similarity == "spearman"
                else _coefficients(ours, theirs, alpha)
            )
            matrices[-1][np.ix_(active, actives[-1])] = alike
            scores[i] = pair_score(alike)
    details |= {"pair_scores": scores, "similarity": matrices, "active_others": actives}
    error = None if len(scores) < 2 else float(1.2533 * scores.std(ddof=1) / math.sqrt(len(scores)))
    return Score(float(np.median(scores)), error, details=details, identity=identity)


def pair_score(similarity: Array) -> float:
    """How nearly a matrix of similarities (d_a, d_b), all >= 0, is a one-to-one match: in [0, 1] if its entries are.

    The largest entry of every row and column, times its share in that row or column, averaged over both.
    """
    total = 0.0
    for axis in (0, 1):
        largest, whole = similarity.max(axis=axis), similarity.sum(axis=axis)
        total += float(
            np.divide(largest**2, whole, out=np.zeros_like(whole), where=whole > 0).sum()
        )
    return min(1.0, total / sum(similarity.shape))  # rounding may carry a correlation of 1 above it


def _active(codes: Codes, min_kl: float) -> Array:
    if codes.logvar is None:
        return latents.active(codes)[: codes.mean.shape[1]]
    return variability.mean_kl(codes) > min_kl


def _excluded(codes: Codes, active: Array, min_kl: float) -> dict[str, str]:
    dead = (
        f"its KL is not above {min_kl:g} nats"
        if codes.logvar is not None
        else "its mean does not vary"
    )
    reasons = [None if used else dead for used in active]
    reasons += ["discrete: its categories have no order"] * (latents.count(codes) - len(active))
    return {
        name: why
        for name, why in zip(latents.names(codes), reasons, strict=True)
        if why is not None
    }


def _prepared(codes: Codes, active: Array, similarity: str) -> Array:
    """The active latents or their ranks, at mean 0 and deviation 1; constant ones all 0."""
    from scipy.stats import rankdata

    columns = codes.mean[:, active].astype(np.float64)
    if similarity == "spearman":
        columns = np.asarray(rankdata(columns, axis=0), dtype=np.float64)
    centred = columns - columns.mean(axis=0)
    return np.divide(
        centred, centred.std(axis=0), out=np.zeros_like(centred), where=np.ptp(columns, axis=0) > 0
    )


def _correlations(ours: Array, theirs: Array) -> Array:
    return np.abs(ours.T @ theirs) / len(ours)


def _coefficients(ours: Array, theirs: Array, alpha: float) -> Array:
    from sklearn.linear_model import Lasso  # a second of import that only this similarity needs

    # A constant column has nothing to explain; the Gram matrix makes the cost independent of the number of rows.
    model = Lasso(alpha=alpha, precompute=True, random_state=0).fit(theirs, ours)
    return np.abs(np.asarray(model.coef_, dtype=np.float64)).reshape(ours.shape[1], theirs.shape[1])
