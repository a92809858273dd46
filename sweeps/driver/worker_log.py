"""The end of a worker's output: what a failed trial printed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

LOG_TAIL = 8_000
"""Bytes of a failed trial's output that are kept."""

FLUSH = 0.2
"""Seconds that Ray gets to write the last lines, if it copies the output to files that it rotates.
"""


class LogStart(NamedTuple):
    """Where the output of a trial begins in a log file."""

    inode: int
    size: int
    modified: int  # nanoseconds: when the file was written last


def log_starts() -> dict[str, LogStart]:
    """Return the present end of every log file: where the output of the next trial begins."""
    starts: dict[str, LogStart] = {}
    for path in _log_files():
        status = os.stat(path)
        starts[path] = LogStart(status.st_ino, status.st_size, status.st_mtime_ns)
    return starts


def log_tail(starts: dict[str, LogStart]) -> str:
    """Return the end of what was written to the log files since `starts` (see `log_starts`).

    It reads at most `LOG_TAIL` bytes of a file, whatever its size.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if _rotates():
        time.sleep(FLUSH)
    output = b"".join(_end_of(path, starts.get(path)) for path in _log_files())
    return output[-LOG_TAIL:].decode(errors="replace")


def shortened(text: str, length: int) -> str:
    """Return a text of at most about `length` characters: its beginning and its end."""
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"


def _end_of(path: str, start: LogStart | None) -> bytes:
    """Return the end of a log file and, if Ray has begun a new one since, of the one before."""
    output = _last_bytes(path, start)
    if start is not None and len(output) < LOG_TAIL:
        with contextlib.suppress(OSError):
            if os.stat(f"{path}.1").st_mtime_ns > start.modified:
                output = _last_bytes(f"{path}.1", start) + output
    return output[-LOG_TAIL:]


def _last_bytes(path: str, start: LogStart | None) -> bytes:
    """Return the last bytes of a file, after `start` if that lies in it."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            begin = 0
            # A file system may give a new file the number of a deleted one.
            if start and start.inode == status.st_ino and start.size <= status.st_size:
                begin = start.size
            file.seek(max(begin, status.st_size - LOG_TAIL))
            return file.read(LOG_TAIL)
    except OSError:  # Ray may rename the file at this moment
        return b""


def _rotates() -> bool:
    """Return whether stdout is a pipe: Ray reads it and writes files of a limited size."""
    return _target(1).startswith("pipe:")


def _log_files() -> list[str]:
    """Return the files that stdout and stderr of this process go to (Ray's worker logs).

    They are open in this process, also if a thread of Ray writes them. The list is empty where the
    system does not tell.
    """
    descriptors = [1, 2]
    if _rotates():
        descriptors += sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    paths: list[str] = []
    for descriptor in descriptors:
        path = _target(descriptor)
        is_log = descriptor <= 2 or path.endswith((f"-{os.getpid()}.out", f"-{os.getpid()}.err"))
        if is_log and os.path.isfile(path) and path not in paths:
            paths.append(path)
    return paths


def _target(descriptor: int) -> str:
    """Return what a descriptor of this process is open on, "" where the system does not tell."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
