"""Notices if images that stay on disk change while trials train on them.

Data in memory cannot change: every process gets the driver's copy. Images that are too large for
memory are a map of a file, and each process opens that file by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_core.data.cache.fingerprint import digest, fingerprint
from vae_core.types import Data


class DataChangedError(Exception):
    """The images on disk are not those that the driver loaded."""


class FileStamp(NamedTuple):
    """What tells without reading a file that it is unchanged."""

    size: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds, also by a change that keeps `modified`
    inode: int


def file_stamp(data: Data) -> FileStamp | None:
    """Return the stamp of the file that holds the images; None if they are in memory or gone."""
    if not isinstance(data.images, np.memmap) or data.images.filename is None:
        return None
    try:
        status = Path(data.images.filename).stat()
    except OSError:
        return None
    return FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class DataGuard:
    """Checks in the process of a trial that its data are those of the driver.

    The content is read only if the stamp of the file is another one than at the last check: on
    another node with a copy of its own, or after a change of the file.
    """

    def __init__(self, data: Data, stamp: FileStamp | None) -> None:
        self._data = data
        self._stamp = stamp  # of the driver's file, then of the last check

    def check(self) -> None:
        """Raise DataChangedError if the images are not those that the driver loaded."""
        data = self._data
        if not isinstance(data.images, np.memmap):
            return
        stamp = file_stamp(data)
        if stamp is not None and stamp == self._stamp:
            return
        if self._is_truncated(stamp):  # to read a page that is gone would kill this process
            raise DataChangedError(_message(data, "is shorter now"))
        content = fingerprint(
            digest(data.images),
            data.shape,
            packed=data.packed,
            levels=data.levels,
            factors=data.factors,
        )
        if content != data.fingerprint:
            now = f"has another content now (fingerprint {content[:12]}…)"
            raise DataChangedError(_message(data, now))
        self._stamp = stamp

    def _is_truncated(self, stamp: FileStamp | None) -> bool:
        """Return whether the file that is open here has lost bytes."""
        earlier = self._stamp
        if stamp is None or earlier is None:
            return False
        return stamp.inode == earlier.inode and stamp.size < earlier.size


def _message(data: Data, change: str) -> str:
    """Return the message for a file that changed, with its remedy."""
    assert isinstance(data.images, np.memmap)
    return (
        f"the data changed while the sweep ran: {data.images.filename} {change}, and the sweep "
        f"began with fingerprint {data.fingerprint[:12]}…; leave the file alone while a sweep "
        "runs; put its content back, or delete it: it is then made again"
    )
