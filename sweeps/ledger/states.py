"""States of trials, and outcomes of attempts."""

from __future__ import annotations

ENDED = ("COMPLETE", "PRUNED", "FAILED")


CHARGED = ("lost", "timeout", "error")
"""Outcomes of attempts that count against `resources.retries`; a driver's death or a rung's stop does not."""


COLLAPSED = "collapsed"
"""How the `why` of a trial begins that `pruning.stop_collapsed` ended."""
