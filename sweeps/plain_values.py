"""Turns values into what JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def to_plain(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Arrays and tuples become lists, NaN and infinity become null, keys become text, and every
    other type that JSON does not have becomes text.
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy
        return to_plain(value.tolist())
    return str(value)  # a path, for example
