"""Opens a user's .npz or HDF5 file of arrays by key; nothing is read until asked for, and nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import functools
import math
import zipfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from vae_core.data.dsprites.read import npy_header


class Stored(NamedTuple):
    """An array on disk."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], NDArray[Any]]  # rows start..stop-1; asked for in ascending order


@contextlib.contextmanager
def open_npz(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an .npz; its arrays are decompressed as they are asked for."""
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        found: dict[str, Stored] = {}
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            file = stack.enter_context(archive.open(member))
            shape, column_major, dtype = npy_header(file)
            first, order = file.tell(), shape[::-1] if column_major else shape
            rows = functools.partial(_npz_rows, file, first, order, dtype)
            read = (
                _transposed(functools.partial(rows, 0, order[0] if order else 0))
                if column_major
                else rows
            )
            found[member.removesuffix(".npy")] = Stored(shape, dtype, read)
        yield found


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an HDF5 file; arrays within groups have keys with slashes."""
    with h5py.File(path, "r") as file:
        found: dict[str, Stored] = {}

        def visit(key: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                array: Any = item
                found[key] = Stored(array.shape, array.dtype, functools.partial(_rows, array))

        file.visititems(visit)  # pyright: ignore[reportUnknownMemberType]
        yield found


def _transposed(read: Callable[[], NDArray[Any]]) -> Callable[[int, int], NDArray[Any]]:
    """Return a reader by rows of an array that is stored by columns: it has to be read whole, once."""
    whole = functools.cache(read)
    return lambda start, stop: whole().T[start:stop]


def _npz_rows(
    file: IO[bytes], first: int, shape: tuple[int, ...], dtype: np.dtype[Any], start: int, stop: int
) -> NDArray[Any]:
    _refuse_objects(dtype)
    row = math.prod(shape[1:]) * dtype.itemsize
    file.seek(first + start * row)
    content = file.read((stop - start) * row)
    if len(content) != (stop - start) * row:
        raise EOFError("rows are missing at the end of an array")
    return np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])


def _rows(item: Any, start: int, stop: int) -> NDArray[Any]:
    _refuse_objects(item.dtype)
    return item[start:stop]


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ValueError("an array of objects is never unpickled; save plain numbers")


OPENERS = {".npz": open_npz, ".h5": open_hdf5, ".hdf5": open_hdf5}
