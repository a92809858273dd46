"""The beta-VAE score, or z-diff: which factor two images share, from how their codes differ (Higgins et al. 2017)."""

# scikit-learn ships no types; what a classifier predicts is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level, variability
from metrics.codes.rows_by_level import Pool
from metrics.types import Array, Codes, Inputs, Score

_CHUNK = 1 << 20  # numbers gathered at a time
_CLASSIFIERS = ("logistic", "svm")
_REDUCTIONS = ("mean", "sum")


def beta_vae(
    inputs: Inputs,
    *,
    group: int = 64,
    train: int = 10_000,
    test: int = 5_000,
    classifier: Literal["logistic", "svm"] = "logistic",
    reduce: Literal["mean", "sum"] = "mean",
    standardise: bool = True,
    min_std: float = 0.05,
) -> Score:
    """Held-out accuracy of a linear classifier that names the factor which pairs of images share.

        z_diff = 1/L sum_l |mu(x_l1) - mu(x_l2)|, where x_l1 and x_l2 show the same level of factor k

    One example draws a factor k at random and `group` = L pairs; each pair has a level of its own, and is two
    different rows. A discrete latent differs by 1[c1 != c2], whatever its categories are called. Averages over many
    pairs make this an easy test: at L = 64 almost any code that keeps the factors on separate axes is at 1, and many
    that do not are above .9; at L = 1 the identity code of dSprites is at .90 to .92, since two images may share
    further factors by accident.

    Args:
        inputs: codes and factors.
        group: pairs of an example, L.
        train, test: examples to learn from and to judge.
        classifier: "logistic", multinomial, or "svm", one against the rest with squared hinge; both linear, with an
            L2 penalty of C = 1, and done in seconds.
        reduce: "mean" over pairs, or "sum": the same but for the penalty, where features are not standardised.
        standardise: features to mean 0 and deviation 1 of the training examples: the penalty makes the raw form
            depend on the scale of the code.
        min_std: latents whose standard deviation over all rows is smaller are dead and left out; of a discrete
            latent, the root of its Gini variance.

    Variants: `dlib` (Locatello et al. 2019): features as they are, no latent left out. Theirs is what scikit-learn
    took for a default then. `svm`: a support vector machine on standardised features. `trento`: sums, a linear
    support vector machine, features as they are, 10,000 examples; group and split of that lecture are not known to us.

    Returns:
        value: accuracy on the `test` examples; error: its binomial standard error, given the classifier.
        details: confusion (K, K) true x named factor over the scored ones, train_accuracy, mean_difference (K, d + m)
        the training features' mean by factor shared, before standardising (NaN for latents left out), active_latents,
        excluded. Without an active latent the value is chance, 1/K; with one factor 1; without any NaN; all with a
        reason.

    Raises:
        ValueError: an option outside its range.
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
    if len(pools) == 1 or not active.any():
        details["reason"] = (
            "no latent is active" if len(pools) > 1 else "one factor only: nothing to tell apart"
        )
        return Score(1 / len(pools), details=details, identity=identity)
    rng = np.random.default_rng(inputs.seed)
    learned, known = _examples(inputs.codes, active, list(pools.values()), train, group, rng)
    judged, truth = _examples(inputs.codes, active, list(pools.values()), test, group, rng)
    by_factor = np.full((len(pools), len(active)), math.nan)
    for k in np.unique(known):
        by_factor[k, active] = learned[known == k].mean(axis=0)
    details["mean_difference"] = by_factor
    if reduce == "sum":
        learned, judged = learned * group, judged * group
    if standardise:
        scale = learned.std(axis=0)
        centre, scale = learned.mean(axis=0), np.where(scale > 0, scale, 1.0)
        learned, judged = (learned - centre) / scale, (judged - centre) / scale
    train_named, named = _classify(classifier, learned, known, judged)
    accuracy = float((named == truth).mean())
    confusion = np.zeros((len(pools), len(pools)), dtype=np.int64)
    np.add.at(confusion, (truth, named), 1)
    details |= {"confusion": confusion, "train_accuracy": float((train_named == known).mean())}
    return Score(
        accuracy, math.sqrt(accuracy * (1 - accuracy) / test), details=details, identity=identity
    )


def _examples(
    codes: Codes,
    active: Array,
    pools: list[Pool],
    examples: int,
    group: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Mean differences (examples, a) of the active latents, and the position of the factor each example shares."""
    d = codes.mean.shape[1]
    means = codes.mean[:, active[:d]].astype(np.float64)
    categories = [
        c for c, used in zip(latents.discrete_columns(codes), active[d:], strict=True) if used
    ]
    factor = np.sort(rng.integers(len(pools), size=examples))
    parts: list[Array] = []
    step = max(1, _CHUNK // (group * (means.shape[1] + len(categories))))
    for position, pool in progress.steps(list(enumerate(pools)), "beta_vae: factor"):
        left = int((factor == position).sum())
        while left:
            first, second = rows_by_level.draw_pairs(pool, min(step, left), group, rng)
            left -= len(first)
            of_means = np.abs(means[first] - means[second]).mean(axis=1)
            of_categories = [(c[first] != c[second]).mean(axis=1)[:, None] for c in categories]
            parts.append(np.concatenate([of_means, *of_categories], axis=1))
    return np.concatenate(parts), factor


def _classify(classifier: str, learned: Array, known: Array, judged: Array) -> tuple[Array, Array]:
    """What a classifier fitted to the first calls the factors of both."""
    from sklearn.linear_model import (
        LogisticRegression,
    )  # a second of import that only classifiers need
    from sklearn.svm import LinearSVC

    if len(np.unique(known)) < 2:  # a handful of examples may all be of one factor
        return known, np.full(len(judged), known[0])
    # Newton's method takes some twenty steps where latents differ in scale and lbfgs, the default, takes thousands.
    newton = LogisticRegression(solver="newton-cg", max_iter=1_000)
    model = (
        newton
        if classifier == "logistic"
        else LinearSVC(dual="auto", max_iter=10_000, random_state=0)
    )
    model.fit(learned, known)
    return np.asarray(model.predict(learned)), np.asarray(model.predict(judged))


def _check(group: int, examples: tuple[int, int], classifier: str, reduce: str) -> None:
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
