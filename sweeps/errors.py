"""Errors that a caller of this package may catch."""

from __future__ import annotations


class SweepError(Exception):
    """A mistake of the user that shows only when the sweep starts: exit code 2."""
