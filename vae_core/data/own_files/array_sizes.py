"""Refuses what would not fit into memory before anything of it is read.

A few bytes of a file can promise any number of rows: a header is only text, and zeros are
compressed a thousand times.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vae_core.data.cache import mapped

_GIB = 2**30
_TEXT_OBJECT = 64
"""Bytes that a text takes in Python besides its characters."""


def require_fits(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise unless an array fits into half of the free memory.

    Raises:
        ValueError: it does not, or its elements take no bytes, so that no file bounds their number.
            The rule begins with a verb.
    """
    if dtype.itemsize == 0 and math.prod(shape):
        raise ValueError(f"must have elements of at least one byte, got {dtype} of shape {shape}")
    text = _TEXT_OBJECT if dtype.kind in "USOT" else 0
    require_bytes(math.prod(shape) * (dtype.itemsize + text), f"shape {shape} of {dtype}")


def require_bytes(size: int, what: str) -> None:
    """Raise ValueError unless a number of bytes fits into half of the free memory.

    Args:
        size: in bytes.
        what: takes them, for the message.
    """
    free = mapped.available_memory()
    if size > mapped.SHARE * free:
        raise ValueError(
            f"must fit into half of the free memory ({free / _GIB:.3g} GiB), got {what}: "
            f"{size / _GIB:.3g} GiB; store fewer rows, or numbers of fewer bytes"
        )
