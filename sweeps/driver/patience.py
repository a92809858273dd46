"""Waits while the ledger is away, and applies the event that could not be written again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sweeps.errors import LedgerAwayError
from sweeps.ledger.outage import cause_text, is_outage

Result = TypeVar("Result")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Seconds between two tries: at first, and at most."""

SLICE = 0.25
"""Seconds after which a wait looks whether it was given up."""


class Patience:
    """How long a driver waits for its ledger."""

    def __init__(self, limit: float | None, notify: Callable[[str], None]) -> None:
        """Take the longest wait in seconds (None: for ever), and what shows a notice."""
        self._limit = limit
        self._notify = notify
        self._given_up = False

    def give_up(self) -> None:
        """End a wait that runs now, and let no other one begin."""
        self._given_up = True

    def apply(self, event: Callable[[], Result], reload: Callable[[], None]) -> Result:
        """Return the result of an event that writes to the ledger; wait while it is away.

        After an error it is not known whether the event was written: an answer can be lost on its
        way. So `reload` first reads from the ledger what is true, and then the event is applied
        again; every event must allow that.

        Raises:
            LedgerAwayError: the ledger was away for too long, or the wait was given up.
        """
        began: float | None = None
        pause = FIRST_PAUSE
        while True:
            try:
                if began is not None:
                    reload()
                result = event()
            except Exception as error:
                if not is_outage(error):
                    raise
                cause = cause_text(error)
                if began is None:
                    began = time.monotonic()
                    limit = "" if self._limit is None else f" for up to {self._limit:.0f} s"
                    self._notify(
                        f"the ledger cannot be written to ({cause}); it is tried again{limit}, "
                        "and trials wait at their next report"
                    )
                self._wait(pause, began, cause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if began is not None:
                seconds = time.monotonic() - began
                self._notify(f"the ledger answers again after {seconds:.0f} s; nothing is lost")
            return result

    def _wait(self, pause: float, began: float, cause: str) -> None:
        """Wait for some seconds.

        Raises:
            LedgerAwayError: the patience has ended.
        """
        end = time.monotonic() + pause
        while True:
            now = time.monotonic()
            if self._given_up:
                raise LedgerAwayError(f"the ledger cannot be written to ({cause})")
            if self._limit is not None and now - began >= self._limit:
                raise LedgerAwayError(
                    f"the ledger could not be written to for {now - began:.0f} s, the limit of "
                    f"store.patience ({cause})"
                )
            if now >= end:
                return
            time.sleep(min(SLICE, end - now))
