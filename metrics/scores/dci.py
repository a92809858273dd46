"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.prediction.importance import Model, Reliance, Task
from metrics.prediction.row_splits import held_out
from metrics.progress import steps
from metrics.types import Array, Inputs, Score

_MANY_ROWS = 1_000
"""With this many training rows every model learns a factor from its levels."""


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
    """Return the disentanglement D: how far each latent is important for one factor only.

        D = sum_j rho_j (1 - H_K(R[j] / sum_k R[j, k])),  rho_j = sum_k R[j, k] / sum_jk R[j, k]

    R[j, k] >= 0 is the importance of latent j in a model that predicts factor k from posterior
    means and discrete codes. A discrete code enters as indicator columns, and their importance
    belongs to the one latent. The number depends on the model:

    - boosting: boosted trees on histograms, importance by permutation of held-out rows, in nats of
      log loss.
    - forest: a random forest, impurity importance. It takes a second, but splits on noise count,
      and they count more for factors with more levels. D is then far too low (.36 instead of .83
      on codes made for this comparison, `benchmarks/bench_dci.py`).
    - published: GradientBoostingClassifier of scikit-learn, impurity importance (Locatello et al.
      2019). It is as biased (.58 instead of .83) and takes minutes to hours.
    - lasso, linear: |weights| of a regression of the level, as a number, on standardised latents
      (Eastwood and Williams 2018, section 3). They suit only factors with ordered levels, and do
      not see dependence that is not linear.

    Args:
        inputs: codes and factors. Training and test rows are a seeded draw without replacement; a
            set smaller than train_rows + test_rows is divided in that proportion.
        model, train_rows, test_rows: see above.
        trees, min_leaf: number of trees and rows per leaf of a forest, or rounds and rows per leaf
            of boosting; more of each is slower and sharper.
        repeats: permutations of each latent (boosting).
        alpha: penalty of the lasso on standardised latents and levels. None takes the largest one
            with an error, in 5-fold cross validation, within one standard error of the least.

    Returns:
        value: the disentanglement D.
        error: for "boosting" the root of the sum of two squares: the standard error over test rows,
            by the delta method, and how much lower D is if rises that are too small to be
            significant are real. The spread over training rows is not included. None for the other
            models, which do not tell what each row adds to an importance.
        details:
            importance: (latents, K) R.
            disentanglement, disentanglement_per_latent: D and (latents,) its terms, NaN for a
                latent without importance.
            rho: (latents,) shares of importance.
            completeness: weighted by the shares of importance of the factors.
            completeness_per_factor: (K,).
            completeness_mean: without weights. It equals `completeness` if the importances of
                every factor sum to 1, which holds for all models but lasso and linear.
            completeness_active: over active latents only, because the base d of the entropy, and
                completeness with it, grows with every dead latent.
            accuracy, accuracies (K,), prediction_error = 1 - accuracy, prediction_errors (K,):
                informativeness of classifiers, on held-out rows.
            r2, r2_per_factor (K,), prediction_error, prediction_errors (K,): informativeness of
                regressions, on held-out rows. The error is the RMSE divided by the RMSE of always
                predicting the mean, sqrt(1 - R²).
            excluded: factors left out; their entries are NaN. A factor is also left out if there
                are too few rows for this model: it does not learn the factor even if the levels
                themselves are the code. (With 20 rows per leaf, 40 training rows never split.)
        If no latent carries importance, D = C = 0, with a reason. If no factor is left, the value
        is NaN, with a reason.

    Raises:
        ValueError: fewer than two rows, or an option is outside its range.
    """
    assert inputs.factors is not None, "score() checks needs"
    factors, features = inputs.factors, latents.features(inputs.codes)
    predictor = Model(model, trees, min_leaf, repeats, alpha)
    rng = np.random.default_rng(inputs.seed)
    train, test = held_out(
        "dci", len(inputs.codes), train_rows=train_rows, test_rows=test_rows, rng=rng
    )
    importance = np.zeros((latents.count(inputs.codes), len(factors.names)))
    quality = np.full(len(factors.names), np.nan)  # accuracy or R² on held-out rows
    reliances: dict[int, Reliance] = {}
    varies = np.array([len(np.unique(column)) > 1 for column in factors.values[train].T], bool)
    for k in steps(np.flatnonzero(varies).tolist(), "dci: factor"):
        level = factors.values[:, k]
        task = Task(
            features.columns[train],
            level[train],
            features.columns[test],
            level[test],
            features.latent,
            len(importance),
            inputs.seed,
        )
        reliance = predictor.fit(task)
        importance[:, k], quality[k] = reliance.importance, reliance.held_out
        reliances[k] = reliance
    excluded: dict[str, str] = {}
    for k, name in enumerate(factors.names):
        if not varies[k]:
            excluded[name] = "one level only in the training rows"
        elif not importance[:, k].any() and not _can_be_learned(
            predictor, factors.values[:, k], train, test, seed=inputs.seed
        ):
            excluded[name] = "too few rows: the model does not even learn it from its own levels"
    scored = np.array([name not in excluded for name in factors.names], bool)
    quality[~scored] = np.nan
    details = _summary(importance, scored, latents.active(inputs.codes))
    details |= _informativeness(quality, classifies=predictor.classifies)
    details["excluded"] = excluded
    value = float(details["disentanglement"])
    if not scored.any():
        details["reason"] = (
            "too few rows: the model does not even learn the factors from their own levels"
            if varies.any()
            else "every factor is constant in the training rows"
        )
        value = math.nan
    names = [name for name in factors.names if name not in excluded]
    identity = {"estimator": predictor.estimator, "scored": names}
    error = _error([reliances[k] for k in np.flatnonzero(scored).tolist()])
    return Score(value, error, details=details, identity=identity)


def _can_be_learned(
    predictor: Model, levels: Array, train: Array, test: Array, *, seed: int
) -> bool:
    """Return whether a model learns a factor (N,) if its levels are the only code.

    It is asked only about a factor that no latent is important for. With many training rows the
    answer is yes, and is not computed.
    """
    if len(train) >= _MANY_ROWS:
        return True
    code = levels[:, None].astype(np.float64)
    one_latent = np.zeros(1, dtype=np.int64)
    task = Task(code[train], levels[train], code[test], levels[test], one_latent, 1, seed)
    return bool(predictor.fit(task).importance.any())


def _error(reliances: list[Reliance]) -> float | None:
    """Return the error of D over the test rows; None if rises of single rows are not known.

        error² = 1/m Var_n [ sum_jk dD/dr_jk rise_njk ] + (D - D')²,   r_jk = mean_n rise_njk

    The derivatives are central differences. D is that of importances scaled to sum to 1 for each
    factor. D' is D if every rise that is not significant, and counts as 0, is what it may be.
    """
    rises: list[Array] = []
    insignificant: list[Array] = []
    for reliance in reliances:
        if reliance.rises is None or reliance.insignificant is None:
            return None
        rises.append(reliance.rises)
        insignificant.append(reliance.insignificant)
    if not rises:
        return None
    means = np.stack([rise.mean(axis=0) for rise in rises], axis=1)  # (latents, K)
    influence = np.zeros(len(rises[0]))
    for j, k in np.argwhere(means > 0).tolist():
        step = 1e-4 * float(means[j, k])
        values: list[float] = []
        for sign in (1, -1):
            shifted = means.copy()
            shifted[j, k] += sign * step
            values.append(_disentanglement_of_rises(shifted))
        influence += (values[0] - values[1]) / (2 * step) * rises[k][:, j]
    with_small_rises = means + np.stack(insignificant, axis=1)
    hidden = _disentanglement_of_rises(means) - _disentanglement_of_rises(with_small_rises)
    return math.hypot(float(influence.std() / math.sqrt(len(influence))), hidden)


def _disentanglement_of_rises(means: Array) -> float:
    """Return D from mean rises (latents, K), each factor scaled to sum to 1 if it has any."""
    totals = means.sum(axis=0)
    scaled = np.divide(means, totals, out=np.zeros_like(means), where=totals > 0)
    return _weighted_sum(*concentrations(scaled))


def disentanglement(importance: Array) -> float:
    """Return D = sum_j rho_j (1 - H_K(P_j)): is each latent important for one factor only?

    P_j = R[j] / sum_k R[j, k], H_K is the entropy to base K, and rho_j is the share of latent j in
    all importance. A latent without importance has no weight.

    Args:
        importance: (d, K) R, >= 0; factors with zero columns do not count in K.

    Returns:
        A number in [0, 1]; 0 if all importances are 0.
    """
    return _weighted_sum(*concentrations(importance[:, importance.sum(axis=0) > 0]))


def completeness(importance: Array) -> float:
    """Return C = sum_k rho_k (1 - H_d(P_k)): does one latent alone carry each factor?

    P_k = R[:, k] / sum_j R[j, k], H_d is the entropy to base d, and rho_k is the share of factor k
    in all importance.

    Args:
        importance: (d, K) R, >= 0.

    Returns:
        A number in [0, 1]; 0 if all importances are 0.
    """
    return _weighted_sum(*concentrations(importance.T))


def concentrations(rows: Array) -> tuple[Array, Array]:
    """Return 1 - H(p) of every row p, scaled to sum to 1, and the share of each row in the total.

    The base of the entropy H is the number of columns. A row of zeros has NaN. With one column
    every other row has 1, because there is nothing else to be important for.
    """
    sums, base = rows.sum(axis=1), rows.shape[1]
    concentration = np.full(len(rows), np.nan)
    p = rows[sums > 0] / sums[sums > 0, None]
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    concentration[sums > 0] = 1 - entropy / np.log(base) if base > 1 else 1.0
    shares = sums / sums.sum() if sums.sum() > 0 else np.zeros_like(sums)
    return concentration, shares


def _weighted_sum(values: Array, weights: Array) -> float:
    """Return sum_i weights_i values_i, without the values (NaN) that have no weight."""
    total = float(np.sum(np.where(weights > 0, values, 0.0) * weights))
    return min(1.0, total)  # rounding may exceed 1


def _summary(importance: Array, scored: Array, active: Array) -> dict[str, Any]:
    """Return the details that follow from the importances."""
    # K counts every factor that a model was trained for, also a factor that no latent predicts.
    per_latent, rho = concentrations(importance[:, scored])
    per_factor, factor_shares = concentrations(importance.T)
    defined = per_factor[~np.isnan(per_factor)]
    details: dict[str, Any] = {
        "importance": importance,
        "disentanglement": _weighted_sum(per_latent, rho),
        "disentanglement_per_latent": per_latent,
        "rho": rho,
        "completeness": _weighted_sum(per_factor, factor_shares),
        "completeness_per_factor": per_factor,
        "completeness_mean": float(defined.mean()) if len(defined) else 0.0,
        "completeness_active": completeness(importance[active]),
    }
    if importance.sum() <= 0:
        details["reason"] = "no latent carries importance for any factor"
    return details


def _informativeness(quality: Array, *, classifies: bool) -> dict[str, Any]:
    """Return the details about prediction, from accuracies or R² (K,), NaN for excluded factors."""
    if classifies:
        errors = 1 - quality
        details: dict[str, Any] = {"accuracy": _mean_of_scored(quality), "accuracies": quality}
    else:
        errors = np.sqrt(np.maximum(1 - quality, 0.0))
        details = {"r2": _mean_of_scored(quality), "r2_per_factor": quality}
    return {**details, "prediction_error": _mean_of_scored(errors), "prediction_errors": errors}


def _mean_of_scored(values: Array) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    scored = ~np.isnan(values)
    return float(values[scored].mean()) if scored.any() else math.nan
