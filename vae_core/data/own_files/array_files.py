"""Opens a user's .npz or HDF5 file of arrays; arrays are read later, and nothing is unpickled."""

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

from vae_core.data.npy_header import read_npy_header


class Stored(NamedTuple):
    """An array on disk."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read_rows: Callable[[int, int], NDArray[Any]]  # rows start..stop-1; called in ascending order


@contextlib.contextmanager
def open_npz(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an .npz; its arrays are decompressed when they are read."""
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        arrays: dict[str, Stored] = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                file = stack.enter_context(archive.open(member))
                arrays[member.removesuffix(".npy")] = _stored_npy(file)
        yield arrays


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an HDF5 file; arrays within groups have keys with slashes."""
    with h5py.File(path, "r") as file:
        arrays: dict[str, Stored] = {}

        def visit(key: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                array: Any = item
                texts = _is_text(array.dtype)
                rows = functools.partial(_hdf5_texts if texts else _hdf5_rows, array)
                # An empty data set has no shape.
                dtype = np.dtype(np.str_) if texts else array.dtype
                arrays[key] = Stored(array.shape or (), dtype, rows)

        file.visititems(visit)  # pyright: ignore[reportUnknownMemberType]
        yield arrays


OPENERS = {".npz": open_npz, ".h5": open_hdf5, ".hdf5": open_hdf5}
"""How to open a file, by the suffix of its name."""


def _stored_npy(file: IO[bytes]) -> Stored:
    """Return the array of an open .npy; its values are read later."""
    shape, column_major, dtype = read_npy_header(file)
    first_byte = file.tell()
    if not column_major:
        return Stored(shape, dtype, functools.partial(_npy_rows, file, first_byte, shape, dtype))
    reverse_shape = shape[::-1]
    rows = functools.partial(_npy_rows, file, first_byte, reverse_shape, dtype)
    length = reverse_shape[0] if reverse_shape else 0
    return Stored(shape, dtype, _transposed(functools.partial(rows, 0, length)))


def _transposed(read_all: Callable[[], NDArray[Any]]) -> Callable[[int, int], NDArray[Any]]:
    """Return a reader by rows of an array that is stored by columns; it is read once, complete."""
    read_once = functools.cache(read_all)
    return lambda start, stop: read_once().T[start:stop]


def _npy_rows(
    file: IO[bytes],
    first_byte: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    start: int,
    stop: int,
) -> NDArray[Any]:
    _refuse_objects(dtype)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    file.seek(first_byte + start * row_bytes)
    content = file.read((stop - start) * row_bytes)
    if len(content) != (stop - start) * row_bytes:
        raise EOFError("rows are missing at the end of an array")
    return np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])


def _hdf5_rows(item: Any, start: int, stop: int) -> NDArray[Any]:
    _refuse_objects(item.dtype)
    return item[start:stop]


def _is_text(dtype: Any) -> bool:
    check: Any = getattr(h5py, "check_string_dtype")  # noqa: B009 (h5py has no types)
    return check(dtype) is not None


def _hdf5_texts(item: Any, start: int, stop: int) -> NDArray[Any]:
    return np.asarray(item.asstr()[start:stop], np.str_)


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ValueError("an array of objects is never unpickled; save an array of numbers")
