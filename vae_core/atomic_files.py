"""Files that are replaced as a whole: a reader sees the old content or the new, never a part of it.

The content is written to a file aside in the same folder, which then takes the name of the target.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file as a whole; after a failure the target has its old content.

    Args:
        path: of the target; its folder must exist.
        content: of the target.
        durable: waits until the file and its name are on disk, so that they survive a power cut.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    with replacing(path, durable=durable) as aside:
        aside.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Generator[Path]:
    """Yield the path of an empty file aside, which takes the name of the target at the end.

    If the body raises, the file aside is removed and the target has its old content.

    Args:
        path: of the target; its folder must exist.
        durable: waits until the file and its name are on disk, so that they survive a power cut.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        if durable:
            _sync(aside)
        aside.chmod(0o644)  # mkstemp makes it private; other users may share the folder
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)  # after the rename there is none
    if durable:
        _sync(path.parent)  # a rename is an entry of the folder


def _sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
