"""Reads the bytes of a spec file, or says why it cannot be read: never forever, never all of it."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from sweeps.spec import limits

PIPE_SECONDS = 5.0
"""How long a pipe may take to give a spec, as in `sweeps run <(make-spec)`."""


def read_bytes(file: Path) -> bytes:
    """Return the content of a file or of a pipe.

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
            raise ValueError("is a folder; a spec is a YAML file")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ValueError("is a device; a spec is a YAML file")
        return _read_all(descriptor)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    """Return what can be read up to the end, at most the largest size of a spec."""
    end = time.monotonic() + PIPE_SECONDS
    content = b""
    while len(content) <= limits.BYTES:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise ValueError(f"gives no end of its text within {PIPE_SECONDS:g} s; name a file")
        part = os.read(descriptor, limits.BYTES + 1 - len(content))
        if not part:
            return content
        content += part
    raise ValueError(
        f"must have at most {limits.BYTES} bytes, got more; a spec is a short YAML file, and data "
        "are named in it by their path"
    )
