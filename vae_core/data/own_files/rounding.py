"""Finds values that differ only by rounding: 0.3 and 0.1 * 3, or 0.1 as float32 and as float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLOAT32, _FLOAT64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
_STEPS = 4
"""Sums and products of a few terms end at most about this many steps of the precision apart."""
_SEPARATION = 10
"""Levels must lie this many times further apart than the values that become one level."""

_WRITTEN_DIGITS = 12
"""A value with more digits was computed, and not written by a user."""


def groups(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the group of each value, numbered from 0; values of one group differ by rounding.

    Two neighbours differ by rounding if they are at most four steps of float64 apart (around 0:
    steps at the largest value), or at most four steps of float32 and one of them comes from a
    float32 number: the other's, or one with many digits. The differences may be real, and every
    value is a group, if the groups do not lie clearly further apart than the values in them, or if
    there would be a single group and one value is not the float32 number of its neighbour.

    Args:
        values: (n,) finite and distinct, in ascending order.
    """
    every_value = np.arange(len(values))
    if len(values) < 2:
        return every_value
    gaps = np.diff(values)
    magnitudes = np.maximum(np.abs(values[:-1]), np.abs(values[1:]))
    around_0 = (values[:-1] <= 0) & (values[1:] >= 0)
    tiny = gaps <= _STEPS * _FLOAT64 * np.where(around_0, magnitudes.max(), magnitudes)
    near = gaps <= _STEPS * _FLOAT32 * magnitudes
    joined = tiny.copy()
    for k in np.flatnonzero(near & ~tiny).tolist():
        joined[k] = _from_float32(float(values[k]), float(values[k + 1]))
    if not joined.any():
        return every_value
    ends = ~joined
    if not ends.any():
        pairs = zip(values[:-1].tolist(), values[1:].tolist(), tiny.tolist(), strict=True)
        certain = all(is_tiny or _is_float32_of(*pair) for *pair, is_tiny in pairs)
        return np.zeros_like(every_value) if certain else every_value
    first = values[np.concatenate([[True], ends])]
    last = values[np.concatenate([ends, [True]])]
    if gaps[ends].min() < _SEPARATION * (last - first).max():
        return every_value
    return np.concatenate([[0], np.cumsum(ends)])


def shortest(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one value of each group: the one with the fewest digits, as 0.3 of 0.30000001."""
    chosen: dict[int, float] = {}
    for value, number in zip(values.tolist(), group.tolist(), strict=True):
        if number not in chosen or len(repr(value)) < len(repr(chosen[number])):
            chosen[number] = value
    return np.array(list(chosen.values()))


def _from_float32(one: float, other: float) -> bool:
    """Return whether one of two near values may come from a float32 number near the other."""
    return _is_widened(one) or _is_widened(other) or _is_float32_of(one, other)


def _is_widened(value: float) -> bool:
    """Return whether a value is a float32 number with more digits than a user would write.

    Then it was probably computed in float32: 0.30000001192092896 is, 0.5 and 1000000.25 are not.
    """
    return _float32(value) == value and _digits(value) > _WRITTEN_DIGITS


def _is_float32_of(one: float, other: float) -> bool:
    """Return whether one of two values is the float32 number of the other, or its decimal text."""
    return _is_text_of(one, _float32(other)) or _is_text_of(other, _float32(one))


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _is_text_of(value: float, number: float) -> bool:
    """Return whether a value is a number that was rounded to as many digits as the value has."""
    return float(f"{number:.{max(_digits(value), 1)}g}") == value


def _digits(value: float) -> int:
    """Return how many significant digits it takes to write a value exactly."""
    return len(repr(value).partition("e")[0].replace(".", "").lstrip("-0"))
