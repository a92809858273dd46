"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018)."""

# scikit-learn ships no types; what comes out of a forest is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportArgumentType=false

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics.types import Array, Inputs, Score


def dci(
    inputs: Inputs,
    *,
    train_rows: int = 3_000,
    test_rows: int = 2_000,
    trees: int = 10,
    min_leaf: int = 5,
) -> Score:
    """Disentanglement, from how much a random forest per factor relies on each latent.

    R[j, k] is the impurity importance of latent j in a forest that classifies factor k from posterior
    means; every tree sees every latent (features are not subsampled: a tree denied the right latent would
    credit wrong ones).

    Args:
        inputs: codes and factors. Rows for training and for testing are a seeded draw without replacement; a set
            smaller than train_rows + test_rows is divided in that proportion.
        train_rows, test_rows, trees, min_leaf: of the forest; more of each is slower and sharper.

    Returns:
        value: disentanglement D (see `disentanglement`).
        details: importance (d, K), disentanglement, completeness, accuracy (informativeness: mean held-out
        accuracy over factors), accuracies (K,) (NaN for excluded factors), excluded factors. If no latent carries
        importance, D = C = 0 with a reason; if no factor varies, the value is NaN with a reason.
    """
    from sklearn.ensemble import RandomForestClassifier  # a second of import that only this metric needs

    assert inputs.factors is not None, "score() checks needs"
    factors, mean = inputs.factors, inputs.codes.mean
    rng = np.random.default_rng(inputs.seed)
    train, test = _split(len(mean), train_rows, test_rows, rng)
    importance = np.zeros((mean.shape[1], len(factors.names)))
    accuracies = np.full(len(factors.names), np.nan)
    excluded: dict[str, str] = {}
    for k, name in enumerate(factors.names):
        level = factors.values[:, k]
        if len(np.unique(level[train])) < 2:
            excluded[name] = "one level only in the training rows"
            continue
        forest = RandomForestClassifier(
            n_estimators=trees,
            max_features=None,
            min_samples_leaf=min_leaf,
            random_state=inputs.seed,
            n_jobs=1,
        ).fit(mean[train], level[train])
        importance[:, k] = forest.feature_importances_
        accuracies[k] = np.mean(np.asarray(forest.predict(mean[test])) == level[test])
    details = _summary(importance, accuracies) | {"excluded": excluded}
    if len(excluded) == len(factors.names):
        details["reason"] = "every factor is constant in the given rows"
    return Score(
        float(details["disentanglement"]) if len(excluded) < len(factors.names) else math.nan,
        details=details,
        identity={"estimator": "random forest", "scored": [n for n in factors.names if n not in excluded]},
    )


def disentanglement(importance: Array) -> float:
    """D = sum_j rho_j (1 - H_K(P_j)): does each latent serve one factor only?

    P_j = R[j] / sum_k R[j, k], H_K the entropy to base K, rho_j the share of latent j in all importance: a
    latent without importance weighs nothing.

    Args:
        importance: (d, K), >= 0; factors that were not scored have zero columns and do not count in K.

    Returns:
        A number in [0, 1]; 0 where nothing carries importance.
    """
    used = importance[:, importance.sum(axis=0) > 0]
    return _concentration(used)


def completeness(importance: Array) -> float:
    """C = sum_k rho_k (1 - H_d(P_k)): is each factor served by one latent only? Importances (d, K) as above."""
    return _concentration(importance.T)


def _concentration(rows: Array) -> float:
    weights = rows.sum(axis=1)
    if not rows.size or weights.sum() <= 0:
        return 0.0
    p = rows[weights > 0] / weights[weights > 0, None]
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    # One column leaves nothing to choose from: fully concentrated.
    normalised = entropy / np.log(rows.shape[1]) if rows.shape[1] > 1 else np.zeros_like(entropy)
    return float(np.average(1 - normalised, weights=weights[weights > 0]))


def _summary(importance: Array, accuracies: Array) -> dict[str, Any]:
    known = accuracies[~np.isnan(accuracies)]
    details: dict[str, Any] = {
        "importance": importance,
        "disentanglement": disentanglement(importance),
        "completeness": completeness(importance),
        "accuracy": float(known.mean()) if len(known) else 0.0,
        "accuracies": accuracies,
    }
    if importance.sum() <= 0:
        details["reason"] = "no latent carries importance for any factor"
    return details


def _split(rows: int, train: int, test: int, rng: np.random.Generator) -> tuple[Array, Array]:
    if rows < 2:
        raise ValueError(f"dci needs at least 2 rows to train and to test on, got {rows}")
    share = min(1.0, rows / (train + test))
    first = min(rows - 1, max(1, int(train * share)))
    drawn = rng.permutation(rows)
    return drawn[:first], drawn[first : first + max(1, int(test * share))]
