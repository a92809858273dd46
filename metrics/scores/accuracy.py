"""Unsupervised clustering accuracy: how many images a discrete code sorts as a factor does, names aside."""

# scipy ships no types; what comes out of the assignment is made an array where it is used.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import difflib
import math
from typing import Any

import numpy as np

from metrics import progress
from metrics.codes import latents
from metrics.types import Array, Factors, Inputs, Score

_USUAL = ("shape", "label", "class", "digit")


def accuracy(inputs: Inputs, *, factor: str | None = None) -> Score:
    """Share of images whose category is matched with their level, under the best one-to-one matching.

        max over matchings pi of 1/N sum_n 1[ pi(c_n) = v_n ],

    found exactly, as an assignment over the table of counts (Kuhn 1955). Categories and levels may differ in number:
    what finds no partner counts as wrong. Of several discrete latents the best one is taken alone. The maximum over
    matchings, and over latents, is biased upward on few images: read it against its chance level (on all of dSprites
    with three categories 1/3 to three digits). A code of one category scores the share of the most frequent level.

    Args:
        inputs: discrete codes and factors; continuous latents are not read.
        factor: the name of the factor; None takes the first of "shape", "label", "class", "digit" that varies, or
            else the first factor that varies.

    Returns:
        value: in [0, 1], exact for the given rows. details: factor, latent (counted after the continuous ones),
        accuracies (m,) of every discrete latent; of the best one confusion (categories, levels) counts, categories,
        levels, matching (n, 2) pairs of a category and a level; excluded: constant factors, constant latents. NaN with
        a reason if the factor is constant.

    Raises:
        ValueError: no factor of that name.
    """
    factors, discrete = inputs.factors, inputs.codes.discrete
    assert factors is not None, "score() checks needs"
    assert discrete is not None, "score() checks needs"
    varies = {
        name: bool(np.ptp(column))
        for name, column in zip(factors.names, factors.values.T, strict=True)
    }
    chosen = _choose(factors, varies, factor)
    constant = {
        name: "one level only in the given rows" for name, moves in varies.items() if not moves
    }
    names = latents.names(inputs.codes)[inputs.codes.mean.shape[1] :]
    dead = {
        name: "one category only"
        for name, column in zip(names, discrete.T, strict=True)
        if not np.ptp(column)
    }
    details: dict[str, Any] = {"factor": chosen, "excluded": constant | dead}
    identity = {
        "estimator": "best matching",
        "scored": [chosen] if chosen is not None and varies[chosen] else [],
    }
    if chosen is None or not varies[chosen]:
        whole = chosen is None or not any(varies.values())
        what = "every factor" if whole else f"factor {chosen!r}"
        details["reason"] = f"{what} is constant in the given rows"
        return Score(math.nan, details=details, identity=identity)
    levels, level = np.unique(factors.values[:, factors.names.index(chosen)], return_inverse=True)
    accuracies, best = np.zeros(discrete.shape[1]), -1
    for j, column in progress.steps(list(enumerate(discrete.T)), "accuracy: latent"):
        categories, category = np.unique(column, return_inverse=True)
        counts = np.bincount(
            category * len(levels) + level, minlength=len(categories) * len(levels)
        )
        confusion = counts.reshape(len(categories), len(levels))
        rows, columns = match(confusion)
        accuracies[j] = confusion[rows, columns].sum() / len(level)
        if best < 0 or accuracies[j] > accuracies[best]:
            best = j
            matching = np.stack([categories[rows], levels[columns]], axis=1)
            details |= {
                "confusion": confusion,
                "categories": categories,
                "levels": levels,
                "matching": matching,
            }
    details |= {"latent": inputs.codes.mean.shape[1] + best, "accuracies": accuracies}
    return Score(float(accuracies[best]), details=details, identity=identity)


def match(counts: Array) -> tuple[Array, Array]:
    """Rows and columns of the one-to-one matching with the largest sum of counts; as many as the shorter side has."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    return np.asarray(rows), np.asarray(columns)


def _choose(factors: Factors, varies: dict[str, bool], factor: str | None) -> str | None:
    if factor is None:
        candidates = [
            *(name for name in _USUAL if varies.get(name)),
            *(name for name in varies if varies[name]),
        ]
        return candidates[0] if candidates else None
    if factor not in varies:
        near = difflib.get_close_matches(factor, factors.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"unknown factor {factor!r}{hint} known: {', '.join(factors.names)}")
    return factor
