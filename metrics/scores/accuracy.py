"""Unsupervised clustering accuracy: does a discrete code sort images as a factor does?

The names of the categories do not matter.
"""

# scipy ships no types: the result of the assignment is turned into arrays where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics import progress
from metrics.codes import latents
from metrics.near_names import did_you_mean
from metrics.types import Array, Codes, Factors, Inputs, Score

_USUAL_NAMES = ("shape", "label", "class", "digit")


def accuracy(inputs: Inputs, *, factor: str | None = None) -> Score:
    """Return the share of images that the best matching of categories with levels gets right.

        accuracy = max over matchings pi of 1/N sum_n 1[ pi(c_n) = v_n ]

    A matching pi is one-to-one between categories c and levels v. The best one is found exactly,
    as an assignment over the table of counts (Kuhn 1955). Categories and levels may differ in
    number: images of a category or a level without a partner count as wrong. Several discrete
    latents are not combined: each is matched alone, and the best one gives the value.

    The maximum over matchings and over latents is biased upward on few images, so compare the
    value with its chance level (on all of dSprites with three categories it is 1/3 to three
    digits). A code with one category scores the share of the most frequent level.

    Args:
        inputs: discrete codes and factors; continuous latents are not read.
        factor: the name of the factor. None takes the first of "shape", "label", "class", "digit"
            that varies, or else the first factor that varies.

    Returns:
        value: in [0, 1], exact for the given rows.
        details:
            factor: the name of the scored factor.
            latent: the best latent, counted after the continuous ones.
            accuracies: (m,) accuracy of every discrete latent.
            confusion, categories, levels: of the best latent, the counts (categories, levels) and
                the category of each row and the level of each column.
            matching: (n, 2) of the best latent, pairs of a category and a level.
            excluded: constant factors and constant latents.
        The value is NaN, with a reason, if the factor is constant.

    Raises:
        ValueError: no factor has the name `factor`.
    """
    factors, discrete = inputs.factors, inputs.codes.discrete
    assert factors is not None, "score() checks needs"
    assert discrete is not None, "score() checks needs"
    varies: dict[str, bool] = {}
    for name, column in zip(factors.names, factors.values.T, strict=True):
        varies[name] = bool(np.ptp(column))
    chosen = _choose(factors, varies, factor)
    details: dict[str, Any] = {"factor": chosen, "excluded": _excluded(inputs.codes, varies)}
    identity: dict[str, Any] = {"estimator": "best matching", "scored": []}
    if chosen is None or not varies[chosen]:
        all_constant = chosen is None or not any(varies.values())
        subject = "every factor" if all_constant else f"factor {chosen!r}"
        details["reason"] = f"{subject} is constant in the given rows"
        return Score(math.nan, details=details, identity=identity)
    identity["scored"] = [chosen]
    level_of_row = factors.values[:, factors.names.index(chosen)]
    accuracies = np.zeros(discrete.shape[1])
    matchings: list[dict[str, Array]] = []
    for j, column in progress.steps(list(enumerate(discrete.T)), "accuracy: latent"):
        accuracies[j], matching = _match_levels(column, level_of_row)
        matchings.append(matching)
    best = int(accuracies.argmax())
    details |= matchings[best]
    details |= {"latent": inputs.codes.mean.shape[1] + best, "accuracies": accuracies}
    return Score(float(accuracies[best]), details=details, identity=identity)


def match(counts: Array) -> tuple[Array, Array]:
    """Return rows and columns of the one-to-one matching with the largest sum of counts.

    The matching has as many pairs as the shorter side of the table has entries.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    return np.asarray(rows), np.asarray(columns)


def _match_levels(category_of_row: Array, level_of_row: Array) -> tuple[float, dict[str, Array]]:
    """Return the accuracy of one discrete latent, and the details of its best matching."""
    levels, level = np.unique(level_of_row, return_inverse=True)
    categories, category = np.unique(category_of_row, return_inverse=True)
    cells = len(categories) * len(levels)
    counts = np.bincount(category * len(levels) + level, minlength=cells)
    confusion = counts.reshape(len(categories), len(levels))
    rows, columns = match(confusion)
    matching = {
        "confusion": confusion,
        "categories": categories,
        "levels": levels,
        "matching": np.stack([categories[rows], levels[columns]], axis=1),
    }
    return confusion[rows, columns].sum() / len(level), matching


def _excluded(codes: Codes, varies: dict[str, bool]) -> dict[str, str]:
    """Return constant factors and constant discrete latents, each with the reason."""
    assert codes.discrete is not None
    excluded: dict[str, str] = {}
    for name, factor_varies in varies.items():
        if not factor_varies:
            excluded[name] = "one level only in the given rows"
    discrete_names = latents.names(codes)[codes.mean.shape[1] :]
    for name, column in zip(discrete_names, codes.discrete.T, strict=True):
        if not np.ptp(column):
            excluded[name] = "one category only"
    return excluded


def _choose(factors: Factors, varies: dict[str, bool], factor: str | None) -> str | None:
    """Return the name of the factor to score; None if it is not given and no factor varies.

    Raises:
        ValueError: no factor has the given name.
    """
    if factor is None:
        varying = [name for name in varies if varies[name]]
        usual = [name for name in _USUAL_NAMES if name in varying]
        candidates = usual + varying
        return candidates[0] if candidates else None
    if factor not in varies:
        hint = did_you_mean(factor, factors.names)
        raise ValueError(f"unknown factor {factor!r}{hint} known: {', '.join(factors.names)}")
    return factor
