"""The fake clock of a simulation, in place of the module `time` in the product's modules."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EPOCH = 1_700_000_000.0
"""Unix time at which every simulation begins."""

TICK = 1e-6
"""Seconds between two readings: so no two rows of the ledger have the same time."""


class FakeTime:
    """Stands for the module `time`: only the simulation moves it."""

    def __init__(self) -> None:
        self.now = 0.0  # seconds since the start of the simulation
        self.offset = 0.0  # of the wall clock, which jumps; the monotonic clock does not
        self.on_sleep: Callable[[float], None] = self._skip

    def time(self) -> float:
        """Return the wall time in unix seconds."""
        self.now += TICK
        return EPOCH + self.now + self.offset

    def monotonic(self) -> float:
        """Return the monotonic time."""
        self.now += TICK
        return self.now

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        """Wait: other processes go on meanwhile."""
        self.on_sleep(max(0.0, seconds))

    def _skip(self, seconds: float) -> None:
        self.now += seconds

    def advance_to(self, moment: float) -> None:
        """Move to a moment; a moment in the past changes nothing."""
        self.now = max(self.now, moment)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)  # strftime, gmtime: they read no clock if given a time


@contextmanager
def fake_time(clock: FakeTime) -> Iterator[None]:
    """Replace the name `time` in every loaded module of `sweeps`."""
    replaced = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("sweeps.") and getattr(module, "time", None) is time
    ]
    for module in replaced:
        module.time = clock  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in replaced:
            module.time = time  # type: ignore[attr-defined]
