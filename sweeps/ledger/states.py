"""The words that the ledger stores: states, end reasons, outcomes of attempts, verdicts."""

from __future__ import annotations

from enum import StrEnum


class TrialState(StrEnum):
    """The state of a trial. The last three are ends, which are stored."""

    WAITING = "WAITING"  # may run as soon as a slot is free
    RUNNING = "RUNNING"
    PARKED = "PARKED"  # at a rung that other seeds of its cell have not reached
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """Whether this state is an end."""
        return self in ENDS


ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
UNFINISHED = (TrialState.RUNNING, TrialState.WAITING, TrialState.PARKED)


class EndReason(StrEnum):
    """Why a trial ended; the `why` beside it says the same in a sentence for people."""

    COMPLETED = "completed"  # trained its whole length
    REUSED = "reused"  # another sweep had completed the same trial
    RUNG = "rung"  # its cell was pruned at a rung
    COLLAPSED = "collapsed"  # `pruning.stop_collapsed` ended it
    DIVERGED = "diverged"  # a loss was not finite
    ERROR = "error"  # an exception in the trial's code
    LOST = "lost"  # its process died
    TIMEOUT = "timeout"  # it reported nothing for `resources.trial_timeout`
    NODE = "node"  # the node on which it ran died


class AttemptOutcome(StrEnum):
    """How an attempt ended. An attempt that still runs has no outcome."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    PARKED = "parked"
    INTERRUPTED = "interrupted"  # the driver stopped or died
    DIVERGED = "diverged"
    ERROR = "error"
    LOST = "lost"
    TIMEOUT = "timeout"
    NODE = "node"
    FAILED = "failed"
    FORGIVEN = "forgiven"  # `--retry-failed` took it back


CHARGED = (AttemptOutcome.LOST, AttemptOutcome.TIMEOUT, AttemptOutcome.ERROR)
"""Outcomes that count against `resources.retries`. The death of a driver or a stop at a rung does
not.
"""


class Verdict(StrEnum):
    """What a rung decides about a cell."""

    PROMOTE = "go"
    PRUNE = "prune"


class ExportState(StrEnum):
    """The state of a trial in an export that is neither running nor ended."""

    INTERRUPTED = "INTERRUPTED"  # the driver stopped; the next driver run resumes the trial
