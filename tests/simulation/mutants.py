"""Known bugs, planted one at a time: each must break an invariant.

The first twelve are those of the usual stack (Ray Tune with `Tuner.restore`, OptunaSearch, ASHA,
MLflowLoggerCallback) as they were seen; the others are bugs that a sweep service may have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

from sweeps.driver import cell_rules, conductor, deaths, patience, trial_actor, tune, watchdog
from sweeps.driver.cell_rules import CellRules
from sweeps.driver.conductor import Conductor
from sweeps.driver.trial_actor import TrialActor
from sweeps.exports import mlflow_content, mlflow_exporter, mlflow_trial, mlflow_writer
from sweeps.exports.mlflow_client import Point
from sweeps.exports.mlflow_experiment import KnownRuns
from sweeps.ledger import lease
from sweeps.ledger.states import TrialState, Verdict
from sweeps.search import halving, layout_history
from sweeps.search.cell_outcome import CellOutcome, OutcomeState
from vae_core import checkpoint

from .training import curve

MUTANTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a bug while the block runs; None plants none."""
    with ExitStack() as stack:
        if name is not None:
            stack.enter_context(MUTANTS[name]())
        yield


def _mutant(make: Callable[[], AbstractContextManager[Any]]) -> Callable[[], Any]:
    MUTANTS[make.__name__] = make
    return make


def _patch(target: Any, name: str, value: Any) -> AbstractContextManager[Any]:
    return mock.patch.object(target, name, value)


# ---- the usual stack


@_mutant
def restart_meets_finished_trials() -> AbstractContextManager[Any]:
    """Return the bug: a restart tells a finished trial a second time, and that raises."""
    read = conductor.read_trials

    def read_trials(*arguments: Any, **options: Any) -> Any:
        trials = read(*arguments, **options)
        if any(trial.ended for trial in trials):
            raise RuntimeError("Trial has already finished")
        return trials

    return _patch(conductor, "read_trials", read_trials)


@_mutant
def runs_are_not_found_again() -> AbstractContextManager[Any]:
    """Return the bug: after a restart every trial gets another run in MLflow."""
    return _patch(KnownRuns, "run_of_trial", lambda self, *_: None)


@_mutant
def finished_trials_run_again() -> AbstractContextManager[Any]:
    """Return the bug: a restart does not know that complete trials have ended."""
    read = conductor.read_trials

    def read_trials(*arguments: Any, **options: Any) -> Any:
        trials = read(*arguments, **options)
        for trial in trials:
            if trial.state is TrialState.COMPLETE:
                trial.state, trial.end_reason = TrialState.WAITING, None
        return trials

    return _patch(conductor, "read_trials", read_trials)


@_mutant
def rungs_are_empty_after_a_restart() -> AbstractContextManager[Any]:
    """Return the bug: ASHA forgets the values of its rungs with the driver."""
    return _patch(CellRules, "begin", lambda self, cells: self._values.clear())


@_mutant
def nan_is_promoted() -> AbstractContextManager[Any]:
    """Return the bug: NaN is not below the cutoff, so it is promoted."""
    judge = halving.judge

    def judged(value: float, others: Any, **options: Any) -> Any:
        if math.isnan(value):
            return halving.RungVerdict(Verdict.PROMOTE, "not below the cutoff")
        return judge(value, others, **options)

    return _patch(halving, "judge", judged)


@_mutant
def pruned_cells_are_told_as_complete() -> AbstractContextManager[Any]:
    """Return the bug: a sampler gets the value at the rung as if the cell were complete."""
    outcome_of = layout_history.cell_outcome

    def cell_outcome(cell: Any, spec: Any, **options: Any) -> CellOutcome:
        outcome = outcome_of(cell, spec, **options)
        if outcome.state is not OutcomeState.PRUNED:
            return outcome
        value = max(outcome.intermediate.values(), default=0.0)
        return outcome._replace(state=OutcomeState.COMPLETE, values=(value,))

    return _patch(layout_history, "cell_outcome", cell_outcome)


@_mutant
def an_error_of_the_export_ends_the_sweep() -> AbstractContextManager[Any]:
    """Return the bug: an exception of MLflow passes through the driver's loop."""

    def step(self: Any, *, last: bool = False) -> bool:
        self.exporter.write_new(last=last)
        return True

    return _patch(mlflow_writer.MlflowWriter, "step", step)


@_mutant
def points_get_the_time_of_writing() -> AbstractContextManager[Any]:
    """Return the bug: a number that is written again has another time, so it is there twice."""
    points_of = mlflow_content.report_points

    def report_points(row: Any) -> Iterator[Point]:
        for point in points_of(row):
            yield point._replace(at=time.time())

    return _patch(mlflow_content, "report_points", report_points)


@_mutant
def a_damaged_checkpoint_restarts_the_weights() -> AbstractContextManager[Any]:
    """Return the bug: what cannot be read is silently replaced by new weights."""
    read = TrialActor._read_checkpoint

    def read_checkpoint(self: Any, epoch: int) -> Any:
        try:
            return read(self, epoch)
        except ValueError:
            report = next(trial_actor.train(self._config, self._data))
            blob = checkpoint.dumps(self._config, report, report.state._replace(epoch=epoch))
            return checkpoint.loads(blob)

    return _patch(TrialActor, "_read_checkpoint", read_checkpoint)


@_mutant
def hanging_trials_are_not_seen() -> AbstractContextManager[Any]:
    """Return the bug: nobody ends a trial that hangs."""
    return _patch(watchdog, "look", lambda desk, store: None)


@_mutant
def the_sampler_starts_again_after_a_restart() -> AbstractContextManager[Any]:
    """Return the bug: a restart asks the sampler from its first turn on."""
    read = Conductor._read_ledger

    def read_ledger(self: Any) -> None:
        read(self)
        if not self.finished:
            self._turn = 0

    return _patch(Conductor, "_read_ledger", read_ledger)


@_mutant
def charged_attempts_are_forgotten() -> AbstractContextManager[Any]:
    """Return the bug: a failed attempt is not counted, so it is tried for ever."""
    lose = Conductor._lose

    def forgetful(self: Any, tx: Any, trial: Any, reason: Any, message: str, **options: Any) -> Any:
        trial.charged, trial.last_error = 0, None
        lose(self, tx, trial, reason, message, **{**options, "final": False})

    return _patch(Conductor, "_lose", forgetful)


# ---- a sweep service


@_mutant
def trials_resume_from_any_checkpoint() -> AbstractContextManager[Any]:
    """Return the bug: a trial resumes from a checkpoint of another sweep that is ahead."""
    given = tune.what_the_actor_gets

    def what_the_actor_gets(*arguments: Any) -> dict[str, Any]:
        return {**given(*arguments), "last_epoch": 10**6}

    stack = ExitStack()
    stack.enter_context(_patch(tune, "what_the_actor_gets", what_the_actor_gets))
    stack.enter_context(_patch(Conductor, "_refuse_gap", _accept_gap))
    return stack


def _accept_gap(self: Any, tx: Any, trial: Any, epoch: int) -> None:
    """Write the report although epochs before it are missing."""
    body = curve(trial.hash, epoch, trial.epochs) | {"attempt": trial.attempt, "seconds": {}}
    at = conductor.time.time()
    tx.report(self.spec.name, trial.number, epoch=epoch, at=at, seconds=1.0, body=body)
    trial.add_report(epoch, body["metrics"], 1.0)
    self._rules.settle(tx, self.cells[trial.cell])
    if trial.state is TrialState.RUNNING and epoch >= trial.epochs:
        self._rules.end(tx, trial, TrialState.COMPLETE, conductor.EndReason.COMPLETED, "")


@_mutant
def two_drivers_share_a_ledger() -> AbstractContextManager[Any]:
    """Return the bug: nothing keeps an older driver from writing."""

    def take(self: Any, connection: Any) -> Any:
        return lease.Lease(self._sweep, 0)

    stack = ExitStack()
    stack.enter_context(_patch(lease.LeaseSeeker, "_take", take))
    stack.enter_context(_patch(lease.Lease, "check", lambda self, connection: None))
    return stack


@_mutant
def the_watchdog_is_blind_after_a_restart_of_the_store() -> AbstractContextManager[Any]:
    """Return the bug: the driver asks the store who runs a trial, and the store has forgotten."""
    look = watchdog.look

    def forgetful(desk: Any, store: Any) -> None:
        known = {each.attempt for each in store._store.enlisted()}
        for attempt in set(desk.actors) - known:
            del desk.actors[attempt]
        end_silent = watchdog._end_silent

        def end_known(desk: Any) -> None:
            for attempt in set(desk.actors) - known:
                del desk.actors[attempt]
            end_silent(desk)

        with _patch(watchdog, "_end_silent", end_known):
            look(desk, store)

    return _patch(watchdog, "look", forgetful)


@_mutant
def a_ledger_that_is_away_ends_the_sweep() -> AbstractContextManager[Any]:
    """Return the bug: the driver does not wait for its ledger."""
    return _patch(patience.Patience, "apply", lambda self, event, reload: event())


@_mutant
def an_event_is_applied_again_to_a_stale_state() -> AbstractContextManager[Any]:
    """Return the bug: after a lost answer the driver does not read the ledger again."""
    apply = patience.Patience.apply

    def without_reload(self: Any, event: Any, reload: Any) -> Any:
        return apply(self, event, lambda: None)

    return _patch(patience.Patience, "apply", without_reload)


@_mutant
def a_checkpoint_that_cannot_be_read_fails_the_trial() -> AbstractContextManager[Any]:
    """Return the bug: only a wrong checksum leads to the checkpoint before."""
    read = TrialActor._read_checkpoint

    def read_checkpoint(self: Any, epoch: int) -> Any:
        try:
            return read(self, epoch)
        except ValueError as error:
            raise RuntimeError(str(error)) from error

    return _patch(TrialActor, "_read_checkpoint", read_checkpoint)


@_mutant
def one_refused_run_blocks_the_export() -> AbstractContextManager[Any]:
    """Return the bug: what MLflow refuses of one trial keeps all others from being written."""

    def attempt(self: Any, run: Any, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            raise mlflow_exporter.ExportStoppedError(str(error)) from error

    return _patch(mlflow_exporter.Exporter, "_attempt", attempt)


@_mutant
def deaths_of_nodes_are_charged() -> AbstractContextManager[Any]:
    """Return the bug: a trial pays for the death of its node."""

    def cause_of_death(message: str, *, timeout: float | None, **_: Any) -> deaths.Death:
        kind = "lost" if timeout is None else "timeout"
        return deaths.Death(kind, message)  # type: ignore[arg-type]

    return _patch(tune, "cause_of_death", cause_of_death)


@_mutant
def late_reports_are_accepted() -> AbstractContextManager[Any]:
    """Return the bug: a report of an attempt that was given up is written."""

    def is_current(self: Any, trial: Any, body: Any) -> bool:
        return not trial.ended

    return _patch(Conductor, "_is_current", is_current)


@_mutant
def a_rung_is_judged_before_all_seeds_come() -> AbstractContextManager[Any]:
    """Return the bug: the first seed of a cell decides for all."""

    def any_reached(trials: Any, epoch: int) -> bool:
        return any(trial.at(epoch) is not None for trial in trials)

    return _patch(cell_rules, "all_reached", any_reached)


@_mutant
def open_attempts_stay_open() -> AbstractContextManager[Any]:
    """Return the bug: a driver does not close what its predecessor left open."""
    take_over = Conductor._take_over

    def without_closing(self: Any) -> None:
        with _patch(conductor.Transaction, "update", lambda tx, table, where, **values: None):
            take_over(self)

    return _patch(Conductor, "_take_over", without_closing)


@_mutant
def the_export_remembers_more_than_it_wrote() -> AbstractContextManager[Any]:
    """Return the bug: reports count as sent although MLflow did not answer."""
    log_reports = mlflow_trial.TrialRun.log_reports

    def careless(self: Any, target: Any, rows: Any) -> None:
        try:
            log_reports(self, target, rows)
        except Exception:
            self.epoch = self.complete_epoch = max((row["epoch"] for row in rows), default=0)

    return _patch(mlflow_trial.TrialRun, "log_reports", careless)
