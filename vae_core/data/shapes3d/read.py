"""Reads 3dshapes.h5 a slab of images at a time, checked against the grid of its factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

SIDE = 64
_SLAB = 4096  # images read at a time, 50 MB, or as many as one chunk of the file runs through

_PIECE = 256  # images handed on at a time


def read_blocks(
    path: Path, levels: Sequence[Sequence[int]], sizes: tuple[int, ...], resolution: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a sub-grid in index order, (b, 3*resolution*resolution) uint8.

    A slab that holds no chosen image is not read, and each chunk of the file is decompressed once.

    Args:
        path: of the .h5, with `images` (N, 64, 64, 3) and `labels` (N, 6).
        levels: the chosen level indices of each factor, ascending.
        sizes: numbers of levels of the full grid that the file holds.
        resolution: 64 or 32.

    Raises:
        ValueError or OSError: the file has another layout, or is truncated.
    """
    rows = np.ravel_multi_index(np.ix_(*map(np.asarray, levels)), sizes).ravel()
    with h5py.File(path, "r") as file:
        images = _checked(file, sizes)
        chunk = (images.chunks or (_SLAB,))[0]
        slab = chunk * math.ceil(_SLAB / chunk)
        for start in range(0, math.prod(sizes), slab):
            chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + slab)]
            if not len(chosen):
                continue
            read: NDArray[np.uint8] = images[start : start + slab]
            for at in range(
                0, len(chosen), _PIECE
            ):  # small pieces: their copies weigh little beside the slab
                pixels = read[chosen[at : at + _PIECE] - start].transpose(0, 3, 1, 2)
                yield (pixels if resolution == SIDE else halved(pixels)).reshape(len(pixels), -1)
            del read  # before the next one is read


def halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images of half the side: means of 2 x 2 pixels, rounded, halves up. (…, H, W) -> (…, H/2, W/2)."""
    wide = images.astype(np.uint16)
    rows = wide[..., 0::2, :] + wide[..., 1::2, :]
    return ((rows[..., 0::2] + rows[..., 1::2] + 2) >> 2).astype(np.uint8)


def _checked(file: Any, sizes: tuple[int, ...]) -> Any:
    """Return the images of an open file, whose labels must run through the grid in index order."""
    count = math.prod(sizes)
    for key, shape in (("images", (count, SIDE, SIDE, 3)), ("labels", (count, len(sizes)))):
        if key not in file:
            raise ValueError(f"it has no {key}")
        if getattr(file[key], "shape", None) != shape:
            raise ValueError(
                f"its {key} must have shape {shape}, got {getattr(file[key], 'shape', 'a group')}"
            )
    if file["images"].dtype != np.uint8:
        raise ValueError(f"its images must be uint8, got {file['images'].dtype}")
    labels = file["labels"][:]
    expected = np.indices(sizes).reshape(len(sizes), count)
    for k, size in enumerate(sizes):
        seen, level = np.unique(labels[:, k], return_inverse=True)
        wrong = np.flatnonzero(level != expected[k])
        if len(seen) != size or len(wrong):
            where = f", out of order from image {wrong[0]} on" if len(wrong) else ""
            raise ValueError(
                f"column {k} of its labels must run through {size} levels, got {len(seen)}{where}"
            )
    return file["images"]
