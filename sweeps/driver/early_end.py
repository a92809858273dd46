"""What a driver run does before it ends early: every step has a limit, the ledger comes first."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sweeps.driver.conductor import Conductor
from sweeps.driver.live_view import LiveView
from sweeps.driver.result import SweepResult
from sweeps.driver.stopping import CHILDREN_DEADLINE, Stopper, bounded
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.failpoints import failpoint
from sweeps.ledger.states import TrialState

LEDGER_PATIENCE = 2.5
"""Seconds to close the attempts in the ledger, and again to write the outcome of the driver run."""

EARLY_EXPORT_PATIENCE = 3.5
"""Seconds in which MLflow may take what is new before an early end."""

LONGEST_LOOK = 0.5
"""Seconds to remove the live view from the terminal."""


class EarlyEnd(NamedTuple):
    """The parts of a driver run that an early end needs."""

    conductor: Conductor
    writer: MlflowWriter
    view: LiveView
    workspace: Path
    stopper: Stopper
    note_outcome: Callable[[str], None]
    release: Callable[[], None]  # lets the next driver begin at once

    def __call__(self, why: str) -> None:
        """Close the attempts; if the process ends, do the rest too and print how to resume.

        Else the main thread does the rest as at every end.
        """
        if not self.stopper.ends_process:
            self.conductor.interrupt(why)
            return
        outcome = "ended" if self.conductor.finished else why
        if bounded(lambda: self.conductor.interrupt(why), LEDGER_PATIENCE):
            bounded(lambda: self.note_outcome(outcome), LEDGER_PATIENCE)
        failpoint("driver.ends_early")
        self.view.stop(LONGEST_LOOK)
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
            self.view.say_stopped(why, finished=self.conductor.finished)
        # First, so that the training does not take the processors away from the writer.
        bounded(self.stopper.end_children, CHILDREN_DEADLINE)
        exported = self.writer.finish(EARLY_EXPORT_PATIENCE)
        bounded(self.release, LONGEST_LOOK)
        with contextlib.suppress(OSError, ValueError):
            if self._has_open_attempts():
                self.view.say("the ledger did not answer; the next run closes what is open there")
            result = result_of(self.conductor, why, exported=exported)
            self.view.farewell(result, self.workspace, self.writer.why_behind(), stopped=False)
            self.stopper.show(result)

    def _has_open_attempts(self) -> bool:
        if self.conductor.failure is not None:
            return True
        return any(trial.state is TrialState.RUNNING for trial in self.conductor.trials)


def result_of(conductor: Conductor, why: str, *, exported: bool) -> SweepResult:
    """Return how a driver run ended."""
    states = Counter(trial.state.value if trial.ended else "OPEN" for trial in conductor.trials)
    return SweepResult(
        conductor.spec.name,
        dict(states),
        conductor.finished,
        why,
        exported,
        cells=len(conductor.cells),
        cells_total=conductor.cells_total,
        cells_asked=conductor.cells_asked,
    )
