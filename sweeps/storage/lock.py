"""The lock of a sweep: one driver at a time on one machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from sweeps.errors import SweepError
from sweeps.storage.workspace import WorkspacePaths, writing


@contextlib.contextmanager
def one_driver(name: str, workspace: Path) -> Iterator[None]:
    """Hold the lock of a sweep. The kernel frees it however this process ends.

    Raises:
        SweepError: another process holds the lock.
    """
    with writing(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        lock = open(WorkspacePaths(workspace).lock(name), "a+")  # noqa: SIM115 (closed below)
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise SweepError(
                f"sweep {name!r} is being driven by {owner}; end that one first"
            ) from None
        file.truncate(0)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"pid {os.getpid()} on {platform.node()} since {started}")
        file.flush()
        yield


def is_locked(workspace: Path, name: str) -> bool:
    """Return whether a process holds the lock of a sweep."""
    try:
        with open(WorkspacePaths(workspace).lock(name)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
