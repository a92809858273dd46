"""The fingerprint of a data set: a hash of its content."""

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
    """Return a sha256 over images (as their digest), shape, levels, factor values, names and sizes.

    Equal content has equal fingerprints, whatever file it comes from. The integer type of the
    factor values has no influence.
    """
    content: list[object] = [images_digest, shape, packed, levels]
    if factors is not None:
        values = hashlib.sha256(factors.values.astype("<i8", order="C").data).hexdigest()
        content += [values, factors.names, factors.sizes]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
