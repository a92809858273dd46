"""Arrays in the cache: written atomically with their sha256 beside them, checked on every load."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae_core.atomic_files import replacing, write_atomically
from vae_core.data.cache.fingerprint import digest

Images = NDArray[np.uint8]


def cache_folder() -> Path:
    """Return the folder of prepared data sets: `SWEEPS_DATA`, by default `~/.cache/sweeps`."""
    # Not `Path.expanduser`, which raises for `~name` if there is no such user.
    return Path(os.path.expanduser(os.environ.get("SWEEPS_DATA") or "~/.cache/sweeps"))


def array_path(cache: Path, stem: str, content: object) -> Path:
    """Return the path of an array in the cache; equal content has the same path.

    Args:
        cache: the folder.
        stem: the readable start of the file's name.
        content: what determines the array, JSON-ready; its hash is the end of the name.
    """
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return cache / f"{stem}-{key}.npy"


def load_or_make(path: Path, make: Callable[[], Images]) -> tuple[Images, str]:
    """Return the array of a file and its sha256; make and store it if it is absent or damaged.

    Several processes may do this at once: each replaces the file as a whole, and all of them write
    the same content. If the folder cannot be written to, a warning says so, and the array is made
    again at the next call.
    """
    if path.exists():
        try:
            return load_checked(path)
        except ValueError as error:
            warnings.warn(f"{error}; it is made again", stacklevel=2)
    images = make()
    sha256 = digest(images)
    try:
        _store(path, images, sha256)
    except OSError as error:
        warnings.warn(
            f"{path} could not be written ({error}); set SWEEPS_DATA to a writable folder",
            stacklevel=2,
        )
    return images, sha256


def load_checked(path: Path, *, mapped: bool = False) -> tuple[Images, str]:
    """Return a stored array and its sha256.

    Args:
        path: of the .npy.
        mapped: leaves the array on disk and reads it when it is used.

    Raises:
        ValueError: the file cannot be read, or does not have the sha256 that is stored beside it.
    """
    try:
        expected = checksum_file(path).read_text().split()[0]
        images: Images = np.load(path, allow_pickle=False, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    sha256 = digest(images)
    if sha256 != expected:
        raise ValueError(f"{path} is damaged: its sha256 is {sha256}, expected {expected}")
    return images, sha256


def checksum_file(path: Path) -> Path:
    """Return the file that holds the sha256 of a stored array's bytes (without the .npy header)."""
    return path.with_suffix(".sha256")


def write_checksum(path: Path, sha256: str) -> None:
    """Write the sha256 of a stored array beside it."""
    write_atomically(checksum_file(path), f"{sha256}\n".encode(), durable=True)


def _store(path: Path, images: Images, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checksum(path, sha256)  # before the array, so that no array is without its checksum
    with replacing(path, durable=True) as aside, aside.open("wb") as file:
        np.save(file, images, allow_pickle=False)
