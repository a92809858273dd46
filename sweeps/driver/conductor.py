"""Decides which trial runs next, and after every report whether the trial keeps training.

`record(report)` writes report, verdict and end in one transaction and returns the decision; a
repeated report changes nothing and gets the same answer. While the ledger is away every event
waits, and is applied again when it answers. The conductor knows nothing of Ray: Tune drives it in a
sweep, plain calls in tests.
"""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from sweeps.cells import cell_grid, names
from sweeps.cells.cell_count import count_cells
from sweeps.cells.names import Bracket
from sweeps.driver.cell_rules import CellRules
from sweeps.driver.patience import Patience
from sweeps.errors import SweepError
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger, Transaction
from sweeps.ledger.progress import CellProgress, ReportedMetrics, TrialProgress, kept_metrics
from sweeps.ledger.replay import last_line, new_cell, read_cells, read_trials
from sweeps.ledger.reuse import take_reports
from sweeps.ledger.roster import Roster
from sweeps.ledger.states import CHARGED, AttemptOutcome, EndReason, TrialState
from sweeps.search.draw_cell import draw_cell
from sweeps.search.layout_history import SearchHistory
from sweeps.spec.sweep_spec import SweepSpec

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Assignment(NamedTuple):
    """A trial to run now, from a checkpoint of an epoch up to `last_epoch + 1` if it has one."""

    trial: TrialProgress
    judged: tuple[
        int, ...
    ]  # epochs of rungs: the trial may stop there and resume, so it saves them
    last_epoch: int  # up to which the sweep has every report of the trial


class Conductor:
    """The one writer of the events of a sweep.

    It is thread-safe: Tune's loop records, the watchdog, the heartbeat and the live view read.
    """

    def __init__(
        self,
        spec: SweepSpec,
        ledger: Ledger,
        *,
        fingerprint: str,
        n_data: int,
        driver_run: int,
        notify: Callable[[str], None] = log.warning,
    ) -> None:
        """Read the sweep from the ledger, and close what a dead driver left open.

        Args:
            spec: the spec.
            ledger: with the row of the sweep.
            fingerprint: of the data.
            n_data: number of images.
            driver_run: id of the row of this driver run.
            notify: shows a notice to the user.
        """
        self.spec = spec
        self.lock = threading.RLock()
        self.stopping: str | None = None  # why all trials must stop; None while they may run
        self.failure: SweepError | None = None  # why nothing can be written any more
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._n_data = n_data
        self._driver_run = driver_run
        self._patience = Patience(spec.store.patience, notify)
        self._layouts = cell_grid.all_layouts(spec)
        self.cell_count = count_cells(spec)
        self.cells_asked = self.cell_count.asked  # the turns of the search
        self.cells_total = self.cell_count.cells  # that can run: some turns may find no new cell
        self.cells: list[CellProgress] = []
        self.trials: list[TrialProgress] = []
        self._turn = 0  # the next turn of the search; turns go round the layouts
        self._waiting: list[int] = []  # heap of the numbers of trials that wait, and of others
        self._assigned: set[int] = set()  # ids of the attempts that were handed out
        self._unclaimed: list[TrialProgress] = []  # with an attempt that was not handed out
        self._rules = CellRules(spec, self._wake)
        self._brackets = names.Brackets(spec)
        self._kept_metrics = kept_metrics(spec)
        self.roster = Roster()
        self._search = SearchHistory(spec, [])
        self._reload()

    def _reload(self) -> None:
        """Set the state to what the ledger holds."""
        self._read_ledger()
        self._take_over()

    def _read_ledger(self) -> None:
        """Set trials, cells and turn to what the ledger holds."""
        self.trials = read_trials(self._ledger, self.spec.name, self._kept_metrics)
        self.cells = read_cells(self._ledger, self.spec, self.trials, n_data=self._n_data)
        self.roster = Roster(self.trials)
        self._search = SearchHistory(self.spec, self.cells)
        turns = [row["turn"] for row in self._ledger.of(tables.CELL, self.spec.name)]
        self._turn = max(turns, default=-1) + 1

    def _take_over(self) -> None:
        """Close the attempts that a dead driver left open, and settle every cell."""
        sweep = self.spec.name
        attempts = tables.ATTEMPT.c
        unfinished = (attempts.sweep == sweep) & attempts.outcome.is_(None)
        self._unclaimed = []
        for row in self._ledger.rows(
            tables.ATTEMPT, unfinished, attempts.life == self._driver_run
        ):  # of this driver run: the ledger was away, and is read again
            trial = self.trials[row["trial"]]
            trial.state = TrialState.RUNNING
            trial.attempt = row["id"]
            trial.since = time.monotonic()
            if trial.attempt not in self._assigned:
                self._unclaimed.append(trial)
        self._rules.begin(self.cells)
        brackets = {row["number"]: row for row in self._ledger.of(tables.CELL, sweep)}
        with self._ledger.transaction() as tx:
            # Not charged to the trials: the death of a driver is not their fault.
            outcome = AttemptOutcome.INTERRUPTED
            dead = unfinished & (attempts.life != self._driver_run)
            tx.update(tables.ATTEMPT, dead, outcome=outcome, ended=time.time())
            for cell in self.cells:
                columns = _bracket_columns(cell.bracket)
                if any(brackets[cell.number][name] != text for name, text in columns.items()):
                    row = (tables.CELL.c.sweep == sweep) & (tables.CELL.c.number == cell.number)
                    tx.update(tables.CELL, row, **columns)
                self._rules.settle(tx, cell)
        self._waiting = [trial.number for trial in self.trials if trial.state is TrialState.WAITING]

    def _apply(self, event: Callable[[], Result], refused: Result) -> Result:
        """Return the result of an event, `refused` once nothing can be written any more.

        An error here must not pass through Tune, which would end the sweep with a traceback.
        """
        if self.failure is not None:
            return refused
        try:
            return self._patience.apply(event, self._reload)
        except SweepError as error:  # the lease is lost, or the ledger was away for too long
            self.failure = error
            self.stopping = str(error)
            return refused

    def patiently(self, event: Callable[[], None]) -> None:
        """Write something else of this driver run; wait while the ledger is away.

        Raises:
            SweepError: it was away for too long, the wait was given up, or the lease is lost.
        """
        self._patience.apply(event, lambda: None)

    @property
    def finished(self) -> bool:
        """Whether every cell has been asked and every trial has ended."""
        asked = self._turn >= self.cells_asked
        return asked and self.roster.all_ended

    @property
    def cells_to_come(self) -> int:
        """The number of cells that the search can still yield."""
        turns_left = self.cells_asked - self._turn
        return max(0, min(turns_left, self.cells_total - len(self.cells)))

    # ---- what runs next

    def next(self) -> Assignment | Literal["finished"] | None:
        """Return the next trial, None if there is none now, "finished" if none will come."""
        with self.lock:
            return self._apply(self._next, "finished")

    def _next(self) -> Assignment | Literal["finished"] | None:
        if self.stopping:
            return "finished"
        while True:
            trial = self._unclaimed.pop() if self._unclaimed else self._first_waiting()
            while trial is None and self._turn < self.cells_asked:
                self._ask()
                trial = self._first_waiting()
            if trial is None:
                return "finished" if self.roster.all_ended else None
            if trial.state is TrialState.WAITING:
                self._begin_attempt(trial)
            if trial.state is TrialState.RUNNING:
                self._assigned.add(trial.attempt)
                judged = tuple(self.cells[trial.cell].rungs.values())
                return Assignment(trial, judged, trial.unbroken)

    def _begin_attempt(self, trial: TrialProgress) -> None:
        """Write the start of an attempt, unless reports of other sweeps end or park the trial."""
        with self._ledger.transaction() as tx:
            self._take_reports(tx, trial)
            self._rules.settle(tx, self.cells[trial.cell])
            if trial.state is not TrialState.WAITING:
                return
            trial.attempt = tx.insert(
                tables.ATTEMPT,
                sweep=self.spec.name,
                trial=trial.number,
                life=self._driver_run,
                started=time.time(),
            )
        trial.state = TrialState.RUNNING
        trial.since = time.monotonic()

    def _wake(self, trial: TrialProgress) -> None:
        """Let a trial wait for a slot."""
        trial.state = TrialState.WAITING
        heapq.heappush(self._waiting, trial.number)

    def _first_waiting(self) -> TrialProgress | None:
        """Return the waiting trial with the lowest number, None if none waits.

        So a cell is finished before a new one is begun.
        """
        while self._waiting:
            trial = self.trials[self._waiting[0]]
            if trial.state is TrialState.WAITING:
                return trial
            heapq.heappop(self._waiting)
        return None

    def _ask(self) -> None:
        """Add the next cell and its trials, or give up its turn if its layout has no new cell."""
        turn = self._turn
        layout = self._layouts[turn % len(self._layouts)]
        drawn = draw_cell(
            self.spec,
            self._layouts,
            turn,
            self._search.of(layout),
            known_hashes=self._search.hashes,
            fingerprint=self._fingerprint,
        )
        if drawn is None:
            self._turn = turn + 1
            return
        number = len(self.cells)
        bracket = self._brackets.of(layout, drawn.params)
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
                    config_json=json.dumps(config.to_dict()),
                    epochs=cell.timeline.epochs,
                    reports=ReportedMetrics(self._kept_metrics),
                )
                self._insert_trial(tx, trial)
                cell.trials.append(trial)
            self._rules.settle(tx, cell)
        self.cells.append(cell)
        self._search.add(cell)
        self.trials.extend(cell.trials)
        for trial in cell.trials:
            self.roster.add(trial)
        for trial in cell.trials:
            if trial.state is TrialState.WAITING:
                self._wake(trial)
        self._turn = turn + 1
        failpoint("driver.asked")

    def _insert_trial(self, tx: Transaction, trial: TrialProgress) -> None:
        """Write a new trial, with its reports in another sweep if there are any."""
        tx.insert(
            tables.TRIAL,
            sweep=self.spec.name,
            number=trial.number,
            cell=trial.cell,
            seed=trial.seed,
            hash=trial.hash,
            config=trial.config_json,
            epochs=trial.epochs,
            reused_from="",
            asked=time.time(),
        )
        self._take_reports(tx, trial)

    def _take_reports(self, tx: Transaction, trial: TrialProgress) -> None:
        """Copy the reports that other sweeps have of a trial; end it if one has completed it."""
        sweep = self.spec.name
        twin = take_reports(tx, sweep, trial)
        if twin is None:
            return
        trial.reused_from = twin.sweep
        row = (tables.TRIAL.c.sweep == sweep) & (tables.TRIAL.c.number == trial.number)
        tx.update(tables.TRIAL, row, reused_from=twin.sweep)
        if twin.state == TrialState.COMPLETE and trial.unbroken >= trial.epochs:
            why = f"reused from sweep {twin.sweep}"
            self._rules.end(tx, trial, TrialState.COMPLETE, EndReason.REUSED, why)

    # ---- what follows from a report

    def record(self, number: int, body: Mapping[str, Any]) -> bool:
        """Write a report of a trial and return whether the trial keeps training."""
        return self.record_many([(number, body)])[0]

    def record_many(self, reports: Sequence[tuple[int, Mapping[str, Any]]]) -> list[bool]:
        """Write reports of several trials in one transaction, which costs one wait for the disk.

        Args:
            reports: number of a trial and its report, in order of arrival.

        Returns:
            For each report whether its trial keeps training. All are durable when this returns.
        """
        with self.lock:
            return self._apply(lambda: self._record_all(reports), [False] * len(reports))

    def _record_all(self, reports: Sequence[tuple[int, Mapping[str, Any]]]) -> list[bool]:
        failpoint("driver.before_report")
        with self._ledger.transaction() as tx:
            for number, body in reports:
                self._record(tx, self.trials[number], body)
        failpoint("driver.reported")
        return [self._is_current(self.trials[number], body) for number, body in reports]

    def _is_current(self, trial: TrialProgress, body: Mapping[str, Any]) -> bool:
        """Return whether a report is of the attempt that runs now."""
        return trial.state is TrialState.RUNNING and trial.attempt == body["attempt"]

    def _record(self, tx: Transaction, trial: TrialProgress, body: Mapping[str, Any]) -> None:
        if not self._is_current(trial, body):
            return  # a late report of an attempt that was given up
        trial.since = time.monotonic()
        if "failure" in body:
            self._record_failure(tx, trial, body)
            return
        epoch = int(body["epoch"])
        if epoch > trial.unbroken + 1:
            self._refuse_gap(tx, trial, epoch)
            return
        is_new = tx.report(
            self.spec.name,
            trial.number,
            epoch=epoch,
            at=time.time(),
            seconds=body["step_seconds"],
            body=body,
        )
        if is_new:
            trial.add_report(epoch, body["metrics"], body["step_seconds"])
        self._rules.settle(tx, self.cells[trial.cell])
        # `settle` may have parked or ended the trial.
        if trial.state is TrialState.RUNNING and epoch >= trial.epochs:
            self._rules.end(tx, trial, TrialState.COMPLETE, EndReason.COMPLETED, "")
        if self.stopping and trial.state is TrialState.RUNNING:
            self._interrupt(tx, trial)

    def _refuse_gap(self, tx: Transaction, trial: TrialProgress, epoch: int) -> None:
        """Give up an attempt that skipped epochs: a curve with a gap is never stored."""
        message = (
            f"it reported epoch {epoch} after epoch {trial.unbroken}: the epochs between were "
            "never reported to this sweep"
        )
        self._lose(tx, trial, EndReason.ERROR, message, why=f"error: {message}", final=False)

    def interrupt(self, why: str) -> None:
        """Close the attempts that run, and let nothing be handed out or recorded any more.

        It does not wait for a ledger that is away: then the next driver run closes the attempts.
        """
        self._patience.give_up()
        with self.lock:
            self.stopping = self.stopping or why
            self._apply(self._interrupt_all, None)

    def _interrupt_all(self) -> None:
        running = self.roster.in_state(TrialState.RUNNING)
        if not running:
            return
        with self._ledger.transaction() as tx:
            for trial in running:
                self._interrupt(tx, trial)

    def _interrupt(self, tx: Transaction, trial: TrialProgress, message: str = "") -> None:
        self._rules.close_attempt(tx, trial, AttemptOutcome.INTERRUPTED, message)
        self._wake(trial)

    # ---- failures

    def _record_failure(
        self, tx: Transaction, trial: TrialProgress, body: Mapping[str, Any]
    ) -> None:
        """Write a failure that a trial reported.

        A loss that is not finite fails the trial. An exception is tried again, unless it is the
        same as the last one at the same epoch. If the data changed, or the files of trials cannot
        be written (`storage`), every trial would fail: the sweep stops, and no trial is charged.
        """
        kind, message, output = str(body["failure"]), str(body["message"]), str(body["log"])
        if kind in ("data", "storage"):
            self.stopping = message
            self._interrupt(tx, trial, message)
            return
        error = (trial.epoch, last_line(message))
        text = f"{message}\n--- end of its output ---\n{output}" if output.strip() else message
        final = kind == "diverged" or error == trial.last_error
        if kind == "error":
            trial.last_error = error
        self._lose(tx, trial, EndReason(kind), text, why=f"{kind}: {error[1]}", final=final)

    def lost(self, number: int, kind: Literal["lost", "timeout", "node"], message: str) -> None:
        """Write that the process of a trial died, was ended for its silence, or died with its node.

        A death of a node is not charged to `resources.retries`, since the trial is not its cause;
        it has a limit of its own, since a trial that takes all memory may end its node.
        """
        with self.lock:
            self._apply(lambda: self._lost(self.trials[number], EndReason(kind), message), None)

    def _lost(self, trial: TrialProgress, reason: EndReason, message: str) -> None:
        if trial.state is not TrialState.RUNNING:
            return
        with self._ledger.transaction() as tx:
            why = f"{reason.value}: {last_line(message)}"
            self._lose(tx, trial, reason, message, why=why, final=False)

    def _lose(
        self,
        tx: Transaction,
        trial: TrialProgress,
        reason: EndReason,
        message: str,
        *,
        why: str,
        final: bool,
    ) -> None:
        """Close the attempt of a trial that failed; end the trial if it gets no further one."""
        resources = self.spec.resources
        self._rules.close_attempt(tx, trial, AttemptOutcome(reason.value), message)
        if reason is EndReason.NODE:
            trial.node_losses += 1
        elif reason.value in CHARGED:
            trial.charged += 1
        self._wake(trial)
        if final or trial.charged > resources.retries or trial.node_losses > resources.node_retries:
            self._rules.end(tx, trial, TrialState.FAILED, reason, why)
        # Other seeds may wait for it at a rung.
        self._rules.settle(tx, self.cells[trial.cell])


def _bracket_columns(bracket: Bracket) -> dict[str, str]:
    return {
        "bracket": bracket.name,
        "entry": bracket.entry,
        "fields": json.dumps([list(field) for field in bracket.fields]),
    }
