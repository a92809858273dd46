"""Separated attribute predictability (Kumar, Sattigeri and Balakrishnan 2018, section 3)."""

# scikit-learn ships no types; what comes out of a classifier is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from metrics.codes import latents
from metrics.prediction.row_splits import held_out, one_thread
from metrics.progress import steps
from metrics.types import Array, Factors, Inputs, Score

_MIN_VARIANCE = 1e-12  # of a latent that has an R²; below it is 0
_C = 0.01  # of the classifier, as published with it


def sap(
    inputs: Inputs,
    *,
    protocol: Literal["r2", "dlib"] = "r2",
    train_rows: int = 10_000,
    test_rows: int = 5_000,
) -> Score:
    """Gap between the two single latents that predict a factor best, averaged over factors.

        SAP = 1/K sum_k [S(j1, k) - S(j2, k)]

    with j1 and j2 the latents of largest S(., k). Two kinds of S, which are not the same number:

    - r2: R² of a regression of the level on the latent, Cov² / (Var Var), over all rows; 0 if Var <= 1e-12. For a
      discrete latent the regression is on its categories (the correlation ratio). Levels count as numbers: right
      for ordered factors, and for others it depends on how they are numbered.
    - dlib: accuracy on held-out rows of a linear support vector classifier with one latent (C = .01, balanced
      classes; Locatello et al. 2019, appendix B). It cannot label many ordered levels from one number, and depends on
      the latents' scale and offset: the factors' own codes score from .1 to .3 on dSprites. Read it against its
      ceiling.

    Args:
        inputs: codes (means and discrete codes) and factors.
        protocol: as above.
        train_rows, test_rows: of the classifiers, drawn without replacement; a smaller set is divided in that
            proportion. Not used by r2.

    Returns:
        value: the mean gap, in [0, 1]; error: None for r2; for dlib the standard error of the accuracies over test
        rows, at most (as if they were independent).
        details: predictability (latents, K), gaps (K,) NaN for excluded factors, best_latents (K,), excluded.

    Raises:
        ValueError: unknown protocol, or too few rows to train and to test on.
    """
    assert inputs.factors is not None, "score() checks needs"
    factors = inputs.factors
    rows = tested = np.arange(len(factors))
    if protocol == "dlib":
        rng = np.random.default_rng(inputs.seed)
        rows, tested = held_out(
            "sap", len(factors), train_rows=train_rows, test_rows=test_rows, rng=rng
        )
    elif protocol != "r2":
        raise ValueError(f"sap: protocol must be 'r2' or 'dlib', got {protocol!r}")
    varies = np.array([len(np.unique(column)) > 1 for column in factors.values[rows].T], dtype=bool)
    names = [name for name, kept in zip(factors.names, varies, strict=True) if kept]
    where = "the given rows" if protocol == "r2" else "the training rows"
    kept = np.flatnonzero(varies)
    matrix = np.zeros((latents.count(inputs.codes), len(factors.names)))
    if protocol == "r2":
        matrix[:, kept] = _determination(inputs, factors.values[:, kept].astype(np.float64))
    else:
        matrix[:, kept] = _accuracies(inputs, factors.values[:, kept], rows, tested)
    first, second = _top_two(matrix)
    details: dict[str, Any] = {
        "predictability": matrix,
        "gaps": np.where(varies, first - second, np.nan),
        "best_latents": np.where(varies, matrix.argmax(axis=0), -1),
        "excluded": _excluded(factors, varies, f"one level only in {where}"),
    }
    estimator = (
        "R² of one latent" if protocol == "r2" else "linear classifier of one latent, held out"
    )
    identity = {"estimator": estimator, "scored": names}
    if not names:
        details["reason"] = f"every factor is constant in {where}"
        return Score(math.nan, details=details, identity=identity)
    if not matrix.any():
        details["reason"] = "no latent predicts any factor"
    error = None
    if protocol == "dlib":
        variances = (first * (1 - first) + second * (1 - second))[varies] / len(tested)
        error = float(np.sqrt(variances.sum()) / len(names))
    return Score(float((first - second)[varies].mean()), error, details=details, identity=identity)


def _determination(inputs: Inputs, levels: Array) -> Array:
    """R² of every level (N, K) on every latent: (latents, K)."""
    y = levels - levels.mean(axis=0)
    total = (y**2).sum(axis=0)
    x = inputs.codes.mean.astype(np.float64)
    x -= x.mean(axis=0)
    spread = (x**2).sum(axis=0)
    alive = spread / len(x) > _MIN_VARIANCE
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=alive)
    blocks = [(x.T @ y) ** 2 * scale[:, None] / total]
    for column in latents.discrete_columns(inputs.codes):
        counts = np.bincount(column)
        sums = (
            np.stack([np.bincount(column, weights=of_factor) for of_factor in y.T], axis=1)
            if y.size
            else np.zeros((len(counts), 0))
        )
        blocks.append(((sums**2 / counts[:, None]).sum(axis=0) / total)[None])
    return np.concatenate(blocks).clip(0.0, 1.0)  # a rounding above 1


def _accuracies(inputs: Inputs, levels: Array, rows: Array, tested: Array) -> Array:
    """Held-out accuracy of every latent alone for every factor: (latents, K)."""
    from sklearn.svm import LinearSVC

    features = latents.features(inputs.codes)
    accuracy = np.zeros((latents.count(inputs.codes), levels.shape[1]))
    for j in steps(range(len(accuracy)), "sap: latent"):
        x = features.columns[:, features.latent == j]
        for k, level in enumerate(levels.T):
            with one_thread():
                # The primal problem has the same solution, and one or two variables per class instead of `rows`.
                classifier = LinearSVC(
                    C=_C, class_weight="balanced", dual=False, random_state=0
                ).fit(x[rows], level[rows])
                accuracy[j, k] = np.mean(np.asarray(classifier.predict(x[tested])) == level[tested])
    return accuracy


def _top_two(matrix: Array) -> tuple[Array, Array]:
    """The largest and the second largest of every column; a single latent has a dead one beside it."""
    padded = np.concatenate([matrix, np.zeros((2, matrix.shape[1]))])
    second, first = np.sort(padded, axis=0)[-2:]
    return first, second


def _excluded(factors: Factors, varies: Array, why: str) -> dict[str, str]:
    return {name: why for name, kept in zip(factors.names, varies, strict=True) if not kept}
