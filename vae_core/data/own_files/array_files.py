"""Opens a user's .npz or HDF5 file of arrays; arrays are read later, and nothing is unpickled."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import sys
import zipfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from vae_core.data.npy_header import read_npy_header
from vae_core.data.own_files.array_sizes import require_fits

_TEXT_POINTER = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
"""What an HDF5 data set holds in place of a text of any length."""


class Stored(NamedTuple):
    """An array on disk."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read_rows: Callable[[int, int], NDArray[Any]]  # rows start..stop-1; called in ascending order


@contextlib.contextmanager
def library_errors() -> Generator[None]:
    """Turn any error of a library that reads a file into a ValueError.

    zipfile, zlib, numpy and HDF5 do not document what a damaged file makes them raise: struct,
    memory, runtime and type errors were seen.

    Raises:
        ValueError: with the first line of the error, or with its class if it has no text.
    """
    try:
        yield
    except ValueError:
        raise
    except EOFError as error:
        raise ValueError(f"it is truncated ({first_line(error)})") from error
    except Exception as error:
        raise ValueError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message without a period, or its class if it is empty."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    lines = str(message).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def open_npz(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an .npz; its arrays are decompressed when they are read."""
    with contextlib.ExitStack() as stack:
        arrays: dict[str, Stored] = {}
        with library_errors():
            archive = stack.enter_context(zipfile.ZipFile(path))
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    file = stack.enter_context(archive.open(member))
                    arrays[member.filename.removesuffix(".npy")] = _stored_npy(file, member)
        yield arrays


@contextlib.contextmanager
def open_hdf5(path: Path) -> Generator[Mapping[str, Stored]]:
    """Open an HDF5 file; arrays within groups have keys with slashes."""
    with contextlib.ExitStack() as stack:
        arrays: dict[str, Stored] = {}

        def visit(key: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                array: Any = item
                texts = _is_text(array.dtype)
                rows = functools.partial(_hdf5_rows, array)
                if texts:
                    rows = functools.partial(_hdf5_texts, array, path)
                # An empty data set has no shape.
                dtype = np.dtype(np.str_) if texts else array.dtype
                arrays[key] = Stored(array.shape or (), dtype, rows)

        with library_errors():
            file = stack.enter_context(h5py.File(path, "r"))
            file.visititems(visit)  # pyright: ignore[reportUnknownMemberType]
        yield arrays


OPENERS = {".npz": open_npz, ".h5": open_hdf5, ".hdf5": open_hdf5}
"""How to open a file, by the suffix of its name."""


def _stored_npy(file: IO[bytes], member: zipfile.ZipInfo) -> Stored:
    """Return the array of an open .npy; its values are read later."""
    shape, column_major, dtype = read_npy_header(file)
    first_byte = file.tell()
    require_stored(shape, dtype, member.file_size - first_byte)
    if not column_major:
        return Stored(shape, dtype, functools.partial(_npy_rows, file, first_byte, shape, dtype))
    reverse_shape = shape[::-1]
    rows = functools.partial(_npy_rows, file, first_byte, reverse_shape, dtype)
    length = reverse_shape[0] if reverse_shape else 0
    return Stored(shape, dtype, _transposed(functools.partial(rows, 0, length)))


def require_stored(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    """Raise ValueError unless a member of an .npz has the bytes that its header promises.

    Args:
        shape: of its header.
        dtype: of its header.
        size: number of bytes after the header.
    """
    promised = math.prod(shape) * dtype.itemsize
    if promised > size and not dtype.hasobject:
        raise ValueError(
            f"it is truncated: shape {shape} of {dtype} takes {promised} bytes, got {size}"
        )


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
    require_fits((stop - start, *shape[1:]), dtype)
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    with library_errors():
        file.seek(first_byte + start * row_bytes)
        content = file.read((stop - start) * row_bytes)
        if len(content) != (stop - start) * row_bytes:
            raise EOFError("rows are missing at the end of an array")
        rows = np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])
    require_characters(rows)
    return rows


def require_characters(array: NDArray[Any]) -> None:
    """Raise ValueError if an array of text has a number that is no character of Unicode.

    Python raises a SystemError when such a text is made, and cannot print half of a character.
    """
    if array.dtype.kind != "U" or not array.size:
        return
    dtype = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
    numbers = np.ascontiguousarray(array).reshape(-1).view(dtype)
    bad = (numbers > sys.maxunicode) | ((numbers >= 0xD800) & (numbers <= 0xDFFF))
    if bad.any():
        raise ValueError(
            f"it is damaged: a text must hold characters of Unicode, got {int(numbers[bad][0]):#x}"
        )


def _hdf5_rows(item: Any, start: int, stop: int) -> NDArray[Any]:
    _refuse_objects(item.dtype)
    require_own_values(item)
    require_fits((stop - start, *item.shape[1:]), item.dtype)
    with library_errors():
        return item[start:stop]


def require_own_values(item: Any) -> None:
    """Raise ValueError if the values of an HDF5 data set lie in another file.

    Such a file could be any file of the user who reads it.
    """
    if item.external or item.is_virtual:
        raise ValueError("the values lie in another file; store them in this one")


def _is_text(dtype: Any) -> bool:
    check: Any = getattr(h5py, "check_string_dtype")  # noqa: B009 (h5py has no types)
    return check(dtype) is not None


def _hdf5_texts(item: Any, path: Path, start: int, stop: int) -> NDArray[Any]:
    require_own_values(item)
    require_fits((stop - start, *item.shape[1:]), item.dtype)
    with library_errors():
        with path.open("rb") as stream:
            require_text_lengths(item, stream)
        return np.asarray(item.asstr()[start:stop], np.str_)


def require_text_lengths(item: Any, stream: BinaryIO) -> None:
    """Raise ValueError if a text of an HDF5 data set is longer than the file.

    HDF5 takes as much memory as a damaged length says, up to 4 GiB, before it looks for the text.
    Only texts that lie in one piece are checked; h5py writes them so.
    """
    offset = item.id.get_offset()
    sizes = item.file.id.get_create_plist().get_sizes()
    if item.dtype.kind != "O" or offset is None or tuple(sizes) != (8, 8):
        return
    size = stream.seek(0, io.SEEK_END)
    stream.seek(offset)
    pointers = np.frombuffer(stream.read(item.size * _TEXT_POINTER.itemsize), _TEXT_POINTER)
    longest = int(pointers["length"].max(initial=0))
    if longest > size:
        raise ValueError(f"it is damaged: a text of {longest} bytes in a file of {size}")


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ValueError("an array of objects is never unpickled; save an array of numbers")
