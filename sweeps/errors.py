"""Errors that a caller of this package may catch."""

from __future__ import annotations

from sweeps.urls import redacted


class SweepError(Exception):
    """An error of the user that can only be known when the sweep starts; exit code 2.

    Passwords in its message are hidden.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(redacted(str(message)))


class LedgerDamagedError(SweepError):
    """Rows of the ledger are not as this package writes them; the message names them."""


class LeaseLostError(SweepError):
    """Another driver has taken the sweep over: this one may not write any more."""


class LedgerAwayError(SweepError):
    """The ledger could not be written to for longer than `store.patience`."""
