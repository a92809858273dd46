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


@contextlib.contextmanager
def one_driver(name: str, workspace: Path) -> Iterator[None]:
    """Hold the sweep's lock: one driver at a time; the kernel frees it however this process ends."""
    workspace.mkdir(parents=True, exist_ok=True)
    path = workspace / f".{name}.lock"
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise SweepError(
                f"sweep {name!r} is being driven by {owner}; end that one first"
            ) from None
        file.truncate(0)
        file.write(
            f"pid {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        )
        file.flush()
        yield


def is_locked(workspace: Path, name: str) -> bool:
    """Return whether some process holds the sweep's lock."""
    import fcntl

    try:
        with open(workspace / f".{name}.lock") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
