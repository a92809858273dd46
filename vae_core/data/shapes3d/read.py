"""Reads 3dshapes.h5 a slab of images at a time, and checks it against the grid of its factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

SIDE = 64
_SLAB = 4096  # images read at a time, 50 MB; rounded up to a multiple of the file's chunk length
_PIECE = 256  # images yielded at a time


def read_blocks(
    path: Path, levels: Sequence[Sequence[int]], sizes: tuple[int, ...], resolution: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a sub-grid in index order, (b, 3*resolution*resolution) uint8.

    A slab without a chosen image is not read, and each chunk of the file is decompressed once.

    Args:
        path: of the .h5, with `images` (N, 64, 64, 3) and `labels` (N, 6).
        levels: the chosen level indices of each factor, ascending.
        sizes: numbers of levels of the full grid that the file holds.
        resolution: 64 or 32.

    Raises:
        ValueError, OSError: the file has another layout, or is truncated.
    """
    rows = np.ravel_multi_index(np.ix_(*map(np.asarray, levels)), sizes).ravel()
    with h5py.File(path, "r") as file:
        images = _checked_images(file, sizes)
        chunk = (images.chunks or (_SLAB,))[0]
        slab_size = chunk * math.ceil(_SLAB / chunk)
        for start in range(0, math.prod(sizes), slab_size):
            stop = start + slab_size
            chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if not len(chosen):
                continue
            slab: NDArray[np.uint8] = images[start:stop]
            # In small pieces: their copies need little memory beside the slab.
            for first in range(0, len(chosen), _PIECE):
                piece = slab[chosen[first : first + _PIECE] - start].transpose(0, 3, 1, 2)
                yield (piece if resolution == SIDE else halved(piece)).reshape(len(piece), -1)
            del slab  # before the next one is read


def halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images of half the side: means of 2 x 2 pixels, rounded, halves up.

    (…, H, W) -> (…, H/2, W/2).
    """
    wide = images.astype(np.uint16)
    rows = wide[..., 0::2, :] + wide[..., 1::2, :]
    return ((rows[..., 0::2] + rows[..., 1::2] + 2) >> 2).astype(np.uint8)


def _checked_images(file: Any, sizes: tuple[int, ...]) -> Any:
    """Return the images of an open file; ValueError unless its labels are in index order."""
    count = math.prod(sizes)
    _check_shape(file, "images", (count, SIDE, SIDE, 3))
    _check_shape(file, "labels", (count, len(sizes)))
    if file["images"].dtype != np.uint8:
        raise ValueError(f"its images must be uint8, got {file['images'].dtype}")
    _check_labels(file["labels"][:], sizes)
    return file["images"]


def _check_shape(file: Any, key: str, expected: tuple[int, ...]) -> None:
    if key not in file:
        raise ValueError(f"it does not have {key}")
    shape = getattr(file[key], "shape", "a group")  # a group of HDF5 has no shape
    if shape != expected:
        raise ValueError(f"its {key} must have shape {expected}, got {shape}")


def _check_labels(labels: Any, sizes: tuple[int, ...]) -> None:
    """Raise ValueError unless the labels go through the grid in index order."""
    expected = np.indices(sizes).reshape(len(sizes), len(labels))
    for k, size in enumerate(sizes):
        distinct, level = np.unique(labels[:, k], return_inverse=True)
        out_of_order = np.flatnonzero(level != expected[k])
        if len(distinct) == size and not len(out_of_order):
            continue
        from_image = f", out of order from image {out_of_order[0]} on" if len(out_of_order) else ""
        raise ValueError(
            f"column {k} of its labels must run through {size} levels, "
            f"got {len(distinct)}{from_image}"
        )
