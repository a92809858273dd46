"""Reads the pixels of a user's array as levels, whichever way round its axes and values are."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vae_core.data.own_files.array_files import Stored

_COLOURS = (1, 3)
_BLOCK = 1 << 23  # values read at a time, 64 MB of float64


def layout(
    shape: tuple[int, ...], key: str, channels: Literal["first", "last"] | None
) -> tuple[tuple[int, int, int], bool]:
    """Return (C, H, W) of one image, and whether channels are its last axis.

    Args:
        shape: of the array.
        key: of the array, to name it.
        channels: what the user says of four axes; None: the axis of length 1 or 3.

    Raises:
        ValueError: not three or four axes, an empty one, or an open question of which are the channels.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(
            f"{key!r} must have shape (N, H, W), (N, H, W, C) or (N, C, H, W), got {shape}"
        )
    if len(shape) == 3:
        return (1, shape[1], shape[2]), False
    first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
    if channels is None and first == last:
        found = "both ends have 1 or 3" if first else "neither end has 1 or 3"
        raise ValueError(
            f"{key!r} has shape {shape}, where {found}; give channels: first or channels: last"
        )
    if channels == "last" or (channels is None and last):
        return (shape[3], shape[1], shape[2]), True
    return (shape[1], shape[2], shape[3]), False


def quantised(stored: Stored, key: str, *, channels_last: bool) -> tuple[NDArray[np.uint8], int]:
    """Return (N, C*H*W) uint8 levels and the number of levels: 1 if every pixel is 0 or 1, else 255.

    Args:
        stored: the array on disk, read block by block.
        key: of the array, to name it.
        channels_last: whether its channels are to be moved first.

    Raises:
        ValueError: values outside 0..255 or [0, 1], or none at all (NaN, infinity, objects).
    """
    count, size = stored.shape[0], math.prod(stored.shape[1:])
    if stored.dtype.kind not in "biuf":
        raise ValueError(f"{key!r} must be bytes or floats in [0, 1], got {stored.dtype}")
    real, binary = stored.dtype.kind == "f", True
    images = np.empty((count, size), np.uint8)
    step = max(1, _BLOCK // size)
    for start in range(0, count, step):
        block = stored.read(start, min(start + step, count))
        _check(block, key, most=1 if real else 255)
        binary = binary and bool(((block == 0) | (block == 1)).all())
        if channels_last:
            block = np.moveaxis(block, -1, 1)
        levels = np.rint(block * 255) if real else block
        images[start : start + len(block)] = levels.astype(np.uint8).reshape(len(block), -1)
    if binary and real:
        images //= 255
    return images, 1 if binary else 255


def _check(block: NDArray[Any], key: str, *, most: int) -> None:
    if most == 1 and not np.isfinite(block).all():
        raise ValueError(
            f"{key!r} must be finite, got NaN or infinity in {int((~np.isfinite(block)).sum())} pixels"
        )
    low, high = block.min(), block.max()
    if low < 0 or high > most:
        rule = "be floats in [0, 1]" if most == 1 else "be whole numbers in 0..255"
        raise ValueError(f"{key!r} must {rule}, got {low} to {high}; scale it")
