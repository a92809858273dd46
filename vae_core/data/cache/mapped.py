"""Sets too large for memory: written to the cache block by block, then read from disk as they are used."""

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

from vae_core.data.cache import store
from vae_core.data.cache.store import Images

SHARE = 0.5
"""Of the memory that is free, what a data set may take: training, and a copy while it is read, need the rest."""


def fits(size: int, available: int | None = None) -> bool:
    """Whether so many bytes lie comfortably in memory.

    Args:
        size: of the images, in bytes.
        available: free memory in bytes; None: of this machine, now.
    """
    return size <= SHARE * (available_memory() if available is None else available)


def available_memory() -> int:
    """Return the bytes of memory that this process may still take."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError):  # no /proc outside Linux: all of the memory, then
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(
            (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")),
            free,
        )
    with contextlib.suppress(OSError, ValueError):  # "max": no limit; no file: no control group
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return free


def mapped_or_made(
    path: Path, shape: tuple[int, int], blocks: Callable[[], Iterable[Images]]
) -> tuple[Images, str]:
    """Return a stored array as a memory map with its sha256, making and storing it when absent or damaged.

    Args:
        path: of the .npy.
        shape: of the whole array.
        blocks: its rows in order, a block at a time: only one of them is in memory.

    Raises:
        ValueError: the folder cannot be written to; there is nowhere else for the images to be.
    """
    if path.exists():
        try:
            return store.checked(path, mapped=True)
        except ValueError as error:
            warnings.warn(f"{error}; making it anew", stacklevel=2)
    try:
        _store(path, shape, blocks())
    except OSError as error:
        gigabytes = math.prod(shape) / 1e9
        raise ValueError(
            f"{path} could not be written ({error}), and its {gigabytes:.1f} GB do not fit in memory; "
            "set SWEEPS_DATA to a folder with room, or take fewer images"
        ) from error
    return store.checked(path, mapped=True)


def _store(path: Path, shape: tuple[int, int], blocks: Iterable[Images]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed, rows = hashlib.sha256(), 0
    with store.renamed(path) as file:
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            content = np.ascontiguousarray(block).data
            file.write(content)
            hashed.update(content)
            rows += len(block)
        assert rows == shape[0], f"{rows} rows were made of {shape[0]}"
        with store.renamed(store.beside(path)) as beside:  # before the array takes its name
            beside.write(f"{hashed.hexdigest()}\n".encode())
