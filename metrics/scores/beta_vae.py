"""The beta-VAE score, or z-diff (Higgins et al. 2017): which factor do two images share?

A classifier answers this from the differences of their codes.
"""

# scikit-learn ships no types: predictions are turned into arrays where they are used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level, variability
from metrics.codes.rows_by_level import Pool
from metrics.prediction.row_splits import share_error
from metrics.types import Array, Codes, Inputs, Score

_CHUNK = 1 << 20  # numbers gathered at a time
_CLASSIFIERS = ("logistic", "svm")
_REDUCTIONS = ("mean", "sum")


class _Examples(NamedTuple):
    """Examples for the classifier."""

    features: Array  # (examples, a) mean differences of the a active latents
    factor: Array  # (examples,) which factor each example shares, as an index into the pools


def beta_vae(
    inputs: Inputs,
    *,
    group: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    classifier: Literal["logistic", "svm"] = "logistic",
    reduce: Literal["mean", "sum"] = "mean",
    standardise: bool = True,
    min_std: float = 0.0,
) -> Score:
    """Return the held-out accuracy of a linear classifier of the factor that two images share.

        z_diff = 1/L sum_l |mu(x_l1) - mu(x_l2)|

    with two images x_l1 and x_l2 that show the same level of factor k (Higgins et al. 2017). One
    example draws a factor k at random and `group` = L pairs. Each pair has a level of its own and
    consists of two different rows. A discrete latent has the difference 1[c1 != c2], which
    does not depend on the names of its categories.

    The test is easy, because it averages over many pairs: at L = 64 almost any code that keeps
    the factors on separate axes is at 1, and many codes that do not are above .9. At L = 1 the
    identity code of dSprites is at .90 to .92, because two images may share further factors by
    accident.

    Args:
        inputs: codes and factors.
        group: pairs per example, L.
        train, test: numbers of examples to train and to test on.
        classifier: "logistic", a multinomial regression, or "svm", one against the rest with
            squared hinge. Both are linear with an L2 penalty of C = 1, and take seconds.
        reduce: "mean" over pairs, or "sum". The two differ only in the effect of the penalty, and
            only if features are not standardised.
        standardise: scale features to mean 0 and deviation 1 of the training examples. Without
            it, the penalty makes the score depend on the scale of the code.
        min_std: a latent with a smaller standard deviation over all rows is left out as well, at
            any information. For a discrete latent this is the root of its Gini variance.

    Variants:
        `dlib` (Locatello et al. 2019): raw features, no latent left out. Their classifier used the
        defaults of the scikit-learn release of that time.
        `svm`: a support vector machine on standardised features.
        `trento`: sums, a linear support vector machine, raw features, 10,000 examples. We do not
        know the group and the split of that lecture.

    Returns:
        value: accuracy on the `test` examples.
        error: its binomial standard error, given the classifier (`share_error`).
        details:
            confusion: (K, K) counts, true x predicted factor, over the scored factors.
            train_accuracy: accuracy on the training examples.
            mean_difference: (K, d + m) mean of the training features by shared factor, before
                they are standardised; NaN for latents left out.
            active_latents: (d + m,) which latents take part.
            excluded: factors and latents left out.
        The value is chance, 1/K, without an active latent; 1 with one factor; NaN without any
        factor. All three come with a reason.

    Raises:
        ValueError: an option is outside its range.
    """
    assert inputs.factors is not None, "score() checks needs"
    _check(group, (train, test), classifier, reduce)
    names, pools = inputs.factors.names, rows_by_level.pools(inputs.factors)
    active, dead = variability.active(inputs.codes, min_std=min_std)
    details: dict[str, Any] = {
        "active_latents": active,
        "excluded": rows_by_level.excluded(inputs.factors, pools) | dead,
    }
    identity = {
        "estimator": f"pairs that share a level, {classifier}",
        "scored": [names[k] for k in pools],
    }
    if not pools:
        details["reason"] = "every factor is constant, or shows no two levels with two rows each"
        return Score(math.nan, details=details, identity=identity)
    if len(pools) == 1:
        details["reason"] = "one factor only: there is no other factor to confuse it with"
        return Score(1.0, details=details, identity=identity)
    if not active.any():
        details["reason"] = "no latent is active"
        return Score(1 / len(pools), details=details, identity=identity)
    rng = np.random.default_rng(inputs.seed)
    training = _draw_examples(inputs.codes, active, list(pools.values()), train, group, rng)
    testing = _draw_examples(inputs.codes, active, list(pools.values()), test, group, rng)
    details["mean_difference"] = _mean_by_factor(training, active, factors=len(pools))
    training_features, test_features = training.features, testing.features
    if reduce == "sum":
        training_features, test_features = training_features * group, test_features * group
    if standardise:
        training_features, test_features = _standardised(training_features, test_features)
    train_predicted, predicted = _classify(
        classifier, training_features, training.factor, test_features
    )
    accuracy = float((predicted == testing.factor).mean())
    confusion = np.zeros((len(pools), len(pools)), dtype=np.int64)
    np.add.at(confusion, (testing.factor, predicted), 1)
    details["confusion"] = confusion
    details["train_accuracy"] = float((train_predicted == training.factor).mean())
    error = share_error(accuracy, test)
    return Score(accuracy, error, details=details, identity=identity)


def _draw_examples(
    codes: Codes,
    active: Array,
    pools: list[Pool],
    examples: int,
    group: int,
    rng: np.random.Generator,
) -> _Examples:
    """Return examples, sorted by the factor that they share."""
    d = codes.mean.shape[1]
    means = codes.mean[:, active[:d]].astype(np.float64)
    categories: list[Array] = []
    for column, is_active in zip(latents.discrete_columns(codes), active[d:], strict=True):
        if is_active:
            categories.append(column)
    factor = np.sort(rng.integers(len(pools), size=examples))
    parts: list[Array] = []
    step = max(1, _CHUNK // (group * (means.shape[1] + len(categories))))
    for index, pool in progress.steps(list(enumerate(pools)), "beta_vae: factor"):
        remaining = int((factor == index).sum())
        while remaining:
            first, second = rows_by_level.draw_pairs(pool, min(step, remaining), group, rng)
            remaining -= len(first)
            of_means = np.abs(means[first] - means[second]).mean(axis=1)
            of_categories = [(c[first] != c[second]).mean(axis=1)[:, None] for c in categories]
            parts.append(np.concatenate([of_means, *of_categories], axis=1))
    return _Examples(np.concatenate(parts), factor)


def _mean_by_factor(examples: _Examples, active: Array, *, factors: int) -> Array:
    """Return the mean features by shared factor, (K, d + m); NaN for latents left out."""
    by_factor = np.full((factors, len(active)), math.nan)
    for k in np.unique(examples.factor):
        by_factor[k, active] = examples.features[examples.factor == k].mean(axis=0)
    return by_factor


def _standardised(train: Array, test: Array) -> tuple[Array, Array]:
    """Return both with the columns of `train` at mean 0 and deviation 1; constant ones at 0."""
    deviation = train.std(axis=0)
    centre, scale = train.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
    return (train - centre) / scale, (test - centre) / scale


def _classify(
    classifier: str, train: Array, train_factor: Array, test: Array
) -> tuple[Array, Array]:
    """Return the factors that a classifier fitted to `train` predicts for `train` and `test`."""
    # This import takes a second, and only classifiers need it.
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if len(np.unique(train_factor)) < 2:  # a handful of examples may all share one factor
        return train_factor, np.full(len(test), train_factor[0])
    if classifier == "logistic":
        # If latents differ in scale, Newton's method takes some twenty steps, and lbfgs, the
        # default, takes thousands.
        model = LogisticRegression(solver="newton-cg", max_iter=1_000)
    else:
        model = LinearSVC(dual="auto", max_iter=10_000, random_state=0)
    model.fit(train, train_factor)
    return np.asarray(model.predict(train)), np.asarray(model.predict(test))


def _check(group: int, examples: tuple[int, int], classifier: str, reduce: str) -> None:
    """Raise ValueError if an option is outside its range."""
    if group < 1:
        raise ValueError(f"group must be >= 1 pair, got {group}")
    if min(examples) < 1:
        raise ValueError(
            f"train and test must be >= 1 example, got {examples[0]} and {examples[1]}"
        )
    if classifier not in _CLASSIFIERS:
        raise ValueError(f"classifier must be one of {', '.join(_CLASSIFIERS)}, got {classifier!r}")
    if reduce not in _REDUCTIONS:
        raise ValueError(f"reduce must be one of {', '.join(_REDUCTIONS)}, got {reduce!r}")
