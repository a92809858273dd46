"""Finds values that differ only by rounding: 0.3 and 0.1 * 3, or 0.1 as float32 and as float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLOAT32, _FLOAT64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
_STEPS = 4
"""Sums and products of a few terms end at most about this many steps of the precision apart."""
_SEPARATION = 10
"""Levels must lie this many times further apart than the values that become one level."""


def groups(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the group of each value, numbered from 0; values of one group differ by rounding.

    Two neighbours differ by rounding if they are at most four steps of float64 apart (steps at the
    largest value), or at most four steps of float32 and one of them is a float32 number, or the
    decimal text of one. If groups do not lie clearly further apart than the values in them, the
    differences may be real, and every value is a group.

    Args:
        values: (n,) finite and distinct, in ascending order.
    """
    every_value = np.arange(len(values))
    if len(values) < 2:
        return every_value
    gaps = np.diff(values)
    magnitudes = np.maximum(np.abs(values[:-1]), np.abs(values[1:]))
    tiny = gaps <= _STEPS * _FLOAT64 * magnitudes.max()
    near = gaps <= _STEPS * _FLOAT32 * magnitudes
    joined = tiny.copy()
    for k in np.flatnonzero(near & ~tiny).tolist():
        joined[k] = _of_float32(float(values[k]), float(values[k + 1]))
    if not joined.any():
        return every_value
    ends = ~joined
    first = values[np.concatenate([[True], ends])]
    last = values[np.concatenate([ends, [True]])]
    if ends.any() and gaps[ends].min() < _SEPARATION * (last - first).max():
        return every_value
    return np.concatenate([[0], np.cumsum(ends)])


def shortest(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one value of each group: the one with the fewest digits, as 0.3 of 0.30000001."""
    chosen: dict[int, float] = {}
    for value, number in zip(values.tolist(), group.tolist(), strict=True):
        if number not in chosen or len(repr(value)) < len(repr(chosen[number])):
            chosen[number] = value
    return np.array(list(chosen.values()))


def _of_float32(one: float, other: float) -> bool:
    """Return whether one of two near values may come from a float32 number near the other."""
    with np.errstate(over="ignore"):
        rounded = float(np.float32(one)), float(np.float32(other))
    if one == rounded[0] or other == rounded[1]:
        return True
    return _is_text_of(one, rounded[1]) or _is_text_of(other, rounded[0])


def _is_text_of(value: float, number: float) -> bool:
    """Return whether a value is a number that was rounded to as many digits as the value has."""
    digits = repr(value).partition("e")[0].replace(".", "").lstrip("-0")
    return float(f"{number:.{max(len(digits), 1)}g}") == value
