"""Explicitness: can every value of every factor be read off the codes? (Ridgeway and Mozer 2018, section 3)."""

# scikit-learn ships no types; what comes out of a classifier is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.prediction import logistic
from metrics.prediction.row_splits import held_out, one_thread, standardised
from metrics.progress import steps
from metrics.types import Array, Inputs, Score


def explicitness(
    inputs: Inputs,
    *,
    classifier: Literal["one_vs_rest", "multinomial"] = "one_vs_rest",
    scaled: bool = True,
    train_rows: int = 10_000,
    test_rows: int = 5_000,
) -> Score:
    """Area under the ROC curve of a logistic regression for every value of a factor, averaged, scaled to [0, 1].

        E = 1/K sum_k 1/V_k sum_v (2 AUC_kv - 1)

    AUC_kv is the probability that, of two held-out rows, one with value v of factor k and one with another, the
    classifier of v ranks the first higher. Latents are standardised first.

    Linear classifiers ask for linear codes: one latent that orders V values evenly has AUC max(v, V - 1 - v) / (V - 1)
    for value v with one-vs-rest classifiers, .75 on average for large V, though every value can be read off it. Read
    the score against its ceiling, or take "multinomial", whose classes share one softmax: it scores such codes 1.

    Args:
        inputs: codes (means and indicators of discrete codes) and factors.
        classifier: "one_vs_rest", a logistic regression for each value, as published; or "multinomial", one for all
            values of a factor. Both with L2 penalty |w|²/2 beside the summed log loss, the intercept free.
        scaled: 2 AUC - 1, so that chance is 0, with a mean below it set to 0; False leaves the mean AUC, chance .5.
        train_rows, test_rows: drawn without replacement; a smaller set is divided in that proportion.

    Returns:
        value: E; error: its standard error over test rows (that of training rows is not in it).
        details: auc (mean over factors, unscaled), auc_per_factor (K,), auc_per_value {factor: (V,)} with NaN for
        values left out; excluded: factors, constant latents, and values by name as "shape = 2". Without a varying
        latent chance, without a factor to score NaN, both with a reason.

    Raises:
        ValueError: unknown classifier, or too few rows to train and to test on.
    """
    assert inputs.factors is not None, "score() checks needs"
    if classifier not in ("one_vs_rest", "multinomial"):
        raise ValueError(
            f"explicitness: classifier must be 'one_vs_rest' or 'multinomial', got {classifier!r}"
        )
    factors, features = inputs.factors, latents.features(inputs.codes)
    rng = np.random.default_rng(inputs.seed)
    train, test = held_out(
        "explicitness", len(factors), train_rows=train_rows, test_rows=test_rows, rng=rng
    )
    x, x_test = standardised(features.columns[train], features.columns[test])
    constant = (
        np.bincount(features.latent, weights=x.any(axis=0), minlength=latents.count(inputs.codes))
        == 0
    )
    excluded = {
        name: "constant in the training rows"
        for name, dead in zip(latents.names(inputs.codes), constant, strict=True)
        if dead
    }
    auc, per_value = np.full(len(factors.names), np.nan), dict[str, Array]()
    influence: list[Array] = []
    for k in steps(range(len(factors.names)), "explicitness: factor"):
        name, level, level_test = (
            factors.names[k],
            factors.values[train, k],
            factors.values[test, k],
        )
        known = np.unique(level)
        scored = np.array(
            [v for v in known if 0 < (level_test == v).sum() < len(test)], dtype=np.int64
        )
        per_value[name] = np.full(factors.sizes[k], np.nan)
        if len(known) < 2 or not len(scored):
            excluded[name] = (
                "one level only in the training rows"
                if len(known) < 2
                else "no value to be held out"
            )
            continue
        # In so many words: of the values there are, those that could not be trained for or tested.
        for v in sorted(set(np.unique(factors.values[:, k]).tolist()) - set(scored.tolist())):
            excluded[f"{name} = {v}"] = "not both with and without it in training and test rows"
        scores = _scores(classifier, x, level, x_test)[:, np.searchsorted(known, scored)]
        areas, of_rows = areas_under_roc(scores, level_test[:, None] == scored)
        per_value[name][scored], auc[k] = areas, areas.mean()
        influence.append(of_rows.mean(axis=1))
    kept = ~np.isnan(auc)
    details: dict[str, Any] = {
        "auc_per_factor": auc,
        "auc_per_value": per_value,
        "excluded": excluded,
    }
    words = classifier.replace("_", "-").replace("one-vs-rest", "one logistic regression per value")
    identity = {
        "estimator": words.replace("multinomial", "multinomial logistic regression") + ", held out",
        "scored": [name for name, there in zip(factors.names, kept, strict=True) if there],
    }
    if not kept.any():
        details["reason"] = (
            "every factor is constant in the given rows, or too few rows show its values"
        )
        return Score(math.nan, details=details, identity=identity)
    if constant.all():
        details["reason"] = "no latent varies"
    mean = float(auc[kept].mean())
    error = float(np.mean(influence, axis=0).std() / math.sqrt(len(test)))
    details["auc"] = mean
    value, error = (max(0.0, 2 * mean - 1), 2 * error) if scaled else (mean, error)
    return Score(value, error, details=details, identity=identity)


def areas_under_roc(scores: Array, positive: Array) -> tuple[Array, Array]:
    """Area under the ROC curve of every column, and what each row contributes to its deviation from the truth.

    The area is the share of pairs (a positive, a negative row) that the score orders rightly, ties counting half
    (Hanley and McNeil 1982). The contributions, centred, are those of the two-sample U statistic (DeLong et al. 1988):
    their standard deviation over sqrt(N) is the area's standard error, and they may be averaged over columns first.

    Args:
        scores: (N, V), larger for positives.
        positive: (N, V) booleans, at least one True and one False in every column.

    Returns:
        areas (V,), contributions (N, V).
    """
    areas, contributions = np.zeros(scores.shape[1]), np.zeros(scores.shape)
    for v in range(scores.shape[1]):
        yes = positive[:, v]
        with_value, others = np.sort(scores[yes, v]), np.sort(scores[~yes, v])
        right_of_yes = _share_below(others, scores[yes, v])
        areas[v] = right_of_yes.mean()
        contributions[yes, v] = (right_of_yes - areas[v]) / yes.mean()
        contributions[~yes, v] = (1 - _share_below(with_value, scores[~yes, v]) - areas[v]) / (
            ~yes
        ).mean()
    return areas, contributions


def _share_below(ordered: Array, values: Array) -> Array:
    """For every value the share of ordered numbers below it, equal ones counting half."""
    return (
        np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    ) / (2 * len(ordered))


def _scores(classifier: str, x: Array, level: Array, x_test: Array) -> Array:
    """How much each test row looks like each value that training shows: (m, V)."""
    if classifier == "one_vs_rest":
        with one_thread():
            weights, bias = logistic.one_vs_rest(x, level[:, None] == np.unique(level))
            return x_test @ weights.T + bias
    from sklearn.linear_model import LogisticRegression

    with one_thread():
        model = LogisticRegression(max_iter=1_000).fit(x, level)
        return np.asarray(model.predict_proba(x_test))
