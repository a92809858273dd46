"""Decides which trial runs next, and after every report whether the trial keeps training.

`record(report)` writes report, verdict and end in one transaction and returns the decision; a
repeated report changes nothing and gets the same answer. The conductor knows nothing of Ray: Tune
drives it in a sweep, plain calls in tests.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.cell_count import count_cells
from sweeps.cells.names import Bracket
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger, Transaction
from sweeps.ledger.replay import (
    CellProgress,
    TrialProgress,
    last_line,
    new_cell,
    read_cells,
    read_trials,
)
from sweeps.ledger.states import AttemptOutcome, EndReason, TrialState, Verdict
from sweeps.search import halving
from sweeps.search.cell_outcome import all_reached, cell_outcome, mean_at
from sweeps.search.draw_cell import draw_cell
from sweeps.spec.sweep_spec import SweepSpec


class Assignment(NamedTuple):
    """A trial to run now, from its newest checkpoint if it has one."""

    trial: TrialProgress
    judged: tuple[
        int, ...
    ]  # epochs of rungs: the trial may stop there and resume, so it saves them


class Conductor:
    """The one writer of the events of a sweep.

    It is thread-safe: Tune's loop records, the watchdog, the heartbeat and the live view read.
    """

    def __init__(
        self, spec: SweepSpec, ledger: Ledger, *, fingerprint: str, n_data: int, driver_run: int
    ) -> None:
        self.spec = spec
        self.lock = threading.RLock()
        self.stopping: str | None = None  # why all trials must stop; None while they may run
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._n_data = n_data
        self._driver_run = driver_run
        self._layouts = cell_grid.all_layouts(spec)
        self.cell_count = count_cells(spec)
        self.cells_asked = self.cell_count.asked  # the turns of the search
        self.cells_total = self.cell_count.cells  # that can run: some turns may find no new cell
        self.cells: list[CellProgress] = []
        self.trials: list[TrialProgress] = []
        self._turn = 0  # the next turn of the search; turns go round the layouts
        self._read_ledger()
        self._take_over()

    def _read_ledger(self) -> None:
        """Set trials, cells and turn to what the ledger holds."""
        self.trials = read_trials(self._ledger, self.spec.name)
        self.cells = read_cells(self._ledger, self.spec, self.trials, n_data=self._n_data)
        turns = [row["turn"] for row in self._ledger.of(tables.CELL, self.spec.name)]
        self._turn = max(turns, default=-1) + 1

    def _take_over(self) -> None:
        """Close the attempts that a dead driver left open, and settle every cell."""
        sweep = self.spec.name
        attempts, cells = tables.ATTEMPT.c, tables.CELL.c
        with self._ledger.transaction() as tx:
            # Not charged to the trials: the death of a driver is not their fault.
            unfinished = (attempts.sweep == sweep) & attempts.outcome.is_(None)
            outcome = AttemptOutcome.INTERRUPTED
            tx.update(tables.ATTEMPT, unfinished, outcome=outcome, ended=time.time())
            for cell in self.cells:
                row = (cells.sweep == sweep) & (cells.number == cell.number)
                tx.update(tables.CELL, row, **_bracket_columns(cell.bracket))
                self._settle(tx, cell)

    @property
    def finished(self) -> bool:
        """Whether every cell has been asked and every trial has ended."""
        asked = self._turn >= self.cells_asked
        return asked and all(trial.ended for trial in self.trials)

    @property
    def cells_to_come(self) -> int:
        """The number of cells that the search can still yield."""
        turns_left = self.cells_asked - self._turn
        return max(0, min(turns_left, self.cells_total - len(self.cells)))

    # ---- what runs next

    def next(self) -> Assignment | Literal["finished"] | None:
        """Return the next trial, None if there is none now, "finished" if none will come."""
        with self.lock:
            if self.stopping:
                return "finished"
            trial = self._first_waiting()
            while trial is None and self._turn < self.cells_asked:
                self._ask()
                trial = self._first_waiting()
            if trial is None:
                return None if any(not trial.ended for trial in self.trials) else "finished"
            with self._ledger.transaction() as tx:
                trial.attempt = tx.insert(
                    tables.ATTEMPT,
                    sweep=self.spec.name,
                    trial=trial.number,
                    life=self._driver_run,
                    started=time.time(),
                )
            trial.state = TrialState.RUNNING
            trial.since = time.monotonic()
            return Assignment(trial, tuple(self.cells[trial.cell].rungs.values()))

    def _first_waiting(self) -> TrialProgress | None:
        # The oldest cell first: a cell is finished before a new one is begun.
        return next((trial for trial in self.trials if trial.state is TrialState.WAITING), None)

    def _ask(self) -> None:
        """Add the next cell and its trials, or give up its turn if its layout has no new cell."""
        turn = self._turn
        layout = self._layouts[turn % len(self._layouts)]
        history = [
            cell_outcome(cell, self.spec) for cell in self.cells if cell.layout == layout.position
        ]
        drawn = draw_cell(
            self.spec,
            self._layouts,
            turn,
            history,
            known_hashes={trial.hash for trial in self.trials},
            fingerprint=self._fingerprint,
        )
        if drawn is None:
            self._turn = turn + 1
            return
        number = len(self.cells)
        bracket = names.bracket(self.spec, layout, drawn.params)
        cell = new_cell(
            self.spec,
            number=number,
            layout=layout.position,
            params=drawn.params,
            bracket=bracket,
            config=drawn.configs[0].to_dict(),
            n_data=self._n_data,
        )
        with self._ledger.transaction() as tx:
            tx.insert(
                tables.CELL,
                sweep=self.spec.name,
                number=number,
                turn=turn,
                layout=layout.position,
                params=json.dumps(drawn.params),
                asked=time.time(),
                **_bracket_columns(bracket),
            )
            for seed, config in zip(self.spec.seeds, drawn.configs, strict=True):
                trial = TrialProgress(
                    number=len(self.trials) + len(cell.trials),
                    cell=number,
                    seed=seed,
                    hash=config.hash,
                    config=config.to_dict(),
                    epochs=cell.timeline.epochs,
                )
                self._insert_trial(tx, trial)
                cell.trials.append(trial)
            self._settle(tx, cell)
        self.cells.append(cell)
        self.trials.extend(cell.trials)
        self._turn = turn + 1
        failpoint("driver.asked")

    def _insert_trial(self, tx: Transaction, trial: TrialProgress) -> None:
        """Write a new trial, with its reports in another sweep if there are any."""
        sweep = self.spec.name
        elsewhere = {row["state"]: row for row in self._ledger.trials_elsewhere(sweep, trial.hash)}
        source = elsewhere.get(TrialState.COMPLETE) or elsewhere.get(TrialState.PRUNED)
        trial.reused_from = source["sweep"] if source else ""
        tx.insert(
            tables.TRIAL,
            sweep=sweep,
            number=trial.number,
            cell=trial.cell,
            seed=trial.seed,
            hash=trial.hash,
            config=json.dumps(trial.config),
            epochs=trial.epochs,
            reused_from=trial.reused_from,
            asked=time.time(),
        )
        if source is None:
            return
        tx.copy_reports((source["sweep"], source["number"]), (sweep, trial.number))
        reports = tables.REPORT.c
        where = (reports.sweep == source["sweep"], reports.trial == source["number"])
        for row in self._ledger.rows(tables.REPORT, *where):
            trial.reported[row["epoch"]] = json.loads(row["body"])["metrics"]
            trial.seconds += row["seconds"]
        if source["state"] == TrialState.COMPLETE:
            why = f"reused from sweep {source['sweep']}"
            self._end(tx, trial, TrialState.COMPLETE, EndReason.REUSED, why)

    # ---- what follows from a report

    def record(self, number: int, body: Mapping[str, Any]) -> bool:
        """Write a report of a trial and return whether the trial keeps training."""
        with self.lock:
            trial = self.trials[number]
            if trial.state is not TrialState.RUNNING or trial.attempt != body["attempt"]:
                return False  # a late report of an attempt that was given up
            trial.since = time.monotonic()
            if "failure" in body:
                self._record_failure(trial, body)
                return False
            failpoint("driver.before_report")
            epoch = int(body["epoch"])
            with self._ledger.transaction() as tx:
                is_new = tx.report(
                    self.spec.name,
                    number,
                    epoch=epoch,
                    at=time.time(),
                    seconds=body["step_seconds"],
                    body=body,
                )
                if is_new:
                    trial.reported[epoch] = dict(body["metrics"])
                    trial.seconds += body["step_seconds"]
                self._settle(tx, self.cells[trial.cell])
                # `_settle` may have parked or ended the trial.
                if trial.state is TrialState.RUNNING and epoch >= trial.epochs:
                    self._end(tx, trial, TrialState.COMPLETE, EndReason.COMPLETED, "")
                if self.stopping and trial.state is TrialState.RUNNING:
                    self._close_attempt(tx, trial, AttemptOutcome.INTERRUPTED)
                    trial.state = TrialState.WAITING
            failpoint("driver.reported")
            return trial.state is TrialState.RUNNING

    def _settle(self, tx: Transaction, cell: CellProgress) -> None:
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
                    trial.state = TrialState.WAITING

    def _stop_collapsed(self, tx: Transaction, cell: CellProgress) -> None:
        """End the trials that stay collapsed. The last epoch completes a trial in any case."""
        if self.spec.pruning is None or not self.spec.pruning.stop_collapsed:
            return
        for trial in cell.trials:
            if trial.ended or trial.epoch >= trial.epochs:
                continue
            if timeline.stays_collapsed(cell.timeline, trial.reported):
                why = f"collapsed (epoch {trial.epoch})"
                self._end(tx, trial, TrialState.PRUNED, EndReason.COLLAPSED, why)

    def _park(self, tx: Transaction, trials: Sequence[TrialProgress], epoch: int) -> None:
        """Park the trials that have reached a rung which is not judged yet."""
        for trial in trials:
            if epoch not in trial.reported:
                continue
            if trial.state is TrialState.RUNNING:
                self._close_attempt(tx, trial, AttemptOutcome.PARKED)
            if trial.state in (TrialState.WAITING, TrialState.RUNNING):
                trial.state = TrialState.PARKED

    def _prune(
        self, tx: Transaction, trials: Sequence[TrialProgress], rung: int, epoch: int
    ) -> None:
        for trial in trials:
            if not trial.ended:
                why = f"rung {rung + 1} (epoch {epoch})"
                self._end(tx, trial, TrialState.PRUNED, EndReason.RUNG, why)

    def _judge(
        self, tx: Transaction, cell: CellProgress, rung: int, trials: Sequence[TrialProgress]
    ) -> None:
        """Write the verdict on a cell at a rung."""
        pruning = self.spec.pruning
        assert pruning is not None
        value = mean_at(trials, cell.rungs[rung], pruning.metric)
        others: list[float] = []
        for other in self.cells:
            if other is not cell and other.bracket == cell.bracket and rung in other.values:
                others.append(other.values[rung])
        verdict, why = halving.judge(value, others, reduction=pruning.reduction, mode=pruning.mode)
        tx.decision(self.spec.name, cell.number, rung=rung, verdict=verdict, value=value, why=why)
        cell.verdicts[rung] = verdict
        cell.values[rung] = value

    # ---- failures

    def _record_failure(self, trial: TrialProgress, body: Mapping[str, Any]) -> None:
        """Write a failure that a trial reported.

        A loss that is not finite fails the trial. An exception is tried again, unless it is the
        same as the last one at the same epoch. If the data changed, or the files of trials cannot
        be written (`storage`), every trial would fail: the sweep stops, and no trial is charged.
        """
        kind, message, log = str(body["failure"]), str(body["message"]), str(body["log"])
        if kind in ("data", "storage"):
            self.stopping = message
            with self._ledger.transaction() as tx:
                self._close_attempt(tx, trial, AttemptOutcome.INTERRUPTED, message)
                trial.state = TrialState.WAITING
            return
        error = (trial.epoch, last_line(message))
        text = f"{message}\n--- end of its output ---\n{log}" if log.strip() else message
        final = kind == "diverged" or error == trial.last_error
        trial.last_error = error
        self._lose(trial, EndReason(kind), text, why=f"{kind}: {error[1]}", final=final)

    def lost(self, number: int, kind: Literal["lost", "timeout", "node"], message: str) -> None:
        """Write that the process of a trial died, alone or with its node, or was ended."""
        with self.lock:
            trial = self.trials[number]
            if trial.state is TrialState.RUNNING:
                why = f"{kind}: {last_line(message)}"
                self._lose(trial, EndReason(kind), message, why=why, final=False)

    def _lose(
        self, trial: TrialProgress, reason: EndReason, message: str, *, why: str, final: bool
    ) -> None:
        """Close the attempt of a trial that failed; end the trial if it gets no further one."""
        with self._ledger.transaction() as tx:
            self._close_attempt(tx, trial, AttemptOutcome(reason.value), message)
            trial.charged += reason is not EndReason.NODE
            trial.state = TrialState.WAITING
            if final or trial.charged > self.spec.resources.retries:
                self._end(tx, trial, TrialState.FAILED, reason, why)
            self._settle(tx, self.cells[trial.cell])  # other seeds may wait for it at a rung

    def _end(
        self,
        tx: Transaction,
        trial: TrialProgress,
        state: TrialState,
        reason: EndReason,
        why: str,
    ) -> None:
        if trial.state is TrialState.RUNNING:
            self._close_attempt(tx, trial, AttemptOutcome(state.value.lower()))
        tx.end(self.spec.name, trial.number, state, reason, why)
        trial.state = state
        trial.end_reason = reason
        trial.why = why

    def _close_attempt(
        self, tx: Transaction, trial: TrialProgress, outcome: AttemptOutcome, message: str = ""
    ) -> None:
        row = tables.ATTEMPT.c.id == trial.attempt
        tx.update(tables.ATTEMPT, row, outcome=outcome, ended=time.time(), message=message)


def _bracket_columns(bracket: Bracket) -> dict[str, str]:
    return {
        "bracket": bracket.name,
        "entry": bracket.entry,
        "fields": json.dumps([list(field) for field in bracket.fields]),
    }
