"""Explicitness: can a classifier read every value of every factor off the codes?

Ridgeway and Mozer 2018, section 3.
"""

# scikit-learn ships no types: predictions are turned into arrays where they are used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from metrics.codes import latents
from metrics.codes.latents import Features
from metrics.prediction import logistic
from metrics.prediction.row_splits import held_out, one_thread, standardised
from metrics.progress import steps
from metrics.types import Array, Codes, Inputs, Score

_ESTIMATORS = {
    "one_vs_rest": "one logistic regression per value, held out",
    "multinomial": "multinomial logistic regression, held out",
}


class _Split(NamedTuple):
    """Standardised features, and the rows that they belong to."""

    x: Array  # (n, D) of the training rows
    x_test: Array  # (m, D) of the test rows
    train: Array  # (n,) row numbers
    test: Array  # (m,) row numbers


class _Values(NamedTuple):
    """The values of one factor, in ascending order."""

    known: Array  # values in the training rows
    scored: Array  # those of them that some, but not all, test rows show
    unscored: list[int]  # all other values in the given rows


def explicitness(
    inputs: Inputs,
    *,
    classifier: Literal["one_vs_rest", "multinomial"] = "one_vs_rest",
    scaled: bool = True,
    train_rows: int = 10_000,
    test_rows: int = 5_000,
) -> Score:
    """Return the mean area under the ROC curve of classifiers of every value, scaled to [0, 1].

        E = 1/K sum_k 1/V_k sum_v (2 AUC_kv - 1)

    The classifiers are logistic regressions on standardised latents. Take two held-out rows, one
    with value v of factor k and one with another value: AUC_kv is the probability that the
    classifier of v ranks the first row higher.

    Linear classifiers need linear codes. One latent that orders V values evenly has AUC
    max(v, V - 1 - v) / (V - 1) for value v with one-vs-rest classifiers, .75 on average for large
    V, although every value can be read off it. So compare the score with its ceiling, or use
    "multinomial": its classes share one softmax, and it scores such codes 1.

    Args:
        inputs: codes (means and indicators of discrete codes) and factors.
        classifier: "one_vs_rest", one logistic regression for each value, as published; or
            "multinomial", one for all values of a factor. Both add the L2 penalty |w|²/2 to the
            summed log loss, and leave the intercept free.
        scaled: use 2 AUC - 1, so that chance is 0; a mean below 0 becomes 0. False uses the mean
            AUC, with chance .5.
        train_rows, test_rows: rows drawn without replacement; a smaller set is divided in that
            proportion.

    Returns:
        value: E.
        error: its standard error over test rows; the spread over training rows is not included.
        details:
            auc_per_factor: (K,) unscaled, NaN for factors left out.
            auc_per_value: {factor: (V,)}, NaN for values left out.
            excluded: factors, constant latents, and values, with names like "shape = 2".
            auc: the mean over factors, unscaled.
        Without a varying latent the value is chance, and without a factor to score it is NaN; both
        come with a reason.

    Raises:
        ValueError: the classifier is unknown, or there are too few rows to train and to test on.
    """
    assert inputs.factors is not None, "score() checks needs"
    if classifier not in _ESTIMATORS:
        raise ValueError(
            f"explicitness: classifier must be 'one_vs_rest' or 'multinomial', got {classifier!r}"
        )
    factors, features = inputs.factors, latents.features(inputs.codes)
    split = _split(features.columns, train_rows, test_rows, seed=inputs.seed)
    excluded = _constant_latents(inputs.codes, features, split.x)
    all_constant = len(excluded) == latents.count(inputs.codes)
    auc, per_value = np.full(len(factors.names), np.nan), dict[str, Array]()
    contributions: list[Array] = []
    for k in steps(range(len(factors.names)), "explicitness: factor"):
        name, column = factors.names[k], factors.values[:, k]
        values = _values(column, split)
        per_value[name] = np.full(factors.sizes[k], np.nan)
        if len(values.known) < 2:
            excluded[name] = "one level only in the training rows"
        elif not len(values.scored):
            excluded[name] = "no value to be held out"
        else:
            for v in values.unscored:
                excluded[f"{name} = {v}"] = "not both with and without it in training and test rows"
            areas, of_rows = _areas(classifier, split, column, values)
            per_value[name][values.scored], auc[k] = areas, areas.mean()
            contributions.append(of_rows.mean(axis=1))
    kept = ~np.isnan(auc)
    details: dict[str, Any] = {
        "auc_per_factor": auc,
        "auc_per_value": per_value,
        "excluded": excluded,
    }
    scored_names = [factors.names[k] for k in np.flatnonzero(kept)]
    identity = {"estimator": _ESTIMATORS[classifier], "scored": scored_names}
    if not kept.any():
        details["reason"] = (
            "every factor is constant in the given rows, or too few rows show its values"
        )
        return Score(math.nan, details=details, identity=identity)
    if all_constant:
        details["reason"] = "no latent varies"
    mean = float(auc[kept].mean())
    error = float(np.mean(contributions, axis=0).std() / math.sqrt(len(split.test)))
    details["auc"] = mean
    if scaled:
        return Score(max(0.0, 2 * mean - 1), 2 * error, details=details, identity=identity)
    return Score(mean, error, details=details, identity=identity)


def areas_under_roc(scores: Array, positive: Array) -> tuple[Array, Array]:
    """Return the area under the ROC curve of every column, and the contribution of each row to it.

    The area is the share of pairs (a positive and a negative row) that the score orders correctly;
    ties count half (Hanley and McNeil 1982). The contributions are centred: those of the
    two-sample U statistic (DeLong et al. 1988). Their standard deviation over sqrt(N) is the
    standard error of the area, and they may be averaged over columns first.

    Args:
        scores: (N, V), larger for positives.
        positive: (N, V) booleans, at least one True and one False in every column.

    Returns:
        areas (V,), contributions (N, V).
    """
    areas, contributions = np.zeros(scores.shape[1]), np.zeros(scores.shape)
    for v in range(scores.shape[1]):
        yes = positive[:, v]
        positives, negatives = np.sort(scores[yes, v]), np.sort(scores[~yes, v])
        negatives_below = _share_below(negatives, scores[yes, v])
        positives_above = 1 - _share_below(positives, scores[~yes, v])
        areas[v] = negatives_below.mean()
        contributions[yes, v] = (negatives_below - areas[v]) / yes.mean()
        contributions[~yes, v] = (positives_above - areas[v]) / (~yes).mean()
    return areas, contributions


def _share_below(ordered: Array, values: Array) -> Array:
    """Return for every value the share of ordered numbers below it; equal ones count half."""
    below = np.searchsorted(ordered, values, "left")
    up_to = np.searchsorted(ordered, values, "right")
    return (below + up_to) / (2 * len(ordered))


def _split(columns: Array, train_rows: int, test_rows: int, *, seed: int) -> _Split:
    """Return training and test rows, drawn without replacement, with standardised features."""
    train, test = held_out(
        "explicitness",
        len(columns),
        train_rows=train_rows,
        test_rows=test_rows,
        rng=np.random.default_rng(seed),
    )
    x, x_test = standardised(columns[train], columns[test])
    return _Split(x, x_test, train, test)


def _constant_latents(codes: Codes, features: Features, x: Array) -> dict[str, str]:
    """Return the latents that do not vary in the training rows, each with the reason."""
    varying_columns = np.bincount(
        features.latent, weights=x.any(axis=0), minlength=latents.count(codes)
    )
    excluded: dict[str, str] = {}
    for name, count in zip(latents.names(codes), varying_columns, strict=True):
        if count == 0:
            excluded[name] = "constant in the training rows"
    return excluded


def _values(column: Array, split: _Split) -> _Values:
    """Return which values of a factor (N,) can be trained for and tested."""
    known, level_test = np.unique(column[split.train]), column[split.test]
    scored: list[int] = []
    for v in known:
        if 0 < (level_test == v).sum() < len(level_test):
            scored.append(v)
    unscored = sorted(set(np.unique(column).tolist()) - set(scored))
    return _Values(known, np.array(scored, dtype=np.int64), unscored)


def _areas(classifier: str, split: _Split, column: Array, values: _Values) -> tuple[Array, Array]:
    """Return the areas under the ROC curve of the scored values, and the contributions of rows."""
    scores = _scores(classifier, split.x, column[split.train], split.x_test)
    scores = scores[:, np.searchsorted(values.known, values.scored)]
    return areas_under_roc(scores, column[split.test][:, None] == values.scored)


def _scores(classifier: str, x: Array, level: Array, x_test: Array) -> Array:
    """Return scores (m, V) of each test row for each value in the training rows."""
    if classifier == "one_vs_rest":
        with one_thread():
            weights, bias = logistic.one_vs_rest(x, level[:, None] == np.unique(level))
            return x_test @ weights.T + bias
    from sklearn.linear_model import LogisticRegression

    with one_thread():
        model = LogisticRegression(max_iter=1_000).fit(x, level)
        return np.asarray(model.predict_proba(x_test))
