"""The end of a worker's output: what a failed trial printed."""

from __future__ import annotations

import os
import sys

LOG_TAIL = 8_000
"""Bytes of a failed trial's output that are kept."""


def log_sizes() -> dict[str, int]:
    """Return the size of every log file: where the output of the next trial begins."""
    return {path: os.path.getsize(path) for path in _log_files()}


def log_tail(start: dict[str, int]) -> str:
    """Return the end of what was written to the log files since `start` (see `log_sizes`)."""
    sys.stdout.flush()
    sys.stderr.flush()
    output = b""
    for path in _log_files():
        with open(path, "rb") as file:
            size = os.path.getsize(path)
            file.seek(max(start.get(path, 0), size - LOG_TAIL))
            output += file.read()
    return output[-LOG_TAIL:].decode(errors="replace")


def _log_files() -> list[str]:
    """Return the files that stdout and stderr of this process go to (Ray's worker logs).

    The list is empty where the system does not tell.
    """
    paths: list[str] = []
    for descriptor in (1, 2):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if os.path.isfile(path) and path not in paths:
            paths.append(path)
    return paths
