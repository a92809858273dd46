"""Arrays by key from npz, HDF5, Parquet and CSV files; a pickle is never loaded.

The libraries do not document which errors a damaged file makes them raise (zip, zlib, header and
memory errors, …): hence `except Exception` wherever one of them reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from vae_core.data.npy_header import read_npy_header
from vae_core.data.own_files import tables
from vae_core.data.own_files.array_files import (
    first_line,
    require_characters,
    require_own_values,
    require_stored,
    require_text_lengths,
)
from vae_core.data.own_files.array_sizes import require_fits
from vae_core.data.own_files.factor_choice import is_index
from vae_core.data.own_files.tables import Table

Array = NDArray[Any]

_NUMBERED = re.compile(r"(.+)_(0|[1-9][0-9]*)")
_OBJECTS = "holds Python objects (a pickle), which are never loaded; store plain numbers"


@dataclass(frozen=True)
class Content:
    """The wanted keys of a file with their arrays, its other keys, and what could not be read."""

    arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    # The factors of a table, by name: columns of different kinds, so no matrix.
    factor_columns: dict[str, Array] = field(default_factory=dict[str, Array])
    ignored: list[str] = field(default_factory=list[str])  # keys that were not wanted
    # Each begins with the key, in a table with the column.
    problems: list[str] = field(default_factory=list[str])
    failed: set[str] = field(default_factory=set[str])  # the keys that the problems are about
    notes: list[str] = field(default_factory=list[str])  # how the file was read
    hint: str = ""  # the advice if no wanted key is there

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
    content = Content()
    try:
        file = np.load(stream, allow_pickle=False)
    except Exception as error:
        text = first_line(error)
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
            _check_member(file.zip, key)
            array = file[key]
            require_characters(array)
        except Exception as error:
            is_pickle = "allow_pickle" in str(error)
            rule = _OBJECTS if is_pickle else f"cannot be read ({first_line(error)})"
            content.add_problem(key, rule)
            continue
        content.arrays[key] = array
    return content


def _check_member(archive: Any, key: str) -> None:
    """Raise ValueError if a member of an .npz is no array, is cut, or is too large for memory."""
    names = archive.namelist()
    member = archive.getinfo(key if key in names else f"{key}.npy")
    with archive.open(member) as file:
        # numpy would read a member that is no array completely, and return its bytes.
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise ValueError("it is not an array")
        file.seek(0)
        shape, _, dtype = read_npy_header(file)
        if dtype.hasobject:
            return  # numpy refuses it
        require_stored(shape, dtype, member.file_size - file.tell())
    require_fits(shape, dtype)


def hdf5(stream: BinaryIO, wanted: Sequence[str]) -> Content:
    """Return the wanted data sets at the top level of an HDF5 file.

    Raises:
        Unreadable: it is not an HDF5 file, or it is damaged.
    """
    import h5py

    content = Content()
    try:
        with h5py.File(stream, "r") as file:
            for key in map(str, file):
                if key not in wanted:
                    content.ignored.append(key)
                    continue
                try:
                    if isinstance(file.get(key, getlink=True), h5py.ExternalLink):
                        raise ValueError("it lies in another file; store it in this one")
                    content.arrays[key] = _hdf5_array(file[key], stream)
                except Exception as error:
                    content.add_problem(key, f"cannot be read ({first_line(error)})")
    except Exception as error:
        reason = first_line(error)
        raise Unreadable(f"is not an HDF5 file, or is damaged ({reason})") from error
    return content


def _hdf5_array(item: Any, stream: BinaryIO) -> Array:
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise ValueError("it is a group, not a data set")
    require_own_values(item)
    require_fits(item.shape or (), item.dtype)
    if h5py.check_string_dtype(item.dtype) is not None:
        require_text_lengths(item, stream)
        return np.array(item.asstr()[()], dtype=np.str_)
    if item.dtype.kind == "O":
        raise ValueError("its rows differ in length, or are references")
    if item.shape is None:
        raise ValueError("it is empty")
    return item[()]


class _Role(NamedTuple):
    """What a column of a table holds."""

    key: str
    # The number of the column in a matrix, the name of a factor, or "" for all of the key.
    part: str


def table(stream: BinaryIO, wanted: Sequence[str], *, suffix: str) -> Content:
    """Return the wanted columns of a table, Parquet or CSV, joined to one array per key.

    `sweeps.scoring.codes_file` describes how columns are named.

    Raises:
        Unreadable: it is not such a table, it is damaged, or two columns have the same name.
    """
    try:
        columns = tables.read_table(
            stream.read(), suffix, lambda name: _role(name, wanted) is not None
        )
    except ValueError as error:
        raise Unreadable(first_line(error)) from error
    except Exception as error:
        kind = "a Parquet file" if suffix == ".parquet" else "CSV"
        raise Unreadable(f"is not {kind}, or is damaged ({first_line(error)})") from error
    content = Content(notes=list(columns.notes), hint=columns.hint)
    roles: dict[str, _Role] = {}
    for name in columns.names:
        role = _role(name, wanted)
        if role is not None:
            roles[name] = role
        elif not is_index(name):
            content.ignored.append(name)
    arrays: dict[str, Array] = {}
    for name, role in roles.items():
        try:
            arrays[name], notes = _column(columns, name, role)
        except Exception as error:
            content.add_problem(role.key, first_line(error), column=name)
        else:
            content.notes.extend(f"{name} {note}" for note in notes)
    for key in dict.fromkeys(role.key for role in roles.values()):
        _join_columns(key, arrays, roles, content)
    return content


def _role(name: str, wanted: Sequence[str]) -> _Role | None:
    """Return the role of a column, None if it is not wanted."""
    numbered = _NUMBERED.fullmatch(name)
    if name.startswith("factor_"):
        return _Role("factors", name.removeprefix("factor_"))
    if name in wanted:
        return _Role(name, "")
    if numbered and numbered[1] in wanted:
        return _Role(numbered[1], numbered[2])
    return None


def _column(columns: Table, name: str, role: _Role) -> tuple[Array, list[str]]:
    """Return a column with one axis, or two if it has lists of numbers, and notes on it.

    Raises:
        ValueError: the column holds something else, lists of several lengths, or no value in a row.
    """
    if role.key == "factors" and role.part:
        return columns.values(name)
    lists = columns.lists(name)
    if lists is not None:
        return lists, []
    if not role.part and role.key != "weights":
        numbered = "factor_NAME" if role.key == "factors" else f"{role.key}_0"
        raise ValueError(f"must hold lists, or be columns with one number each: {numbered}, …")
    values, notes = columns.values(name)
    if values.dtype.kind not in "biuf":
        texts = [str(value) for value in values.tolist()]
        raise ValueError(f"must hold numbers, got {_kind(values)} such as {_first_text(texts)!r}")
    return values, notes


def _kind(values: Array) -> str:
    return "text" if values.dtype.kind == "U" else "times"


def _first_text(texts: Sequence[str]) -> str:
    """Return the first text that is no number, or the first one."""
    for text in texts:
        try:
            float(text)
        except ValueError:
            return text
    return texts[0]


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
            rule = "occurs twice, as a column of lists and as several columns; keep one of them"
            content.add_problem(key, rule)
        return
    if key == "factors":
        for name, factor in parts.items():
            content.factor_columns[factor] = columns[name]
        return
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


Reader = Callable[[BinaryIO, Sequence[str]], Content]
READERS: dict[str, Reader] = {
    ".npz": npz,
    ".h5": hdf5,
    ".hdf5": hdf5,
    **{suffix: functools.partial(table, suffix=suffix) for suffix in tables.TABLE_SUFFIXES},
}
