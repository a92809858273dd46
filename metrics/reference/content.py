"""The content of factors as a key of a cache."""

from __future__ import annotations

import hashlib
from typing import Any

from metrics.types import Array, Factors


def content(factors: Factors) -> tuple[Any, ...]:
    """Return what two sets of factors must have in common to have the same chance and ceiling."""
    weights_digest = None if factors.weights is None else _digest(factors.weights)
    return (
        _digest(factors.values),
        weights_digest,
        factors.values.shape,
        factors.names,
        factors.sizes,
    )


def _digest(array: Array) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
