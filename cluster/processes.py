"""The processes that `ray.init` starts on this machine: which there are, and how they end.

Ray ends them itself if all goes well. It does not if the driver ends without its exit handlers, or
if the raylet dies before its workers; and its client says nothing for a minute after a death.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import ray

SERVICES = {"gcs_server": "head process (GCS)", "raylet": "node process (raylet)"}
"""The processes without which nothing runs, and how they are called for users."""

_RAY = str(Path(ray.__file__).parent) + os.sep

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # from linux/prctl.h


@contextlib.contextmanager
def orphans_adopted() -> Iterator[None]:
    """Make this process the parent of descendants that lose theirs, while the block runs.

    So the workers of a raylet that died are still found. Linux only; elsewhere nothing changes.
    """
    previous = ctypes.c_int(0)
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if prctl is not None:
        prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(previous), 0, 0, 0)
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        if prctl is not None:
            prctl(_PR_SET_CHILD_SUBREAPER, previous.value, 0, 0, 0)


@contextlib.contextmanager
def groups_apart() -> Iterator[None]:
    """Put every process that is forked in the block into a process group of its own.

    So a signal to the group of this process (Ctrl-C, `timeout`) does not end Ray before this
    process has done what it must do first. While Ray starts it matters most: `ray.init` waits up
    to 30 s in C++ for a head process that has ended, and no thread of Python runs meanwhile.
    """
    if not _hooked:
        _hooked.append(True)
        os.register_at_fork(after_in_child=_leave_group)
    _apart.append(True)
    try:
        yield
    finally:
        _apart.pop()


_hooked: list[bool] = []  # a hook of `os.register_at_fork` stays for ever
_apart: list[bool] = []  # one element in a block of `groups_apart`


def _leave_group() -> None:
    if _apart:
        os.setpgid(0, 0)


class LocalRay:
    """The processes of the Ray cluster that this process starts. Make it before `ray.init`.

    Processes that this process had before, and those of other programs, are never touched.
    """

    def __init__(self) -> None:
        self._others = {child.pid for child in psutil.Process().children()}
        self._services: dict[str, psutil.Process] = {}

    def started(self) -> None:
        """Remember the services, when `ray.init` has returned."""
        children = [child for child in psutil.Process().children() if self._is_of_ray(child)]
        self._services = {child.name(): child for child in children if child.name() in SERVICES}

    def failure(self) -> str:
        """Return which service has died, in words; "" if all live."""
        for name, process in self._services.items():
            if not _lives(process):
                return f"Ray's {SERVICES[name]}, pid {process.pid}, has died"
        return ""

    def freeze(self) -> None:
        """Stop the services where they are: so they do not end, and nobody notices anything."""
        for process in self._services.values():
            with contextlib.suppress(psutil.Error):
                process.suspend()

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of this cluster: services, agents and workers."""
        living: list[psutil.Process] = []
        for child in psutil.Process().children():
            if self._is_of_ray(child):
                with contextlib.suppress(psutil.Error):
                    living += [child, *child.children(recursive=True)]
        return [process for process in living if _lives(process)]

    def end(self, seconds: float = 5.0) -> bool:
        """Kill what lives of this cluster; return whether nothing is left.

        Processes that lose their parent meanwhile come to this one (see `orphans_adopted`).
        """
        deadline = time.monotonic() + seconds
        while True:
            left = self.processes()
            if not left:
                return True
            if time.monotonic() > deadline:
                return False
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=0.2)

    def wait(self, seconds: float) -> bool:
        """Wait until all processes of this cluster have ended; return whether they have."""
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _is_of_ray(self, child: psutil.Process) -> bool:
        """Return whether a child of this process belongs to the cluster.

        Services run programs of Ray's folder. Workers, which come here when their raylet has died,
        call themselves `ray::…`.
        """
        if child.pid in self._others:
            return False
        try:
            # The name first: a process that is about to end has no command any more.
            if child.name().startswith("ray::") or child.name() in SERVICES:
                return True
            return any(word.startswith((_RAY, "ray::")) for word in child.cmdline())
        except psutil.Error:
            return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
