"""Mutated files: real small files, changed at random by a seed, in bytes and in structure."""

from __future__ import annotations

import functools
import hashlib
import io
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import torch
from numpy.lib import format as npy
from pyarrow import parquet

BOMB_BYTES = 48 << 20
"""Bytes of zeros of a zip bomb; the tests say that so much does not fit into memory."""
HUGE = 10**12


# Bytes ------------------------------------------------------------------------------------------


def mutated_bytes(rng: random.Random, content: bytes) -> bytes:
    """Return a content with bytes flipped, cut, added, swapped, or set to 0 or 255."""
    size, kind = len(content), rng.randrange(7)
    start = rng.randrange(size + 1)
    stop = min(size, start + rng.choice((1, 4, 50, 2000)))
    if kind <= 1:
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 3, 30, 300))):
            changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == 2:
        return content[:start]
    if kind == 3:
        return content[:start] + content[stop:]
    if kind == 4:
        return content[:start] + rng.randbytes(rng.choice((1, 100, 5000))) + content[start:]
    if kind == 5:
        return content[stop:] + content[start:stop] + content[:start]
    return content[:start] + rng.choice((b"\0", b"\xff")) * (stop - start) + content[stop:]


# Arrays -----------------------------------------------------------------------------------------


def odd_array(rng: random.Random, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array with another dtype, shape or value."""
    kind = rng.randrange(12)
    if kind == 0:
        dtypes = ("f2", "f8", "f16", "i1", "u8", "?", "c8", "U3", "S3", "M8[s]", "m8[D]", ">f4")
        return np.zeros(array.shape, rng.choice(dtypes))
    if kind == 1:
        return array[: rng.randrange(len(array) + 1)] if array.ndim else array
    if kind == 2:
        return array.reshape(rng.choice(((1, -1), (-1,), (*array.shape, 1), (1, *array.shape))))
    if kind == 3:
        return np.asarray(array, order="F").T
    if kind == 4 and array.dtype.kind in "fiu" and array.size:
        changed = array.astype(np.float64)
        values = (np.nan, np.inf, -np.inf, 1e308, -1e308, 2.0**63, -1, 0.5, 1e-320)
        changed.flat[rng.randrange(changed.size)] = rng.choice(values)
        return changed
    if kind == 5:
        return np.zeros(
            rng.choice(((), (0,), (0, 3), (60, 0), (1,), (1, 1), (60,) * 2)), array.dtype
        )
    if kind == 6:
        texts = ("", "\0", "é", "\ud7ff", "x" * 300, "NaN", "1e400", "1,5", " 3 ")
        return np.array([rng.choice(texts) for _ in range(max(array.size, 1))]).reshape(array.shape)
    if kind == 7:
        return np.full(array.shape, rng.choice((2**63, 2**64 - 1)), np.uint64)
    if kind == 8:
        return np.zeros(array.shape[:1], [("a", "f4"), ("b", "i8", (2,))])
    if kind == 9:
        return np.full(array.shape, rng.choice((np.nan, np.inf, 0.0, -1.0, 256.0)))
    if kind == 10:
        return np.zeros((2,) * rng.choice((5, 20)), np.uint8)
    return array.copy()


# .npz -------------------------------------------------------------------------------------------


def mutated_npz(rng: random.Random, content: bytes) -> bytes:
    """Return an .npz with one member changed, added or removed."""
    with np.load(io.BytesIO(content)) as file:
        members = {f"{key}.npy": _npy_bytes(file[key]) for key in file.files}
        name = rng.choice(list(members))
        array = file[name.removesuffix(".npy")]
    kind = rng.randrange(14)
    if kind <= 3:
        members[name] = _npy_bytes(odd_array(rng, array))
    elif kind == 4:
        members[name] = mutated_bytes(rng, members[name])
    elif kind == 5:
        del members[name]
    elif kind == 6:
        shapes = ((HUGE,), (HUGE, 3), (60, HUGE), (2**62, 2**62), (-1, 3), (HUGE, 0), (60, 3, 0))
        dtypes = ("<f4", "<U1", "|O", "<U0", "|V0", "<U100000000", "|S0")
        members[name] = npy_header(rng.choice(shapes), rng.choice(dtypes))
    elif kind == 7:
        shape = rng.choice(((HUGE,), (10**8, 2), (60, 2), (60, 10**7)))
        members[name] = npy_header(shape, rng.choice(("<U0", "|S0", "|V0")))
    elif kind == 8:
        return zipped({**members, name: bomb_npy()}, zipfile.ZIP_DEFLATED)
    elif kind == 9:
        paths = (
            "../../mean.npy",
            "/etc/passwd",
            "..\\mean.npy",
            "mean.npy/..",
            "x\0.npy",
            "C:x.npy",
        )
        members[rng.choice(paths)] = members[name]
    elif kind == 10:  # a member that is no array, under the name of one
        plain = members.pop(name)
        members[rng.choice((name, name.removesuffix(".npy")))] = rng.choice(
            (b"", b"\x93NUM", b"PK\x03\x04", bytes(1000), content, plain[6:])
        )
    elif kind == 11:
        return _changed_directory(rng, zipped(members, zipfile.ZIP_DEFLATED))
    elif kind == 12:
        headers = ("{", "{'descr': 3}", "()", "{'descr': '<f4', 'fortran_order': 2, 'shape': 3}")
        deep = "(" * 5000
        members[name] = _raw_header(rng.choice((*headers, deep, "x" * 20000)))
    else:
        return members[name]  # an .npy that is called .npz
    return zipped(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))


def npy_header(shape: tuple[int, ...], descr: str) -> bytes:
    """Return an .npy with a header that promises a shape, and with 64 bytes of values."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    return _raw_header(header) + bytes(64)


def _raw_header(text: str) -> bytes:
    padded = text.encode("latin-1") + b"\n"
    return npy.MAGIC_PREFIX + b"\x02\x00" + struct.pack("<I", len(padded)) + padded


def _npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz_bytes(arrays: dict[str, Any]) -> bytes:
    """Return an .npz of arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip file of the members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@functools.cache
def bomb_npy() -> bytes:
    """Return an .npy of zeros that is compressed a thousand times within a zip."""
    rows = BOMB_BYTES // 12
    return npy_header((rows, 3), "<f4")[:-64] + bytes(rows * 12)


def _changed_directory(rng: random.Random, archive: bytes) -> bytes:
    """Return a zip file with a changed field of one entry of its directory, or of all its entries.

    The fields: flags (encrypted), method, checksum, compressed size, size, offset.
    """
    changed = bytearray(archive)
    field, length = rng.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (42, 4)))
    position = changed.find(b"PK\x01\x02")
    while position >= 0:
        changed[position + field : position + field + length] = rng.randbytes(length)
        if rng.random() < 0.5:
            break
        position = changed.find(b"PK\x01\x02", position + 4)
    return bytes(changed)


# HDF5 -------------------------------------------------------------------------------------------


def mutated_hdf5(rng: random.Random, content: bytes) -> bytes:
    """Return an HDF5 file with one data set changed, replaced by a link, or removed."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        key = rng.choice(list(file))
        array = file[key][()]
        if file[key].dtype.kind == "O":
            array = np.zeros(2, "S3")
        del file[key]
        _HDF5_CHANGES[rng.randrange(len(_HDF5_CHANGES))](rng, file, key, array)
    return buffer.getvalue()


def _hdf5_odd(rng: random.Random, file: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    changed = odd_array(rng, array)
    if changed.dtype.kind in "UMm":
        changed = np.char.encode(changed.astype("U30"), "utf-8")
    file[key] = changed


def _hdf5_huge(rng: random.Random, file: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    shape = rng.choice(((HUGE, 3), (HUGE,), (60, HUGE), (10**8, 3)))
    dtype = rng.choice(("f4", "i8", "S1", h5py.string_dtype()))
    file.create_dataset(key, shape, dtype, chunks=(1,) * len(shape))


def _hdf5_elsewhere(rng: random.Random, file: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        file[key] = h5py.ExternalLink("/etc/passwd", "/mean")
    elif kind == 1:
        file[key] = h5py.SoftLink(f"/{key}")  # to itself
    elif kind == 2:
        file.create_dataset(key, (60, 3), "u1", external=[("/etc/passwd", 0, 180)])
    elif kind == 3:
        layout = h5py.VirtualLayout((60, 3), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (60, 3))
        file.create_virtual_dataset(key, layout)
    else:
        file[key] = h5py.SoftLink("/none")


def _hdf5_other(rng: random.Random, file: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    kind = rng.randrange(6)
    if kind == 0:
        file.create_group(key)["values"] = array
    elif kind == 1:
        file[key] = h5py.Empty("f4")
    elif kind == 2:
        file.create_dataset(key, (60,), h5py.vlen_dtype(np.float32))
    elif kind == 3:
        file.create_dataset(key, (60, 2), h5py.ref_dtype)
    elif kind == 4:
        file[key] = file["/"]  # a group within itself
    else:
        file.create_dataset(key, (60, 3), h5py.enum_dtype({"a": 0, "b": 1}))


def _hdf5_bomb(rng: random.Random, file: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    file.create_dataset(key, (BOMB_BYTES // 12, 3), "f4", chunks=(1 << 16, 3), compression="gzip")[
        -1
    ] = 1


_HDF5_CHANGES: tuple[Callable[[random.Random, Any, str, np.ndarray[Any, Any]], None], ...] = (
    *(_hdf5_odd, _hdf5_odd, _hdf5_odd, _hdf5_huge, _hdf5_elsewhere, _hdf5_other, _hdf5_other),
    *(lambda rng, file, key, array: None, _hdf5_bomb),
)


# Tables -----------------------------------------------------------------------------------------


def mutated_parquet(rng: random.Random, content: bytes) -> bytes:
    """Return a Parquet file with a column changed, renamed, repeated or removed."""
    table = parquet.read_table(io.BytesIO(content))
    names, columns = list(table.column_names), list(table.columns)
    index, rows = rng.randrange(len(names)), table.num_rows
    kind = rng.randrange(7)
    if kind <= 2:
        columns[index] = _odd_column(rng, rows)
    elif kind == 3:
        names[index] = rng.choice(("", "\0", "é", "mean", "factor_", "file", names[0], "x" * 3000))
    elif kind == 4:
        del names[index], columns[index]
    elif kind == 5:
        huge = BOMB_BYTES // 8
        names, columns = [names[index]], [pa.array(np.zeros(huge, np.int64))]
    else:
        count = rng.choice((100, 2000))
        names, columns = [*names, *[names[index]] * count], [*columns, *[columns[index]] * count]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(columns, names), buffer)
    return buffer.getvalue()


def _odd_column(rng: random.Random, rows: int) -> Any:
    values: tuple[Any, ...] = (
        *(None, [1.0, None], [[1]], [], {"x": 1}, b"\xff", "\0", "", float("nan"), float("inf")),
        *(True, 2**63 - 1, -1, [1.0, 2.0], ["a"], "x" * 300),
    )
    kind = rng.randrange(8)
    if kind == 0:
        return pa.array([2**63 + row for row in range(rows)], pa.uint64())
    if kind == 1:
        types = (pa.date32(), pa.time32("s"), pa.null(), pa.bool_())
        kind = rng.choice(types)
        return pa.nulls(rows) if kind == pa.null() else pa.array([0] * rows, pa.int32()).cast(kind)
    if kind == 2:
        return pa.array([str(row) for row in range(rows)]).dictionary_encode()
    if kind == 3:
        return pa.array([row % 3 for row in range(rows)]).cast(pa.decimal128(30, 2))
    value = rng.choice(values)
    return pa.array([value] * rows)


def mutated_csv(rng: random.Random, content: bytes) -> bytes:
    """Return a CSV with pieces put in that mean something to a reader of CSV."""
    pieces = (
        *(
            b'"',
            b'""',
            b'"\n',
            b"\r",
            b"\n\n",
            b",,",
            b";",
            b"\t",
            b"\0",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
        ),
        *(b"x" * 200_000, b"a," * 20_000, b"mean_0," * 3000, b"nan", b"1e999", b"=cmd|' /C'!A0"),
        *(b"../../etc/passwd", b"2" * 500, "\u202e".encode(), b"\x1f\x8b", b"PAR1"),
    )
    for _ in range(rng.choice((1, 1, 2, 5))):
        start = rng.choice((0, rng.randrange(40), rng.randrange(len(content) + 1)))
        content = content[:start] + rng.choice(pieces) + content[start + rng.choice((0, 1, 9)) :]
    return content


# Checkpoints ------------------------------------------------------------------------------------


def signed(body: bytes) -> bytes:
    """Return a body with the checksum that a checkpoint begins with."""
    return hashlib.sha256(body).digest() + body


def mutated_checkpoint(rng: random.Random, blob: bytes) -> bytes:
    """Return a checkpoint with the right checksum, and with bytes or values changed."""
    if rng.random() < 0.3:
        return signed(mutated_bytes(rng, blob[32:]))
    content = torch.load(io.BytesIO(blob[32:]), weights_only=True)
    return signed(_saved(mutated_values(rng, content)))


def mutated_weights(rng: random.Random, blob: bytes) -> bytes:
    """Return a file of weights with values changed."""
    return _saved(mutated_values(rng, torch.load(io.BytesIO(blob), weights_only=True)))


def mutated_values(rng: random.Random, content: Any) -> Any:
    """Return nested mappings with one value changed, added, renamed or removed."""
    if rng.random() < 0.05:
        return rng.choice((None, [], 3, torch.zeros(3), "x"))
    slots: list[tuple[Any, Any]] = []
    to_visit = [content]
    while to_visit:
        outer = to_visit.pop()
        keys = list(outer) if isinstance(outer, dict) else range(len(outer))
        for key in keys:
            slots.append((outer, key))
            if isinstance(outer[key], dict | list) and outer[key]:
                to_visit.append(outer[key])
    # Outer values first: a change there says more than one of a single number.
    outer, key = slots[min(rng.randrange(len(slots)), rng.randrange(len(slots)))]
    circular: list[Any] = []
    circular.append(circular)
    values = (
        *(
            None,
            True,
            -1,
            0,
            10**30,
            1.5,
            float("nan"),
            "",
            "x" * 1000,
            b"x",
            (1, 2),
            [],
            {},
            {1: 2},
        ),
        *(torch.zeros(()), torch.zeros(3), torch.zeros(1).expand(10**6, 10**6), circular),
        *(torch.zeros(3, dtype=torch.complex64), torch.full((2, 2), float("nan"))),
    )
    if rng.random() < 0.25:
        del outer[key]
    elif isinstance(outer, dict) and rng.random() < 0.25:
        outer[rng.choice(("x", 1, None, (1, 2), f"{key}s"))] = outer.pop(key)
    else:
        outer[key] = rng.choice(values)
    return content


def _saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
