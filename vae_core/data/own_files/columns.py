"""Turns the columns of a user's table into factors with levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics import Factors

MOST_LEVELS = 4096
"""The most levels of a factor; a column with more distinct values is a measurement."""


def to_factors(columns: Mapping[str, NDArray[Any]]) -> Factors:
    """Return factors whose levels are the sorted distinct values of each column, numbered from 0.

    Args:
        columns: numbers, booleans or text of N images, by factor name.

    Raises:
        ValueError: a column of another kind, with NaN or infinity, or with more than
            `MOST_LEVELS` levels.
    """
    levels: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    for name, column in columns.items():
        if column.dtype.kind not in "biufU":
            raise ValueError(f"factor {name!r} must be numbers or text, got {column.dtype}")
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            row = np.flatnonzero(~np.isfinite(column))[0]
            raise ValueError(f"factor {name!r} must be finite, got {column[row]} in row {row}")
        distinct, level = np.unique(column, return_inverse=True)
        if len(distinct) > MOST_LEVELS:
            raise ValueError(
                f"factor {name!r} must have at most {MOST_LEVELS} levels, got {len(distinct)}; "
                "bin it (np.digitize), or leave it out"
            )
        levels.append(level.astype(np.int64))
        sizes.append(len(distinct))
    return Factors(np.stack(levels, axis=1), tuple(columns), tuple(sizes))
