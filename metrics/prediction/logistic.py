"""Many two-class logistic regressions on the same rows, by Newton's method."""

from __future__ import annotations

import numpy as np

from metrics.types import Array

_STEPS = 100  # Newton's steps at most
# A step that changes no weight by more is the last; weights are of order 1 on standardised columns.
_SMALL = 1e-6
_HALVINGS = 30  # of one step at most
_NUMBERS = 1 << 20  # products of columns in memory at a time


def one_vs_rest(x: Array, positive: Array, *, penalty: float = 1.0) -> tuple[Array, Array]:
    """Return weights and intercepts of the regression of every column of `positive` on x.

    For each column it minimises

        sum_n log(1 + exp(-s_n (w·x_n + b))) + penalty/2 |w|²,    s_n = ±1,

    the loss of scikit-learn's LogisticRegression with C = 1 / penalty. The loss is strictly convex
    in w, so Newton's method with halved steps converges, on separable data too. All columns are
    computed together until each is done.

    Args:
        x: (N, D) predictors, standardised.
        positive: (N, V) booleans, some True and some False in every column.
        penalty: > 0.

    Returns:
        weights (V, D), intercepts (V,).
    """
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    ridge = np.full(design.shape[1], penalty)
    ridge[-1] = 0.0
    target = positive.astype(np.float64)
    # Start from the best intercepts without predictors: rare values then start where the loss has
    # curvature.
    share = target.mean(axis=0)
    weights = np.zeros((positive.shape[1], design.shape[1]))
    weights[:, -1] = np.log(share / (1 - share))
    unfinished = np.arange(len(weights))
    for _ in range(_STEPS):
        moved = _step(design, target[:, unfinished], weights[unfinished], ridge)
        change = np.abs(moved - weights[unfinished]).max(axis=1)
        weights[unfinished] = moved
        unfinished = unfinished[change >= _SMALL]
        if not len(unfinished):
            break
    return weights[:, :-1], weights[:, -1]


def _step(design: Array, target: Array, weights: Array, ridge: Array) -> Array:
    """Return weights (V, D + 1) after a Newton step, halved until no column's loss rises."""
    logits = design @ weights.T
    p = 0.5 + 0.5 * np.tanh(0.5 * logits)
    gradient = (p - target).T @ design + weights * ridge
    # The intercept has no penalty. If a column is separated perfectly, its curvature would be 0.
    curvature = _curvatures(design, p * (1 - p)) + np.diag(np.maximum(ridge, 1e-9))
    step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
    before, slope = _losses(logits, target, weights, ridge), design @ step.T
    for _ in range(_HALVINGS):
        after = _losses(logits - slope, target, weights - step, ridge)
        worse = after > before * (1 + 1e-9)  # 1e-9: rounding of the sum
        if not worse.any():
            break
        step[worse] /= 2
        slope[:, worse] /= 2
    return weights - step


def _losses(logits: Array, target: Array, weights: Array, ridge: Array) -> Array:
    """Return the loss of every column, (V,)."""
    # log(1 + exp(t)) without overflow, in the fewest passes over the array
    softplus = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits)))
    return (softplus - target * logits).sum(axis=0) + 0.5 * (weights**2) @ ridge


def _curvatures(design: Array, spread: Array) -> Array:
    """Return sum_n spread[n, v] x_n x_nᵀ for every v: (V, D + 1, D + 1).

    It takes one matrix product per block of rows.
    """
    width = design.shape[1]
    total = np.zeros((spread.shape[1], width * width))
    block = max(1, _NUMBERS // (width * width))
    for start in range(0, len(design), block):
        rows = slice(start, start + block)
        products = design[rows, :, None] * design[rows, None, :]
        total += spread[rows].T @ products.reshape(-1, width * width)
    return total.reshape(-1, width, width)
