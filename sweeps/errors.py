"""Errors that a caller of this package may catch."""

from __future__ import annotations


class SweepError(Exception):
    """An error of the user that can only be known when the sweep starts; exit code 2."""


class LedgerDamagedError(SweepError):
    """Rows of the ledger are not as this package writes them; the message names them."""
