"""Arrays by key from npz, HDF5 and Parquet files; a pickle is never loaded.

What a damaged file makes these libraries raise is in none of their contracts (zip, zlib, header and memory errors, …):
hence `except Exception` wherever one of them reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_NUMBERED = re.compile(r"(.+)_(0|[1-9][0-9]*)")
_OBJECTS = "holds Python objects (a pickle), which are never loaded; store plain numbers"


class Content(NamedTuple):
    """What a file holds of the keys that were wanted, the keys that were not, and what could not be read."""

    arrays: dict[str, Array]
    ignored: list[str]
    mistakes: list[str]  # each begins with the key, in Parquet with the column
    failed: set[str]  # the keys that they are about

    def wrong(self, key: str, rule: str, *, called: str = "") -> None:
        """Add a mistake of a key, or of the column `called` that belongs to it."""
        self.mistakes.append(f"{called or key} {rule}")
        self.failed.add(key)


class Unreadable(ValueError):
    """The file as a whole is not what its ending says."""


def npz(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted arrays of an .npz."""
    content = Content({}, [], [], set())
    try:
        found = np.load(stream, allow_pickle=False)
    except Exception as error:
        said = _said(
            error
        )  # numpy takes whatever it does not know for a pickle, and says how to load it
        raise Unreadable(
            "is no .npz, or a damaged one" + ("" if "pickle" in said else f" ({said})")
        ) from error
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise Unreadable("holds a single array; save with np.savez(file, mean=…, factors=…)")
    for key in found.files:
        if key not in wanted:
            content.ignored.append(key)
            continue
        try:
            array = found[key]
        except Exception as error:
            objects = "allow_pickle" in str(error)
            content.wrong(key, _OBJECTS if objects else f"cannot be read ({_said(error)})")
            continue
        if isinstance(array, np.ndarray):  # numpy hands out the bytes of a member that is no array
            content.arrays[key] = array
        else:
            content.wrong(key, "is not an array")
    return content


def hdf5(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted data sets of an HDF5 file; they lie at its top."""
    import h5py

    content = Content({}, [], [], set())
    try:
        with h5py.File(stream, "r") as file:
            for key in map(str, file):
                if key not in wanted:
                    content.ignored.append(key)
                    continue
                try:
                    content.arrays[key] = _hdf5_array(file[key])
                except Exception as error:
                    content.wrong(key, f"cannot be read ({_said(error)})")
    except Exception as error:
        raise Unreadable(f"is no HDF5 file, or a damaged one ({_said(error)})") from error
    return content


def _hdf5_array(item: Any) -> Array:
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise ValueError("it is a group, not a data set")
    if h5py.check_string_dtype(item.dtype) is not None:
        return np.array(item.asstr()[()], dtype=np.str_)
    if item.dtype.kind == "O":
        raise ValueError("its rows differ in length, or are references")
    if item.shape is None:
        raise ValueError("it is empty")
    return item[()]


def parquet(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted columns of a Parquet file, put together as `sweeps.codes_file` describes them."""
    from pyarrow import parquet

    content = Content({}, [], [], set())
    try:
        file = parquet.ParquetFile(stream)
        names = list(file.schema_arrow.names)
    except Exception as error:
        raise Unreadable(f"is no Parquet file, or a damaged one ({_said(error)})") from error
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Unreadable(f"has more than one column named {', '.join(doubled)}")
    roles = _roles(names, wanted)
    content.ignored.extend(
        name for name in names if name not in roles and not name.startswith("__")
    )
    columns: dict[str, Array] = {}
    try:
        table = file.read(columns=list(roles))
    except Exception as error:
        raise Unreadable(f"cannot be read ({_said(error)})") from error
    for name in roles:
        try:
            columns[name] = _column(table[name])
        except Exception as error:
            content.wrong(roles[name][0], _said(error), called=name)
    _put_together(columns, roles, content)
    return content


def _roles(names: Sequence[str], wanted: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return column -> (key, which part of it): a number, a factor's name, or "" where it is the whole."""
    roles: dict[str, tuple[str, str]] = {}
    for name in names:
        numbered = _NUMBERED.fullmatch(name)
        if name.startswith("factor_"):
            roles[name] = ("factors", name.removeprefix("factor_"))
        elif name in wanted:
            roles[name] = (name, "")
        elif numbered and numbered[1] in wanted:
            roles[name] = (numbered[1], numbered[2])
    return roles


def _column(column: Any) -> Array:
    """Return a column as an array, one axis of numbers or two of lists; ValueError says what is wrong with it."""
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute  # its functions are made at import, which no type checker sees
    kind = column.type
    if column.null_count:
        raise ValueError(f"has no value in {column.null_count} of {len(column)} rows")
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) > 1:
            raise ValueError(
                f"must hold lists of one length, got from {min(lengths)} to {max(lengths)}"
            )
        flat = _column(pa.chunked_array([pc.list_flatten(column).combine_chunks()]))
        return flat.reshape(len(column), lengths[0] if lengths else 0)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"must hold numbers, got {kind}")
    return column.to_numpy()


def _put_together(
    columns: Mapping[str, Array], roles: Mapping[str, tuple[str, str]], content: Content
) -> None:
    """Make matrices of the columns that are parts of one."""
    for key in dict.fromkeys(key for key, _ in roles.values()):
        own = {name: part for name, (of, part) in roles.items() if of == key}
        if not own.keys() <= columns.keys():
            continue  # told already
        if key in own:
            content.arrays[key] = columns[key]
            if len(own) > 1:
                content.wrong(key, "is there twice: as a column of lists, and numbered")
            continue
        if key == "factors":
            content.arrays["factor_names"] = np.array(list(own.values()))
        else:
            absent = [f"{key}_{j}" for j in range(len(own)) if f"{key}_{j}" not in own]
            if absent:
                rule = f"is missing: columns of {key} are numbered from 0 without a gap"
                content.wrong(key, rule, called=absent[0])
                continue
            own = {f"{key}_{j}": str(j) for j in range(len(own))}
        nested = [name for name in own if columns[name].ndim != 1]
        if nested:
            content.wrong(key, "must hold one number a row, got lists", called=nested[0])
            continue
        content.arrays[key] = np.stack([columns[name] for name in own], axis=1)


def _said(error: Exception) -> str:
    """Return the first line of an error, without a full stop; its kind where it says nothing."""
    lines = (
        str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        .strip()
        .splitlines()
    )
    return lines[0].rstrip(".") if lines else type(error).__name__


Reader = Callable[[BinaryIO, Sequence[str]], Content]
READERS: dict[str, Reader] = {".npz": npz, ".h5": hdf5, ".hdf5": hdf5, ".parquet": parquet}
