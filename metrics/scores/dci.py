"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.prediction.importance import Model, Task
from metrics.prediction.row_splits import held_out
from metrics.progress import steps
from metrics.types import Array, Inputs, Score


def dci(
    inputs: Inputs,
    *,
    model: Literal["forest", "boosting", "published", "lasso", "linear"] = "boosting",
    train_rows: int = 10_000,
    test_rows: int = 5_000,
    trees: int = 20,
    min_leaf: int = 20,
    repeats: int = 3,
    alpha: float | None = None,
) -> Score:
    """Disentanglement, from how much a model of each factor relies on each latent.

        D = sum_j rho_j (1 - H_K(R[j] / sum_k R[j, k])),   rho_j = sum_k R[j, k] / sum_jk R[j, k]

    R[j, k] >= 0 is the importance of latent j in a model that predicts factor k from posterior means and discrete
    codes (indicator columns, whose importance belongs to the one latent). What the model is decides the number:

    - boosting: boosted trees on histograms, importance by permutation of held-out rows, in nats of log loss.
    - forest: random forest, impurity importance. A second; but splits on noise count, the more the more levels a
      factor has, so that D is far too low (.36 of .83 on codes made for it, `benchmarks/bench_dci.py`).
    - published: scikit-learn's GradientBoostingClassifier, impurity (Locatello et al. 2019): as biased, .58 of .83,
      and minutes to hours.
    - lasso, linear: |weights| of a regression of the level, as a number, on standardised latents (Eastwood and
      Williams 2018, section 3). Only for factors whose levels are ordered; what is not linear is not seen.

    Args:
        inputs: codes and factors. Rows for training and for testing are a seeded draw without replacement; a set
            smaller than train_rows + test_rows is divided in that proportion.
        model, train_rows, test_rows: as above.
        trees, min_leaf: of a forest, or rounds and leaves of boosting; more of each is slower and sharper.
        repeats: permutations of each latent (boosting).
        alpha: penalty of the lasso on standardised latents and levels; None takes the largest whose error in 5-fold
            cross validation is within a standard error of the least.

    Returns:
        value: disentanglement D; error: None, the spread over draws is not estimated.
        details: importance (latents, K); disentanglement with disentanglement_per_latent (NaN where a latent has no
        importance) and rho (latents,); completeness, weighted by the factors' shares of importance,
        completeness_per_factor (K,), completeness_mean without weights (the same where every factor's importances
        sum to 1: all models but lasso and linear), and completeness_active, over
        active latents only: the base d grows with every dead latent, and completeness with it.
        Informativeness: for classifiers accuracy, accuracies (K,) and error = 1 - accuracy, errors (K,), held out; for
        regressions r2, r2_per_factor (K,) and error, errors (K,), the RMSE in units of that of guessing the mean,
        sqrt(1 - R²). NaN for excluded factors. If no latent carries importance, D = C = 0 with a reason; if no
        factor varies, the value is NaN with a reason.

    Raises:
        ValueError: fewer than two rows, or an option out of range.
    """
    assert inputs.factors is not None, "score() checks needs"
    factors, columns = inputs.factors, latents.features(inputs.codes)
    chosen = Model(model, trees, min_leaf, repeats, alpha)
    rng = np.random.default_rng(inputs.seed)
    train, test = held_out(
        "dci", len(inputs.codes), train_rows=train_rows, test_rows=test_rows, rng=rng
    )
    importance = np.zeros((latents.count(inputs.codes), len(factors.names)))
    held = np.full(len(factors.names), np.nan)
    varies = [len(np.unique(factors.values[train, k])) > 1 for k in range(len(factors.names))]
    for k in steps(np.flatnonzero(varies).tolist(), "dci: factor"):
        level = factors.values[:, k]
        importance[:, k], held[k] = chosen.fit(
            Task(
                columns.columns[train],
                level[train],
                columns.columns[test],
                level[test],
                columns.latent,
                len(importance),
                inputs.seed,
            )
        )
    excluded = {
        n: "one level only in the training rows"
        for n, kept in zip(factors.names, varies, strict=True)
        if not kept
    }
    details = _summary(importance, np.array(varies, dtype=bool), latents.active(inputs.codes))
    details |= _informativeness(held, classifies=chosen.classifies) | {"excluded": excluded}
    if not any(varies):
        details["reason"] = "every factor is constant in the training rows"
    return Score(
        float(details["disentanglement"]) if any(varies) else math.nan,
        details=details,
        identity={
            "estimator": chosen.estimator,
            "scored": [n for n in factors.names if n not in excluded],
        },
    )


def disentanglement(importance: Array) -> float:
    """D = sum_j rho_j (1 - H_K(P_j)): does each latent serve one factor only?

    P_j = R[j] / sum_k R[j, k], H_K the entropy to base K, rho_j the share of latent j in all importance: a
    latent without importance weighs nothing.

    Args:
        importance: (d, K), >= 0; factors with zero columns do not count in K.

    Returns:
        A number in [0, 1]; 0 where nothing carries importance.
    """
    return _weighted(*concentrations(importance[:, importance.sum(axis=0) > 0]))


def completeness(importance: Array) -> float:
    """C = sum_k rho_k (1 - H_d(P_k)): is each factor served by one latent only? Importances (d, K) as above."""
    return _weighted(*concentrations(importance.T))


def concentrations(rows: Array) -> tuple[Array, Array]:
    """1 - H(p) of every row scaled to sum to 1, NaN for a row of zeros, and the rows' shares of the total.

    The entropy H is to the base of the number of columns. One column leaves nothing to choose from: fully
    concentrated.
    """
    sums, base = rows.sum(axis=1), rows.shape[1]
    each = np.full(len(rows), np.nan)
    p = rows[sums > 0] / sums[sums > 0, None]
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    each[sums > 0] = 1 - entropy / np.log(base) if base > 1 else 1.0
    return each, sums / sums.sum() if sums.sum() > 0 else np.zeros_like(sums)


def _weighted(each: Array, weights: Array) -> float:
    return min(
        1.0, float(np.sum(np.where(weights > 0, each, 0.0) * weights))
    )  # rounding may pass 1


def _summary(importance: Array, scored: Array, active: Array) -> dict[str, Any]:
    # K counts every factor that a model was trained for, also one that no latent predicts.
    per_latent, rho = concentrations(importance[:, scored])
    per_factor, share = concentrations(importance.T)
    served = per_factor[~np.isnan(per_factor)]
    details: dict[str, Any] = {
        "importance": importance,
        "disentanglement": _weighted(per_latent, rho),
        "disentanglement_per_latent": per_latent,
        "rho": rho,
        "completeness": _weighted(per_factor, share),
        "completeness_per_factor": per_factor,
        "completeness_mean": float(served.mean()) if len(served) else 0.0,
        "completeness_active": completeness(importance[active]),
    }
    if importance.sum() <= 0:
        details["reason"] = "no latent carries importance for any factor"
    return details


def _informativeness(held: Array, *, classifies: bool) -> dict[str, Any]:
    scored = ~np.isnan(held)
    errors = 1 - held if classifies else np.sqrt(np.maximum(1 - held, 0.0))

    def mean(values: Array) -> float:
        return float(values[scored].mean()) if scored.any() else math.nan

    right = (
        {"accuracy": mean(held), "accuracies": held}
        if classifies
        else {"r2": mean(held), "r2_per_factor": held}
    )
    return {**right, "error": mean(errors), "errors": errors}
