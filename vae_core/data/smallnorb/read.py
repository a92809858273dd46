"""Reads SmallNORB's own binary matrices and puts their images in the order of the factors' grid."""

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
    """The three files of a split: image pairs, categories, and (instance, elevation, azimuth, lighting)."""

    dat: Path
    cat: Path
    info: Path


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
        ValueError: the files hold something else than each cell of the grid once; gzip's and zlib's errors.
    """
    sizes = (*views, len(instances))
    images = np.empty((math.prod(sizes), SIDE * SIDE), np.uint8)
    seen = np.zeros(len(images), np.int64)
    for part in parts:
        cells = _cells(part, sizes, instances)
        seen += np.bincount(cells, minlength=len(seen))
        start = 0
        for block in _pairs(part.dat, len(cells)):
            images[cells[start : start + len(block)]] = [
                _resized(pair[int(right)]) for pair in block
            ]
            start += len(block)
    if (seen != 1).any():
        raise ValueError(
            f"every cell of the grid {sizes} must have one image, got {seen[seen != 1][0]} of one"
        )
    return images


def read_header(file: gzip.GzipFile, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return kind and shape of a matrix: a magic number, the number of axes, then at least three int32 sizes."""
    magic, axes = struct.unpack("<Ii", _exactly(file, 8))
    if magic not in _MAGIC:
        known = ", ".join(f"{number:08x}" for number in _MAGIC)
        raise ValueError(f"the magic number of {name} must be one of {known}, got {magic:08x}")
    if not 1 <= axes <= 4:
        raise ValueError(f"{name} must have 1 to 4 axes, got {axes}")
    written = max(3, axes)
    return _MAGIC[magic], struct.unpack(f"<{written}i", _exactly(file, 4 * written))[:axes]


def _cells(part: Parts, sizes: tuple[int, ...], instances: Sequence[int]) -> NDArray[np.int64]:
    """Return the grid index of each image of a split."""
    category, info = _table(part.cat), _table(part.info)
    if category.ndim != 1 or info.shape != (len(category), 4):
        raise ValueError(f"{part.info.name} must have shape ({len(category)}, 4), got {info.shape}")
    instance, elevation, azimuth, lighting = info.T
    if (azimuth % 2).any():
        raise ValueError(
            f"azimuths of {part.info.name} must be even, got {azimuth[azimuth % 2 == 1][0]}"
        )
    toy = (instance[:, None] > np.asarray(instances)).sum(axis=1)  # its rank among the instances
    known = np.isin(instance, instances)
    if not known.all():
        raise ValueError(
            f"instances of {part.info.name} must be of {tuple(instances)}, got {instance[~known][0]}"
        )
    levels: tuple[NDArray[np.int64], ...] = (category, elevation, azimuth // 2, lighting, toy)
    for name, level, size in zip(
        ("category", "elevation", "azimuth", "lighting"), levels, sizes, strict=False
    ):
        if level.min() < 0 or level.max() >= size:
            raise ValueError(
                f"{name} must have levels from 0 to {size - 1}, got {level.min()} to {level.max()}"
            )
    return np.ravel_multi_index(levels, sizes)


def _table(path: Path) -> NDArray[np.int64]:
    with gzip.open(path) as file:
        kind, shape = read_header(file, path.name)
        values = np.frombuffer(_exactly(file, math.prod(shape) * kind.itemsize), kind)
    return values.reshape(shape).astype(np.int64)


def _pairs(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield (b, 2, 96, 96) stereo pairs."""
    wanted = (count, 2, ORIGINAL_SIDE, ORIGINAL_SIDE)
    with gzip.open(path) as file:
        kind, shape = read_header(file, path.name)
        if shape != wanted or kind != np.uint8:
            raise ValueError(f"{path.name} must hold bytes of shape {wanted}, got {kind} {shape}")
        for start in range(0, count, _BLOCK):
            block = (min(_BLOCK, count - start), *wanted[1:])
            yield np.frombuffer(_exactly(file, math.prod(block)), np.uint8).reshape(block)
        if file.read(1):
            raise ValueError(f"{path.name} goes on after its {count} pairs")


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise EOFError(f"{size - len(content)} bytes are missing at its end")
    return content


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 96 x 96 pixels at 64 x 64 by Lanczos' filter, as the field does it, in a row."""
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(-1)
