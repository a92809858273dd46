"""The lock of a sweep: one driver at a time on one machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sweeps.errors import SweepError
from sweeps.storage.workspace import WorkspacePaths, writing


class HeldLock(NamedTuple):
    """A lock file that this process holds."""

    holder: str  # this process, for people
    key: str  # of this process; no other process ever has it
    previous_key: str  # of the process that held the file before; "" if there was none


@contextlib.contextmanager
def one_driver(name: str, workspace: Path) -> Iterator[HeldLock]:
    """Hold the lock of a sweep. The kernel frees it however this process ends.

    Raises:
        SweepError: another process holds the lock.
    """
    with writing(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(WorkspacePaths(workspace).lock(name), os.O_RDWR | os.O_CREAT, 0o666)
        lock = os.fdopen(descriptor, "r+")
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.readline().strip() or "another process"
            raise SweepError(
                f"sweep {name!r} is being driven by {owner}; end that one first"
            ) from None
        lines = file.read().splitlines()
        previous_key = lines[1] if len(lines) > 1 else ""
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"pid {os.getpid()} on {platform.node()} since {started}"
        # A lock that another machine holds on the same file may not be seen here, so the key names
        # the machine: a key of this machine in a file that is free tells that its holder is gone.
        key = f"{machine_key()}/{uuid.uuid4().hex}"
        text = f"{holder}\n{key}\n"
        with writing(workspace):
            # Written over the old text, which needs no space: if the disk is full, the key stays.
            file.seek(0)
            file.write(text)
            file.flush()
            file.truncate(len(text.encode()))
        yield HeldLock(holder, key, previous_key)


def machine_key() -> str:
    """Return a text that names this machine until its next start."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


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
