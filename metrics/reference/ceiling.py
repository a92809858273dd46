"""Ceiling: the score of the best code, where one is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from metrics.reference.built_in_codes import (
    code_of_one_factor,
    codes_of_levels,
    codes_with_squares,
    factor_codes,
)
from metrics.reference.content import content
from metrics.types import Codes, Factors, Inputs, Metric

TOLERANCE = 0.05
"""A built-in code is the best one if it scores at most this much below what no code can exceed."""


class Ceiling(NamedTuple):
    """The score of the best code, or why it is not known."""

    value: float | None
    reason: str  # "" if there is a value
    of_factors: float | None  # score of codes that are the factors


_WIDE = 3.9
"""Half of the range of wide codes: inside the limits of quantised codes, -4 and 4."""

BUILT_IN_CODES: dict[str, Callable[[Factors, bool], Codes]] = {
    "factors": lambda factors, discrete: factor_codes(factors, discrete=discrete),
    "factors and squares": lambda factors, discrete: codes_with_squares(factors, discrete=discrete),
    "levels": lambda factors, discrete: codes_of_levels(factors, discrete=discrete),
    "one factor": lambda factors, discrete: code_of_one_factor(factors, discrete=discrete),
    "wide factors": lambda factors, discrete: factor_codes(
        factors, discrete=discrete, half_width=_WIDE
    ),
    "wide, sharp factors": lambda factors, discrete: factor_codes(
        factors, discrete=discrete, half_width=_WIDE, relative_std=1e-3
    ),
}
"""The codes that a ceiling may come from, by the names that `Metric.best_codes` uses."""

_cache: dict[tuple[Any, ...], Ceiling] = {}


def ceiling(name: str, metric: Metric, factors: Factors, options: Mapping[str, Any]) -> Ceiling:
    """Return the score of the best code, computed once per process.

    The metric's `best_codes` are scored one after another, until one is within `TOLERANCE` of the
    largest value that any code can reach (`Metric.bound`, or the end of the range). Its score is
    the ceiling. If none is, a better code may exist, and there is no ceiling: the score of the
    factors themselves is no bound. This happens if factors are correlated (one latent for two
    factors may then score higher than one latent for each), and if a score needs more than the
    factors in their order (`sap.dlib`).

    Args:
        name: of the metric, with its variant; part of the cache's key.
        metric: its row in the registry.
        factors: of the scored rows.
        options: of the metric, all of them.
    """
    key = (name, *content(factors), repr(sorted(options.items())))
    if key not in _cache:
        _cache[key] = _compute(metric, factors, options)
    return _cache[key]


def _compute(metric: Metric, factors: Factors, options: Mapping[str, Any]) -> Ceiling:
    bound = metric.range[1] if metric.bound is None else metric.bound(factors, options)
    values: list[float] = []
    for codes_name in metric.best_codes:
        codes = BUILT_IN_CODES[codes_name](factors, "discrete" in metric.needs)
        value = metric.function(Inputs(codes, factors), **options).value
        values.append(value)
        if value >= bound - TOLERANCE:
            return Ceiling(value, "", values[0])
    best = max(values)
    if math.isnan(best):
        return Ceiling(None, "no code can be scored on these factors", None)
    reason = f"the best code is not known: the factors themselves score {values[0]:.3g}"
    if best > values[0]:
        reason += f", another code {best:.3g}"
    return Ceiling(None, f"{reason}, and no code can exceed {bound:.3g}", values[0])
