"""The identity of a data set's content."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from metrics import Factors


def digest(array: NDArray[np.uint8]) -> str:
    """Return the sha256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def fingerprint(
    images_digest: str,
    shape: tuple[int, int, int],
    *,
    packed: bool,
    levels: int,
    factors: Factors | None,
) -> str:
    """Return a sha256 over images (by their digest), shape, levels and factors (values, names, sizes).

    Equal for equal content, wherever it came from: the integer type of the factor values does not enter.
    """
    content: list[object] = [images_digest, shape, packed, levels]
    if factors is not None:
        values = hashlib.sha256(factors.values.astype("<i8", order="C").data).hexdigest()
        content += [values, factors.names, factors.sizes]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
