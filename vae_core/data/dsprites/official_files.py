"""Opens the two kinds of official dSprites files; images are read later, nothing is unpickled."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from vae_core.data.npy_header import read_npy_header

# In the official .hdf5 a chunk holds 2 x 4 pixels of each of 23,040 images (h5py's choice of
# chunks). All chunks of these images are 94 MB. A cache with room for two such slabs decompresses
# every chunk once; with h5py's default cache of 1 MB each is decompressed 23 times.
_CHUNK_CACHE = 1 << 28


class OpenFile(NamedTuple):
    """An official file that is open: its table of levels, and a function that reads images."""

    classes: NDArray[Any]  # (N, 6) levels of colour and the five factors
    shape: tuple[int, ...]  # of the images, (N, 64, 64)
    dtype: np.dtype[Any]  # of the images
    read_images: Callable[
        [int, int], NDArray[Any]
    ]  # images start..stop-1; called in ascending order


@contextlib.contextmanager
def open_npz(path: Path) -> Generator[OpenFile]:
    """Open an .npz with `imgs` and `latents_classes`; images are decompressed when they are read.

    Raises:
        ValueError: the images are in Fortran order; also the errors of zipfile and numpy.
    """
    with zipfile.ZipFile(path) as archive:
        with archive.open("latents_classes.npy") as file:
            classes = npy.read_array(file, allow_pickle=False)
        with archive.open("imgs.npy") as file:
            shape, column_major, dtype = read_npy_header(file)
            if column_major:
                raise ValueError("its imgs must be in C order, got Fortran order")
            first_byte = file.tell()
            image_bytes = int(np.prod(shape[1:])) * dtype.itemsize

            def read_images(start: int, stop: int) -> NDArray[Any]:
                file.seek(first_byte + start * image_bytes)
                content = file.read((stop - start) * image_bytes)
                return np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])

            yield OpenFile(classes, shape, dtype, read_images)


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[OpenFile]:
    """Open an .hdf5 with `imgs` and `latents/classes`; only the requested images are read.

    Raises:
        ValueError: an array is missing or is a group; also the errors of h5py.
    """
    with h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE) as file:
        for name in ("latents/classes", "imgs"):
            if name not in file:
                raise ValueError(f"it does not have {name}")
        classes: Any = file["latents/classes"]
        images: Any = file["imgs"]
        if isinstance(classes, h5py.Group) or isinstance(images, h5py.Group):
            raise ValueError("its imgs and latents/classes must be arrays, got groups")

        def read_images(start: int, stop: int) -> NDArray[Any]:
            return images[start:stop]

        yield OpenFile(classes[:], images.shape, images.dtype, read_images)


OPENERS = {".npz": open_npz, ".hdf5": open_hdf5, ".h5": open_hdf5}
"""How to open an official file, by the suffix of its name."""
