"""The heartbeat of a driver run: it notes in the ledger that the driver is alive.

It also stops the sweep when its budget is spent.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from sweeps.driver.conductor import Conductor
from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger

log = logging.getLogger(__name__)

PERIOD = 0.5
"""Seconds between two looks at the budget."""

NOTE_PERIOD = 10.0
"""Seconds between two notes in the ledger that the driver is alive."""


def seconds_spent(ledger: Ledger, sweep: str) -> float:
    """Return the seconds of all driver runs of a sweep, each until its last sign of life."""
    return sum(row["seen"] - row["started"] for row in ledger.of(tables.DRIVER_RUN, sweep))


class Heartbeat:
    """Writes signs of life of one driver run, and enforces `budget.hours`."""

    def __init__(self, ledger: Ledger, driver_run: int, *, spent: float) -> None:
        self._ledger = ledger
        self._driver_run = driver_run
        self._spent = spent  # seconds of earlier driver runs
        self._started = time.monotonic()
        self._row_written = time.monotonic()

    def note(self, **columns: object) -> None:
        """Write that the driver is alive, with further columns of its row.

        The budget counts the seconds until the last of these notes, also after a kill. They are
        added to the start of the driver run: the clock of the wall may jump meanwhile.
        """
        driver_run = tables.DRIVER_RUN.c
        seen = driver_run.started + (time.monotonic() - self._row_written)
        with self._ledger.transaction() as tx:
            row = driver_run.id == self._driver_run
            tx.update(tables.DRIVER_RUN, row, seen=seen, **columns)

    @contextlib.contextmanager
    def beating(self, conductor: Conductor) -> Iterator[None]:
        """Beat in a thread of its own while the block runs."""
        self._started = time.monotonic()
        stop = threading.Event()
        thread = threading.Thread(
            target=self._beat, args=(conductor, stop), name="heartbeat", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def try_note(self, **columns: object) -> None:
        """Write a sign of life; without one the conductor waits for the ledger, or stops."""
        try:
            self.note(**columns)
        except (SQLAlchemyError, SweepError):
            log.debug("no sign of life could be written", exc_info=True)

    def _beat(self, conductor: Conductor, stop: threading.Event) -> None:
        last_note = 0.0
        while not stop.wait(PERIOD):
            if time.monotonic() - last_note > NOTE_PERIOD:
                last_note = time.monotonic()
                self.try_note()
            hours = conductor.spec.budget.hours
            seconds = self._spent + time.monotonic() - self._started
            if hours is not None and seconds > 3600 * hours:
                with conductor.lock:
                    conductor.stopping = f"the budget of {hours:g} hours is spent"
