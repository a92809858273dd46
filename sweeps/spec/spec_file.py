"""Reads the bytes of a file that a user names, within limits of time and size."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from sweeps.spec import limits

PIPE_SECONDS = 5.0
"""How long a pipe may take to give a spec, as in `sweeps run <(make-spec)`."""


def read_bytes(file: Path, *, most: int = limits.BYTES, what: str = "a spec") -> bytes:
    """Return the content of a file or of a pipe.

    Args:
        file: the file.
        most: bytes that it may have.
        what: what messages call its content.

    Raises:
        OSError: the system refuses.
        ValueError: it is no file, it is too large, or a pipe does not end in time; the message
            says which.
    """
    # Without O_NONBLOCK the opening of a pipe that nobody writes to would wait for ever.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise ValueError(f"is a folder; {what} is a file of text")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ValueError(f"is a device; {what} is a file of text")
        return _read_all(descriptor, most, what)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, most: int, what: str) -> bytes:
    """Return what can be read up to the end, at most `most` bytes."""
    end = time.monotonic() + PIPE_SECONDS
    content = b""
    while len(content) <= most:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise ValueError(f"gives no end of its text within {PIPE_SECONDS:g} s; name a file")
        part = os.read(descriptor, most + 1 - len(content))
        if not part:
            return content
        content += part
    raise ValueError(
        f"must have at most {most} bytes, got more; {what} is a short text, and data are named in "
        "a spec by their path"
    )
