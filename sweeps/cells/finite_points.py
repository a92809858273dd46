"""The points of finite search spaces: a choice, or whole numbers between two ends, and products."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

from sweeps.spec.space import Choice, Grid, Int, LogInt, Space


@overload
def count(searched: Mapping[str, Grid | Choice]) -> int: ...
@overload
def count(searched: Mapping[str, Space]) -> int | None: ...
def count(searched: Mapping[str, Space]) -> int | None:
    """Return the number of points of a product of spaces; None if one of them is an interval of
    real numbers.
    """
    sizes = [size(space) for space in searched.values()]
    finite = [one for one in sizes if one is not None]
    return math.prod(finite) if len(finite) == len(sizes) else None


def size(space: Space) -> int | None:
    """Return the number of values of a space; None if it is an interval of real numbers."""
    if isinstance(space, Grid | Choice):
        return len(space.values)
    if isinstance(space, Int | LogInt):
        return space.high - space.low + 1
    return None


def point(searched: Mapping[str, Space], index: int) -> dict[str, Any]:
    """Return path -> value of one point of a product of finite spaces.

    Args:
        searched: path -> space.
        index: from 0 to `count(searched)` - 1; the last space changes fastest.
    """
    values: dict[str, Any] = {}
    for path, space in reversed(list(searched.items())):
        if isinstance(space, Grid | Choice):
            index, value_index = divmod(index, len(space.values))
            values[path] = space.values[value_index]
        elif isinstance(space, Int | LogInt):
            index, value_index = divmod(index, space.high - space.low + 1)
            values[path] = space.low + value_index
        else:
            raise ValueError(f"{path} must have a finite space, got {space}")
    return {path: values[path] for path in searched}


def index_of(searched: Mapping[str, Space], params: Mapping[str, Any]) -> int | None:
    """Return the index of the point with these values, None if a space lacks one; see `point`."""
    index = 0
    for path, space in searched.items():
        value: Any = params[path]
        values: Sequence[Any]
        if isinstance(space, Grid | Choice):
            values = [json.dumps(each) for each in space.values]  # a stored tuple is a list
            value = json.dumps(value)
        elif isinstance(space, Int | LogInt):
            values = range(space.low, space.high + 1)
        else:
            raise ValueError(f"{path} must have a finite space, got {space}")
        if value not in values:
            return None
        index = index * len(values) + values.index(value)
    return index
