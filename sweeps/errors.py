"""Errors that a caller of this package may catch."""

from __future__ import annotations


class SweepError(Exception):
    """An error of the user that can only be known when the sweep starts; exit code 2."""


class LeaseLostError(SweepError):
    """Another driver has taken the sweep over: this one may not write any more."""


class LedgerAwayError(SweepError):
    """The ledger could not be written to for longer than `store.patience`."""


class DiskFullError(SweepError):
    """The files of trials could not be written for longer than `store.patience`."""
