"""Turns values into what JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it: arrays as lists, NaN and infinity as null, what JSON has not as text."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return (
        to_plain(value.tolist()) if hasattr(value, "tolist") else str(value)
    )  # numpy's arrays and scalars, paths
