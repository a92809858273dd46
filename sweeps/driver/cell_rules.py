"""What follows for a cell from the reports of its trials: collapse, rungs, verdicts, ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from sweeps.cells import timeline
from sweeps.cells.names import Bracket
from sweeps.ledger import tables
from sweeps.ledger.ledger import Transaction
from sweeps.ledger.progress import CellProgress, TrialProgress
from sweeps.ledger.states import AttemptOutcome, EndReason, TrialState, Verdict
from sweeps.search import halving
from sweeps.search.cell_outcome import all_reached, mean_at
from sweeps.spec.sweep_spec import SweepSpec


class CellRules:
    """Applies the rules of a spec to cells, and writes what follows in the same transaction."""

    def __init__(self, spec: SweepSpec, wake: Callable[[TrialProgress], None]) -> None:
        """Take the spec, and what is called with a trial that may run again."""
        self._spec = spec
        self._wake = wake
        self._values: dict[tuple[Bracket, int], list[float]] = {}

    def begin(self, cells: Iterable[CellProgress]) -> None:
        """Set the values at the rungs to those of these cells, as they are judged so far."""
        self._values = {}
        for cell in cells:
            for rung, value in cell.values.items():
                self._values.setdefault((cell.bracket, rung), []).append(value)

    def settle(self, tx: Transaction, cell: CellProgress) -> None:
        """Apply all rules to a cell: collapse first, then its rungs in order.

        A rung is judged when the last seed of the cell has reached it. Until then the seeds that
        are there are parked, and later rungs are not looked at.
        """
        self._stop_collapsed(tx, cell)
        for rung, epoch in cell.rungs.items():
            trials = [trial for trial in cell.trials if trial.state is not TrialState.FAILED]
            if rung not in cell.verdicts and trials and all_reached(trials, epoch):
                self._judge(tx, cell, rung, trials)
            verdict = cell.verdicts.get(rung)
            if verdict is None:
                self._park(tx, trials, epoch)
                return
            if verdict is Verdict.PRUNE:
                self._prune(tx, trials, rung, epoch)
                return
            for trial in trials:
                if trial.state is TrialState.PARKED:
                    self._wake(trial)

    def end(
        self,
        tx: Transaction,
        trial: TrialProgress,
        state: TrialState,
        reason: EndReason,
        why: str,
    ) -> None:
        """Write the end of a trial, and of its attempt if it runs."""
        if trial.state is TrialState.RUNNING:
            self.close_attempt(tx, trial, AttemptOutcome(state.value.lower()))
        tx.end(self._spec.name, trial.number, state, reason, why)
        trial.state = state
        trial.end_reason = reason
        trial.why = why

    def close_attempt(
        self, tx: Transaction, trial: TrialProgress, outcome: AttemptOutcome, message: str = ""
    ) -> None:
        """Write how the attempt of a trial ended."""
        row = tables.ATTEMPT.c.id == trial.attempt
        tx.update(tables.ATTEMPT, row, outcome=outcome, ended=time.time(), message=message)

    def _stop_collapsed(self, tx: Transaction, cell: CellProgress) -> None:
        """End the trials that stay collapsed. The last epoch completes a trial in any case."""
        if self._spec.pruning is None or not self._spec.pruning.stop_collapsed:
            return
        for trial in cell.trials:
            if trial.ended or trial.epoch >= trial.epochs:
                continue
            if timeline.stays_collapsed(cell.timeline, trial.last_reports(2)):
                why = f"collapsed (epoch {trial.epoch})"
                self.end(tx, trial, TrialState.PRUNED, EndReason.COLLAPSED, why)

    def _park(self, tx: Transaction, trials: Sequence[TrialProgress], epoch: int) -> None:
        """Park the trials that have reached a rung which is not judged yet."""
        for trial in trials:
            if not trial.has(epoch):
                continue
            if trial.state is TrialState.RUNNING:
                self.close_attempt(tx, trial, AttemptOutcome.PARKED)
            if trial.state in (TrialState.WAITING, TrialState.RUNNING):
                trial.state = TrialState.PARKED

    def _prune(
        self, tx: Transaction, trials: Sequence[TrialProgress], rung: int, epoch: int
    ) -> None:
        for trial in trials:
            if not trial.ended:
                why = f"rung {rung + 1} (epoch {epoch})"
                self.end(tx, trial, TrialState.PRUNED, EndReason.RUNG, why)

    def _judge(
        self, tx: Transaction, cell: CellProgress, rung: int, trials: Sequence[TrialProgress]
    ) -> None:
        """Write the verdict on a cell at a rung."""
        pruning = self._spec.pruning
        assert pruning is not None
        value = mean_at(trials, cell.rungs[rung], pruning.metric)
        others = self._values.setdefault((cell.bracket, rung), [])
        verdict, why = halving.judge(value, others, reduction=pruning.reduction, mode=pruning.mode)
        tx.decision(self._spec.name, cell.number, rung=rung, verdict=verdict, value=value, why=why)
        cell.verdicts[rung] = verdict
        cell.values[rung] = value
        others.append(value)
