"""Sets that are too large for memory: written to the cache in blocks, read from disk when used."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from vae_core.atomic_files import replacing
from vae_core.data.cache import store
from vae_core.data.cache.store import Images

SHARE = 0.5
"""The share of free memory that a data set may take.

Training, and a copy of the set while it is read, need the rest.
"""


def fits_in_memory(size: int, available: int | None = None) -> bool:
    """Return whether a data set takes at most its share of the free memory.

    Args:
        size: of the images, in bytes.
        available: free memory in bytes; None: of this machine, now.
    """
    return size <= SHARE * (available_memory() if available is None else available)


def available_memory() -> int:
    """Return the bytes of memory that this process may still take."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):  # outside Linux there is no /proc: take all of the memory
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
                break
    with contextlib.suppress(OSError, ValueError):  # "max": no limit; no file: no control group
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free


def map_or_make(
    path: Path, shape: tuple[int, int], blocks: Callable[[], Iterable[Images]]
) -> tuple[Images, str]:
    """Return a stored array as a memory map, and its sha256; make it if it is absent or damaged.

    Args:
        path: of the .npy.
        shape: of the complete array.
        blocks: returns its rows in order, in blocks: only one block at a time is in memory.

    Raises:
        ValueError: the folder cannot be written to, and the images fit nowhere else.
    """
    if path.exists():
        try:
            return store.load_checked(path, mapped=True)
        except ValueError as error:
            warnings.warn(f"{error}; it is made again", stacklevel=2)
    try:
        _store(path, shape, blocks())
    except OSError as error:
        gigabytes = math.prod(shape) / 1e9
        raise ValueError(
            f"{path} could not be written ({error}), and its {gigabytes:.1f} GB do not fit in "
            "memory; set SWEEPS_DATA to a folder with room, or take fewer images"
        ) from error
    return store.load_checked(path, mapped=True)


def _store(path: Path, shape: tuple[int, int], blocks: Iterable[Images]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=True) as aside:
        sha256 = _write_npy(aside, shape, blocks)
        # Before the array takes its name, so that no array is without its checksum.
        store.write_checksum(path, sha256)


def _write_npy(path: Path, shape: tuple[int, int], blocks: Iterable[Images]) -> str:
    """Write an .npy from blocks of its rows; return the sha256 of its values."""
    sha256, rows = hashlib.sha256(), 0
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, header)
        for block in blocks:
            content = np.ascontiguousarray(block).data
            file.write(content)
            sha256.update(content)
            rows += len(block)
    assert rows == shape[0], f"{rows} rows were made of {shape[0]}"
    return sha256.hexdigest()
