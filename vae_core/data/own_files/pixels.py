"""Reads the pixels of a user's array as levels, for any order of axes and any kind of values."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vae_core.data.own_files.array_files import Stored
from vae_core.data.own_files.array_sizes import require_fits

_COLOURS = (1, 3)
_BLOCK = 1 << 23  # values read at a time, 64 MB of float64


def layout(
    shape: tuple[int, ...], key: str, channels: Literal["first", "last"] | None
) -> tuple[tuple[int, int, int], bool]:
    """Return (C, H, W) of one image, and whether channels are the last axis of the array.

    Args:
        shape: of the array.
        key: of the array, for errors.
        channels: which of four axes the user says are the channels; None: the axis of length 1 or
            3.

    Raises:
        ValueError: not three or four axes, an empty axis, or channels that the shape leaves open.
    """
    if len(shape) not in (3, 4) or 0 in shape:
        raise ValueError(
            f"{key!r} must have shape (N, H, W), (N, H, W, C) or (N, C, H, W), got {shape}"
        )
    if len(shape) == 3:
        return (1, shape[1], shape[2]), False
    first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
    if channels is None and first == last:
        ends = "both ends have 1 or 3" if first else "neither end has 1 or 3"
        raise ValueError(
            f"{key!r} has shape {shape}, where {ends}; give channels: first or channels: last"
        )
    if channels == "last" or (channels is None and last):
        return (shape[3], shape[1], shape[2]), True
    return (shape[1], shape[2], shape[3]), False


def quantised(stored: Stored, key: str, *, channels_last: bool) -> tuple[NDArray[np.uint8], int]:
    """Return (N, C*H*W) uint8 levels and the highest level: 1 if every pixel is 0 or 1, else 255.

    Args:
        stored: the array on disk, read block by block.
        key: of the array, for errors.
        channels_last: whether channels are its last axis; they become the first axis of an image.

    Raises:
        ValueError: values outside 0..255 or [0, 1], or values that are no numbers (NaN, infinity,
            objects).
    """
    count, size = stored.shape[0], math.prod(stored.shape[1:])
    if stored.dtype.kind not in "biuf":
        raise ValueError(f"{key!r} must be bytes or floats in [0, 1], got {stored.dtype}")
    floats, binary = stored.dtype.kind == "f", True
    require_fits((count, size), np.dtype(np.uint8))
    images = np.empty((count, size), np.uint8)
    step = max(1, _BLOCK // size)
    for start in range(0, count, step):
        block = stored.read_rows(start, min(start + step, count))
        _check_values(block, key, floats=floats)
        binary = binary and bool(((block == 0) | (block == 1)).all())
        if channels_last:
            block = np.moveaxis(block, -1, 1)
        levels = np.rint(block * 255) if floats else block
        images[start : start + len(block)] = levels.astype(np.uint8).reshape(len(block), -1)
    if binary and floats:
        images //= 255
    return images, 1 if binary else 255


def _check_values(block: NDArray[Any], key: str, *, floats: bool) -> None:
    """Raise ValueError unless floats are in [0, 1] and whole numbers in 0..255."""
    if floats and not np.isfinite(block).all():
        pixels = int((~np.isfinite(block)).sum())
        raise ValueError(f"{key!r} must be finite, got NaN or infinity in {pixels} pixels")
    low, high = block.min(), block.max()
    if low < 0 or high > (1 if floats else 255):
        rule = "be floats in [0, 1]" if floats else "be whole numbers in 0..255"
        raise ValueError(f"{key!r} must {rule}, got {low} to {high}; scale it")
