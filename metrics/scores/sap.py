"""Separated attribute predictability (Kumar, Sattigeri and Balakrishnan 2018, section 3)."""

# scikit-learn ships no types: predictions are turned into arrays where they are used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from metrics.codes import latents
from metrics.prediction.row_splits import held_out, one_thread, share_error
from metrics.progress import steps
from metrics.types import Array, Inputs, Score

_MIN_VARIANCE = 1e-12  # a latent with a smaller variance has R² = 0
_C = 0.01  # penalty of the published classifier


class _Protocol(NamedTuple):
    """How one of the two protocols describes itself."""

    estimator: str
    rows: str


_PROTOCOLS = {
    "r2": _Protocol("R² of one latent", "the given rows"),
    "dlib": _Protocol("linear classifier of one latent, held out", "the training rows"),
}


def sap(
    inputs: Inputs,
    *,
    protocol: Literal["r2", "dlib"] = "r2",
    train_rows: int = 10_000,
    test_rows: int = 5_000,
) -> Score:
    """Return the mean gap between the two single latents that predict a factor best.

        SAP = 1/K sum_k [S(j1, k) - S(j2, k)]

    with j1 and j2 the latents of largest S(., k). There are two kinds of S, which are not the same
    number:

    - r2: R² of a regression of the level on the latent, Cov² / (Var Var), over all rows; 0 if
      Var <= 1e-12. For a discrete latent the regression is on its categories (the correlation
      ratio). Levels count as numbers. This suits ordered factors; for others the score depends on
      how the levels are numbered.
    - dlib: accuracy on held-out rows of a linear support vector classifier with one latent
      (C = .01, balanced classes; Locatello et al. 2019, appendix B). It cannot separate many
      ordered levels from one number, and it depends on scale and offset of the latents: the
      factors' own codes score from .1 to .3 on dSprites. Compare it with its ceiling.

    Args:
        inputs: codes (means and discrete codes) and factors.
        protocol: see above.
        train_rows, test_rows: for the classifiers, drawn without replacement; a smaller set is
            divided in that proportion. "r2" ignores them.

    Returns:
        value: the mean gap, in [0, 1].
        error: None for "r2"; for "dlib" an upper bound on the standard error over test rows (the
            accuracies are taken as independent).
        details:
            predictability: (latents, K) S.
            gaps: (K,), NaN for excluded factors.
            best_latents: (K,) j1, -1 for excluded factors.
            excluded: factors with only one level.
        If no latent predicts any factor, or no factor varies (the value is then NaN), there is a
        reason.

    Raises:
        ValueError: the protocol is unknown, or there are too few rows to train and to test on.
    """
    assert inputs.factors is not None, "score() checks needs"
    factors = inputs.factors
    if protocol not in _PROTOCOLS:
        raise ValueError(f"sap: protocol must be 'r2' or 'dlib', got {protocol!r}")
    train = np.arange(len(factors))
    test = train
    if protocol == "dlib":
        rng = np.random.default_rng(inputs.seed)
        train, test = held_out(
            "sap", len(factors), train_rows=train_rows, test_rows=test_rows, rng=rng
        )
    varies = np.array([len(np.unique(column)) > 1 for column in factors.values[train].T], bool)
    kept = np.flatnonzero(varies)
    matrix = np.zeros((latents.count(inputs.codes), len(factors.names)))
    if protocol == "r2":
        matrix[:, kept] = _determination(inputs, factors.values[:, kept].astype(np.float64))
    else:
        matrix[:, kept] = _accuracies(inputs, factors.values[:, kept], train, test)
    first, second = _top_two(matrix)
    words = _PROTOCOLS[protocol]
    excluded: dict[str, str] = {}
    for name, factor_varies in zip(factors.names, varies, strict=True):
        if not factor_varies:
            excluded[name] = f"one level only in {words.rows}"
    details: dict[str, Any] = {
        "predictability": matrix,
        "gaps": np.where(varies, first - second, np.nan),
        "best_latents": np.where(varies, matrix.argmax(axis=0), -1),
        "excluded": excluded,
    }
    identity = {"estimator": words.estimator, "scored": [factors.names[k] for k in kept]}
    if not len(kept):
        details["reason"] = f"every factor is constant in {words.rows}"
        return Score(math.nan, details=details, identity=identity)
    if not matrix.any():
        details["reason"] = "no latent predicts any factor"
    error = None
    if protocol == "dlib":
        errors = [share_error(float(s), len(test)) for s in [*first[varies], *second[varies]]]
        error = float(np.linalg.norm(errors) / len(kept))
    return Score(float((first - second)[varies].mean()), error, details=details, identity=identity)


def _determination(inputs: Inputs, levels: Array) -> Array:
    """Return R² of every factor on every latent, (latents, K), from levels (N, K)."""
    y = levels - levels.mean(axis=0)
    total = (y**2).sum(axis=0)
    x = inputs.codes.mean.astype(np.float64)
    x -= x.mean(axis=0)
    spread = (x**2).sum(axis=0)
    varies = spread / len(x) > _MIN_VARIANCE
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
    blocks = [(x.T @ y) ** 2 * scale[:, None] / total]
    for column in latents.discrete_columns(inputs.codes):
        counts = np.bincount(column)
        sums = np.zeros((len(counts), y.shape[1]))
        for k, factor in enumerate(y.T):
            sums[:, k] = np.bincount(column, weights=factor)
        blocks.append(((sums**2 / counts[:, None]).sum(axis=0) / total)[None])
    return np.concatenate(blocks).clip(0.0, 1.0)  # rounding may exceed 1


def _accuracies(inputs: Inputs, levels: Array, train: Array, test: Array) -> Array:
    """Return the held-out accuracy of every single latent for every factor: (latents, K)."""
    from sklearn.svm import LinearSVC

    features = latents.features(inputs.codes)
    accuracy = np.zeros((latents.count(inputs.codes), levels.shape[1]))
    for j in steps(range(len(accuracy)), "sap: latent"):
        x = features.columns[:, features.latent == j]
        for k, level in enumerate(levels.T):
            # The primal problem has the same solution as the dual one, but only one or two
            # variables per class; the dual one has one per training row.
            classifier = LinearSVC(C=_C, class_weight="balanced", dual=False, random_state=0)
            with one_thread():
                classifier.fit(x[train], level[train])
                predicted = np.asarray(classifier.predict(x[test]))
            accuracy[j, k] = np.mean(predicted == level[test])
    return accuracy


def _top_two(matrix: Array) -> tuple[Array, Array]:
    """Return the largest and the second largest entry of every column; missing ones are 0."""
    padded = np.concatenate([matrix, np.zeros((2, matrix.shape[1]))])
    second, first = np.sort(padded, axis=0)[-2:]
    return first, second
