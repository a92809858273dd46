"""Watches whether Ray lives, in a thread of the driver."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Protocol

from sweeps.driver.stopping import Stopper

log = logging.getLogger(__name__)

PERIOD = 0.25
"""Seconds between two looks at the processes of a local cluster, or connections to another one."""


class WatchedRay(Protocol):
    """What is watched: `cluster.processes.LocalRay` or `cluster.reachable.RemoteRay`."""

    def failure(self) -> str:
        """Return which process of Ray has died, in words; "" if all live."""
        ...


@contextlib.contextmanager
def watching(watched: WatchedRay, stopper: Stopper, *, period: float = PERIOD) -> Iterator[None]:
    """Stop the driver run if a process dies that it cannot do without, while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(watched, stopper, period, stop), name="ray-watch", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _watch(watched: WatchedRay, stopper: Stopper, period: float, stop: threading.Event) -> None:
    while not stop.wait(period):
        try:
            failure = watched.failure()
        except Exception:  # a look that failed says nothing about Ray
            log.debug("could not look at Ray", exc_info=True)
            continue
        if failure and not stop.is_set():
            stopper.request(failure, deadline=False)
            return
