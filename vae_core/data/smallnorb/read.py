"""Reads the binary matrices of SmallNORB and puts their images in index order of the factors."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
ORIGINAL_SIDE = 96
_MAGIC = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
_BLOCK = 256  # stereo pairs read at a time, 5 MB


class Parts(NamedTuple):
    """The three files of a split."""

    dat: Path  # stereo pairs of images
    cat: Path  # categories
    info: Path  # instance, elevation, azimuth and lighting


def read_grid(
    parts: Sequence[Parts], views: Sequence[int], instances: Sequence[int], *, right: bool
) -> NDArray[np.uint8]:
    """Return the images of one camera in index order, (N, 64*64) uint8.

    Args:
        parts: the splits to read.
        views: numbers of categories, elevations, azimuths and lightings.
        instances: the instances that the splits hold together, ascending; they are numbered from 0.
        right: takes the right camera rather than the left.

    Raises:
        ValueError: a cell of the grid does not have exactly one image, or a file has another
            format or layout.
        EOFError, OSError, zlib.error: a file is truncated or damaged.
    """
    sizes = (*views, len(instances))
    images = np.empty((math.prod(sizes), SIDE * SIDE), np.uint8)
    counts = np.zeros(len(images), np.int64)  # images of each cell
    for part in parts:
        cells = _cells(part, sizes, instances)
        counts += np.bincount(cells, minlength=len(counts))
        start = 0
        for block in _pairs(part.dat, len(cells)):
            small = [_resize(pair[int(right)]) for pair in block]
            images[cells[start : start + len(block)]] = small
            start += len(block)
    if (counts != 1).any():
        count = counts[counts != 1][0]
        raise ValueError(
            f"every cell of the grid {sizes} must have one image, got a cell with {count}"
        )
    return images


def read_header(file: gzip.GzipFile, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape of a matrix.

    The header is a magic number, the number of axes, and then at least three int32 sizes.

    Args:
        file: at its start.
        name: of the file, for errors.

    Raises:
        ValueError: an unknown magic number, or a number of axes that is not 1 to 4.
        EOFError: the file ends within the header.
    """
    magic, axes = struct.unpack("<Ii", _exactly(file, 8))
    if magic not in _MAGIC:
        known = ", ".join(f"{number:08x}" for number in _MAGIC)
        raise ValueError(f"the magic number of {name} must be one of {known}, got {magic:08x}")
    if not 1 <= axes <= 4:
        raise ValueError(f"{name} must have 1 to 4 axes, got {axes}")
    stored_sizes = max(3, axes)
    sizes = struct.unpack(f"<{stored_sizes}i", _exactly(file, 4 * stored_sizes))
    return _MAGIC[magic], sizes[:axes]


def _cells(part: Parts, sizes: tuple[int, ...], instances: Sequence[int]) -> NDArray[np.int64]:
    """Return the grid index of each image of a split."""
    category, info = _table(part.cat), _table(part.info)
    if category.ndim != 1 or info.shape != (len(category), 4):
        raise ValueError(f"{part.info.name} must have shape ({len(category)}, 4), got {info.shape}")
    instance, elevation, azimuth, lighting = info.T
    odd = azimuth % 2 == 1
    if odd.any():
        raise ValueError(f"azimuths of {part.info.name} must be even, got {azimuth[odd][0]}")
    known = np.isin(instance, instances)
    if not known.all():
        raise ValueError(
            f"instances of {part.info.name} must be of {tuple(instances)}, "
            f"got {instance[~known][0]}"
        )
    levels = {
        "category": category,
        "elevation": elevation,
        "azimuth": azimuth // 2,
        "lighting": lighting,
    }
    for (name, level), size in zip(levels.items(), sizes[:4], strict=True):
        if level.min() < 0 or level.max() >= size:
            raise ValueError(
                f"{name} must have levels from 0 to {size - 1}, got {level.min()} to {level.max()}"
            )
    rank = (instance[:, None] > np.asarray(instances)).sum(axis=1)  # among the instances
    return np.ravel_multi_index((*levels.values(), rank), sizes)


def _table(path: Path) -> NDArray[np.int64]:
    """Return a small matrix."""
    with gzip.open(path) as file:
        dtype, shape = read_header(file, path.name)
        values = np.frombuffer(_exactly(file, math.prod(shape) * dtype.itemsize), dtype)
    return values.reshape(shape).astype(np.int64)


def _pairs(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield (b, 2, 96, 96) stereo pairs."""
    expected = (count, 2, ORIGINAL_SIDE, ORIGINAL_SIDE)
    with gzip.open(path) as file:
        dtype, shape = read_header(file, path.name)
        if shape != expected or dtype != np.uint8:
            raise ValueError(
                f"{path.name} must hold bytes of shape {expected}, got {dtype} {shape}"
            )
        for start in range(0, count, _BLOCK):
            block_shape = (min(_BLOCK, count - start), *expected[1:])
            content = _exactly(file, math.prod(block_shape))
            yield np.frombuffer(content, np.uint8).reshape(block_shape)
        if file.read(1):
            raise ValueError(f"{path.name} must end after its {count} pairs, got more bytes")


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    """Return the next `size` bytes; EOFError if there are fewer."""
    content = file.read(size)
    if len(content) != size:
        raise EOFError(f"{size - len(content)} bytes are missing at its end")
    return content


def _resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a 96 x 96 image at 64 x 64 as a row of pixels, resized by Lanczos' filter.

    The field resizes SmallNORB in this way.
    """
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(-1)
