"""Opens the two kinds of official dSprites files; no image is read yet, and nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any, NamedTuple

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

# h5py's own choice of chunks for dSprites runs through 23,040 images, 2 x 4 pixels of each: a slab of 94 MB. Room
# for two slabs reads every chunk once; with h5py's default of 1 MB each is decompressed 23 times.
_CHUNK_CACHE = 1 << 28


class OpenFile(NamedTuple):
    """What an official file holds."""

    classes: NDArray[Any]  # (N, 6) levels of colour and the five factors
    shape: tuple[int, ...]  # of the images, (N, 64, 64)
    dtype: np.dtype[Any]  # of the images
    read: Callable[[int, int], NDArray[Any]]  # images start..stop-1; asked for in ascending order


@contextlib.contextmanager
def open_npz(path: Path) -> Generator[OpenFile]:
    """Open an .npz with `imgs` and `latents_classes`; its images are decompressed as they are asked for."""
    with zipfile.ZipFile(path) as archive:
        with archive.open("latents_classes.npy") as file:
            classes = npy.read_array(file, allow_pickle=False)
        with archive.open("imgs.npy") as file:
            shape, column_major, dtype = npy_header(file)
            if column_major:
                raise ValueError("its imgs must be in C order, got Fortran order")
            first, size = file.tell(), int(np.prod(shape[1:])) * dtype.itemsize

            def read(start: int, stop: int) -> NDArray[Any]:
                file.seek(first + start * size)
                content = file.read((stop - start) * size)
                return np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])

            yield OpenFile(classes, shape, dtype, read)


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and kind of an .npy file, whose first value is read next."""
    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return header(file)


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[OpenFile]:
    """Open an .hdf5 with `imgs` and `latents/classes`; only the images asked for are read."""
    with h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE) as file:
        for name in ("latents/classes", "imgs"):
            if name not in file:
                raise ValueError(f"it has no {name}")
        classes: Any = file["latents/classes"]
        images: Any = file["imgs"]
        if isinstance(classes, h5py.Group) or isinstance(images, h5py.Group):
            raise ValueError("its imgs and latents/classes must be arrays, got groups")

        def read(start: int, stop: int) -> NDArray[Any]:
            return images[start:stop]

        yield OpenFile(classes[:], images.shape, images.dtype, read)
