"""Means over samples, made more precise by functions of the samples with known means.

A control c(z) has the mean 0. For a function f and every vector b,

    E f = E [f(z) - b . c(z)],

and the right side varies least if b is the regression of f on the controls. The estimate is
therefore the constant of the least-squares fit of f on (1, c) (Glasserman 2004, section 4.1), less
its bias. It is linear in f: estimates of several functions add up as the functions do.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from metrics.types import Array

_DEPENDENT = 1e-12
"""Relative eigenvalue below which controls count as linearly dependent on the others."""


class Estimate(NamedTuple):
    """Means of T functions.

    Args:
        means: (T,).
        errors: (T,) standard errors; infinity if there is one sample.
        coefficients: (k, T) b of each function.
    """

    means: Array
    errors: Array
    coefficients: Array


def estimate(functions: Array, controls: Array) -> Estimate:
    """Return means of functions over samples that lie in the order of their strata.

    The constant of the fit is a weighted sum of the samples, sum_s w_s f_s. Without sample s it is
    smaller by

        u_s = w_s e_s / (1 - h_s)

    with the residual e_s and the share h_s of f_s in its own fitted value. So sum_s u_s (1 - 1/S)
    is the bias that the fit on the same samples brings, by the jackknife; it is added back. The
    spread of u_s gives the standard error (HC3 of MacKinnon and White 1985). Neighbouring samples
    come from neighbouring strata or from the same image. What neighbours have in common hardly
    varies between draws, so only their differences count (collapsed strata; Wolter 2007, section
    2.5):

        error^2 = sum over pairs of (u_s - u_{s+1})^2

    Args:
        functions: (S, T).
        controls: (S, k), each with mean 0; k may be 0.
    """
    count = len(functions)
    size = np.sqrt(np.square(controls).mean(axis=0))
    varies = size > 0
    design = np.concatenate([np.ones((count, 1)), controls[:, varies] / size[varies]], axis=1)
    # No products of matrices: their last bit depends on the number of threads.
    values, vectors = np.linalg.eigh(np.einsum("sk,sl->kl", design, design))
    kept = values > _DEPENDENT * values[-1]
    inverse = np.einsum("ki,li->kl", vectors[:, kept] / values[kept], vectors[:, kept])
    fitted = np.einsum("kl,lt->kt", inverse, np.einsum("sk,st->kt", design, functions))
    coefficients = np.zeros((controls.shape[1], functions.shape[1]))
    coefficients[varies] = fitted[1:] / size[varies, None]
    if count == 1:
        return Estimate(fitted[0], np.full(functions.shape[1], math.inf), coefficients)
    projected = np.einsum("sk,kl->sl", design, inverse)
    leverage = np.minimum((projected * design).sum(axis=1), 1 - 1 / count)
    residuals = functions - np.einsum("sk,kt->st", design, fitted)
    added = residuals * (projected[:, 0] / (1 - leverage))[:, None]
    unbiased = fitted[0] + (1 - 1 / count) * added.sum(axis=0)
    return Estimate(unbiased, _errors(added), coefficients)


def _errors(added: Array) -> Array:
    """Return standard errors of sums over samples, (T,), from differences of neighbours.

    Args:
        added: (S, T) how much each sample adds to the sum, relative to its mean.
    """
    even = len(added) // 2 * 2
    squares = np.square(added[0:even:2] - added[1:even:2]).sum(axis=0)
    return np.sqrt(squares * (len(added) / even))
