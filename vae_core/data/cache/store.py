"""Arrays on disk: written aside and renamed, each with its sha256 beside it, checked on every load."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vae_core.data.cache.fingerprint import digest

Images = NDArray[np.uint8]


def cache_folder() -> Path:
    """Return the folder of prepared data sets: `SWEEPS_DATA`, by default `~/.cache/sweeps`."""
    return Path(os.environ.get("SWEEPS_DATA") or "~/.cache/sweeps").expanduser()


def named(cache: Path, stem: str, content: object) -> Path:
    """Return the name of an array in the cache: one per content (JSON-ready), whatever options say it."""
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return cache / f"{stem}-{key}.npy"


def stored_or_made(path: Path, make: Callable[[], Images]) -> tuple[Images, str]:
    """Return the array of a file with its sha256, making and storing it when the file is absent or damaged.

    Any number of processes may do so at once: each writes its own file aside and renames it, and what they
    write is the same. A folder that cannot be written to costs a warning, and the making next time.
    """
    if path.exists():
        try:
            return checked(path)
        except ValueError as error:
            warnings.warn(f"{error}; making it anew", stacklevel=2)
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


def checked(path: Path, *, mapped: bool = False) -> tuple[Images, str]:
    """Return a stored array and its sha256.

    Args:
        path: of the .npy.
        mapped: leaves the array on disk, read as it is used.

    Raises:
        ValueError: the file cannot be read, or is not the one whose sha256 stands beside it.
    """
    try:
        expected = beside(path).read_text().split()[0]
        images: Images = np.load(path, allow_pickle=False, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    found = digest(images)
    if found != expected:
        raise ValueError(f"{path} is damaged: its sha256 is {found}, expected {expected}")
    return images, found


def beside(path: Path) -> Path:
    """Return the file that holds the sha256 of a stored array's bytes (without the .npy header)."""
    return path.with_suffix(".sha256")


def _store(path: Path, images: Images, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with renamed(beside(path)) as file:  # first, so that an array never stands without it
        file.write(f"{sha256}\n".encode())
    with renamed(path) as file:
        np.save(file, images, allow_pickle=False)


@contextlib.contextmanager
def renamed(path: Path) -> Generator[BinaryIO]:
    """Open a file aside that takes the path's name once it is whole and on disk."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
