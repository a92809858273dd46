"""Arrays by key from npz, HDF5 and Parquet files; a pickle is never loaded.

The libraries do not document which errors a damaged file makes them raise (zip, zlib, header and
memory errors, …): hence `except Exception` wherever one of them reads.
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
    """The wanted keys of a file with their arrays, its other keys, and what could not be read."""

    arrays: dict[str, Array]
    ignored: list[str]  # keys that were not wanted
    problems: list[str]  # each begins with the key, in Parquet with the column
    failed: set[str]  # the keys that the problems are about

    def add_problem(self, key: str, rule: str, *, column: str = "") -> None:
        """Add a problem of a key, or of a column that belongs to the key."""
        self.problems.append(f"{column or key} {rule}")
        self.failed.add(key)


class Unreadable(ValueError):
    """A file that cannot be read at all: it is not what its ending says, or it is damaged."""


def npz(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted arrays of an .npz file.

    Raises:
        Unreadable: it is not an .npz file, or it is damaged.
    """
    content = Content({}, [], [], set())
    try:
        file = np.load(stream, allow_pickle=False)
    except Exception as error:
        text = _first_line(error)
        # numpy takes all that it does not know for a pickle, and its error tells how to load one.
        reason = "" if "pickle" in text else f" ({text})"
        raise Unreadable(f"is not an .npz file, or is damaged{reason}") from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise Unreadable("holds a single array; save with np.savez(file, mean=…, factors=…)")
    for key in file.files:
        if key not in wanted:
            content.ignored.append(key)
            continue
        try:
            array = file[key]
        except Exception as error:
            is_pickle = "allow_pickle" in str(error)
            rule = _OBJECTS if is_pickle else f"cannot be read ({_first_line(error)})"
            content.add_problem(key, rule)
            continue
        if isinstance(array, np.ndarray):
            content.arrays[key] = array
        else:  # for a member that is no array, numpy returns its bytes
            content.add_problem(key, "is not an array")
    return content


def hdf5(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted data sets at the top level of an HDF5 file.

    Raises:
        Unreadable: it is not an HDF5 file, or it is damaged.
    """
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
                    content.add_problem(key, f"cannot be read ({_first_line(error)})")
    except Exception as error:
        reason = _first_line(error)
        raise Unreadable(f"is not an HDF5 file, or is damaged ({reason})") from error
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


class _Role(NamedTuple):
    """What a column of a Parquet file holds."""

    key: str
    part: (
        str  # the number of the column in a matrix, the name of a factor, or "" for all of the key
    )


def parquet(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted columns of a Parquet file, joined to one array per key.

    `sweeps.scoring.codes_file` describes how columns are named.

    Raises:
        Unreadable: it is not a Parquet file, it is damaged, or two columns have the same name.
    """
    from pyarrow import parquet

    content = Content({}, [], [], set())
    try:
        file = parquet.ParquetFile(stream)
        names = list(file.schema_arrow.names)
    except Exception as error:
        reason = _first_line(error)
        raise Unreadable(f"is not a Parquet file, or is damaged ({reason})") from error
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Unreadable(f"has more than one column named {', '.join(doubled)}")
    roles = _roles(names, wanted)
    for name in names:
        if name not in roles and not name.startswith("__"):
            content.ignored.append(name)
    columns: dict[str, Array] = {}
    try:
        table = file.read(columns=list(roles))
    except Exception as error:
        raise Unreadable(f"cannot be read ({_first_line(error)})") from error
    for name, role in roles.items():
        try:
            columns[name] = _column(table[name])
        except Exception as error:
            content.add_problem(role.key, _first_line(error), column=name)
    for key in dict.fromkeys(role.key for role in roles.values()):
        _join_columns(key, columns, roles, content)
    return content


def _roles(names: Sequence[str], wanted: Sequence[str]) -> dict[str, _Role]:
    """Return the role of each wanted column, by the column's name."""
    roles: dict[str, _Role] = {}
    for name in names:
        numbered = _NUMBERED.fullmatch(name)
        if name.startswith("factor_"):
            roles[name] = _Role("factors", name.removeprefix("factor_"))
        elif name in wanted:
            roles[name] = _Role(name, "")
        elif numbered and numbered[1] in wanted:
            roles[name] = _Role(numbered[1], numbered[2])
    return roles


def _column(column: Any) -> Array:
    """Return a column as an array: one axis for numbers, two axes for lists of numbers.

    Raises:
        ValueError: the column holds something else, lists of several lengths, or null.
    """
    import pyarrow as pa
    from pyarrow import compute

    pc: Any = compute  # its functions are created at import, so no type checker knows them
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


def _join_columns(
    key: str, columns: Mapping[str, Array], roles: Mapping[str, _Role], content: Content
) -> None:
    """Put the array of a key into the content; several columns become a matrix.

    Args:
        key: the key.
        columns: the columns that could be read, by name.
        roles: the roles of all columns.
        content: gets the array, or the problem.
    """
    parts = {name: role.part for name, role in roles.items() if role.key == key}
    if not parts.keys() <= columns.keys():
        return  # a column could not be read: its problem is in the content
    if key in parts:
        content.arrays[key] = columns[key]
        if len(parts) > 1:
            rule = "occurs twice, as a column of lists and as numbered columns; keep one of them"
            content.add_problem(key, rule)
        return
    names = list(parts)
    if key == "factors":
        content.arrays["factor_names"] = np.array(list(parts.values()))
    else:
        names = [f"{key}_{j}" for j in range(len(parts))]
        absent = [name for name in names if name not in parts]
        if absent:
            rule = f"is missing: columns of {key} are numbered from 0 without a gap"
            content.add_problem(key, rule, column=absent[0])
            return
    nested = [name for name in names if columns[name].ndim != 1]
    if nested:
        content.add_problem(key, "must hold one number per row, got lists", column=nested[0])
        return
    content.arrays[key] = np.stack([columns[name] for name in names], axis=1)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message without a period, or its class if it is empty."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    lines = str(message).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


Reader = Callable[[BinaryIO, Sequence[str]], Content]
READERS: dict[str, Reader] = {".npz": npz, ".h5": hdf5, ".hdf5": hdf5, ".parquet": parquet}
