"""Fails a case of a test that takes too much time or memory."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STUCK_SECONDS = 10
"""Seconds of CPU after which a case counts as stuck, however loaded the machine is."""

MOST_GROWTH = 256 << 20
"""Bytes by which the memory of a process may grow during a case of small files."""


@contextmanager
def alarm(seconds: int = STUCK_SECONDS) -> Iterator[None]:
    """Raise TimeoutError in the block after some seconds of CPU."""

    def ring(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"stuck for {seconds} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Raise AssertionError after the block if the process grew by more than `MOST_GROWTH`."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the highest value is then the value now
    before = _kilobytes("VmHWM:")
    yield
    growth = (_kilobytes("VmHWM:") - before) << 10
    assert growth <= MOST_GROWTH, f"the memory grew by {growth >> 20} MiB"


def _kilobytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0
