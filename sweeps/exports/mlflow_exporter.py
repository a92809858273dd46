"""One pass of the export to MLflow: everything that the ledger has and MLflow lacks."""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sweeps.errors import SweepError
from sweeps.exports import left_out, mlflow_client, mlflow_experiment
from sweeps.exports.mlflow_errors import described, is_lasting
from sweeps.exports.mlflow_experiment import KnownRuns
from sweeps.exports.mlflow_parent import ParentRun
from sweeps.exports.mlflow_trial import Target, TrialRun
from sweeps.exports.patience import Patience
from sweeps.ledger import replay, tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import ExportState, TrialState
from sweeps.ledger.tables import Row
from sweeps.storage.files import AbstractFiles

log = logging.getLogger(__name__)

MOST_FAILURES = 3
"""Runs in succession that cannot be written, after which a pass ends: the server is in trouble."""

SOUGHT_RUNS = 100
"""The most runs by which an experiment is sought that has another name and no tag."""


class ExportStoppedError(Exception):
    """Nothing can be written now: the server is away, or the experiment is gone."""


class Exporter:
    """Writes to MLflow what is new in the ledger, pass by pass."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        files: AbstractFiles,
        workspace: Path,
        uri: str | None,
        tags: Mapping[str, str],
    ) -> None:
        self._sweep = name
        self._ledger = ledger
        self._files = files
        self._workspace = workspace.resolve()
        self._uri = uri
        self._tags = dict(tags)
        self._last_report = 0  # `seq` of the last report that was read
        self._last_rescore = 0  # `seq` of the last score of stored codes that was read
        self._parent = ParentRun()
        self._holds_sweep = False  # whether the lease was checked in this pass
        self._failures = 0  # runs in succession that could not be written in this pass
        self._known: tuple[Target, KnownRuns] | None = None  # None until MLflow answers
        self.trial_runs: dict[int, TrialRun] = {}  # number of a trial -> its run
        self.patience = Patience()  # notes how long calls wait for their answers
        self.deadline: float | None = None  # monotonic time after which no run is written

    @property
    def runs(self) -> list[ParentRun | TrialRun]:
        """The runs of the sweep."""
        return [self._parent, *list(self.trial_runs.values())]

    @property
    def is_late(self) -> bool:
        """Whether the time to write is over."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def forget_runs(self) -> None:
        """Read the runs that MLflow has anew in the next pass."""
        self._known = None

    def write_new(self, *, last: bool) -> None:
        """Write everything that MLflow lacks.

        Args:
            last: whether to close the runs of unfinished trials too, and to try again at once what
                failed.

        Raises:
            Exception: nothing can be written now. An error of one run raises none.
        """
        self._failures = 0
        self._holds_sweep = False
        if self._known is None or last:
            self._known = self._read_runs()
        # Read ends, then reports, then trials: every row read then refers to rows that exist.
        exports = self._exports()
        ends = {row["trial"]: row for row in self._ledger.of(tables.END, self._sweep)}
        reports = self._rows_after(tables.REPORT, self._last_report)
        rescored = self._rows_after(tables.RESCORE, self._last_rescore)
        new_reports, new_scores = _by_trial(reports), _by_trial(rescored)
        trials = self._ledger.of(tables.TRIAL, self._sweep)
        if any(row["number"] not in self.trial_runs for row in trials):
            self._add_runs(trials, exports)
        # Runs that failed come last, so that they keep no other from being written.
        trials.sort(key=lambda row: bool(self.trial_runs[row["number"]].problem))
        for row in trials:
            number = row["number"]
            self.trial_runs[number].trial = row  # it may have been reused from another sweep since
            news = (new_reports.get(number, []), new_scores.get(number, []))
            self._write_trial(self.trial_runs[number], ends.get(number), *news, now=last)
        self._last_report = max((row["seq"] for row in reports), default=self._last_report)
        self._last_rescore = max((row["seq"] for row in rescored), default=self._last_rescore)
        if last:
            self._close_unfinished(ends)

    def _add_runs(self, trials: Iterable[Row], exports: Mapping[int, Row]) -> None:
        """Add the runs of new trials, as the ledger knows them."""
        omitted = left_out.read(self._ledger, self._sweep)
        for row in trials:
            number = row["number"]
            if number not in self.trial_runs:
                run = _as_exported(row, exports.get(number))
                run.left_out = omitted.get(number, {})
                run.saved_left_out = dict(run.left_out)
                self.trial_runs[number] = run

    def _rows_after(self, table: Any, seq: int) -> list[Row]:
        """Return the rows of this sweep that were written after a given one."""
        return self._ledger.rows(
            table, table.c.sweep == self._sweep, table.c.seq > seq, order=table.c.seq
        )

    def _exports(self) -> dict[int, Row]:
        """Return number of a trial -> how far the ledger says that its run is."""
        rows = self._ledger.of(tables.EXPORT, self._sweep)
        return {row["trial"]: row for row in rows if row["target"] == "mlflow"}

    # ---- experiment and parent run

    def _read_runs(self) -> tuple[Target, KnownRuns]:
        """Find or create the experiment and the parent run; read which runs MLflow has."""
        client = self.patience.watch(mlflow_client.connect(self._workspace, self._uri, self._sweep))
        run_ids = [row["run"] for row in self._exports().values()]
        experiment = mlflow_experiment.require_experiment(
            client,
            self._sweep,
            self._workspace,
            self._uri,
            itertools.islice(run_ids, SOUGHT_RUNS),
        )
        known_runs = KnownRuns(client, experiment)
        self._parent.require(
            client, experiment, known_runs, self._ledger.require_sweep(self._sweep), self._tags
        )
        self._save_parent()
        for run in self.trial_runs.values():
            run.attached = False
        target = Target(
            client=client,
            experiment=experiment,
            parent=self._parent.run,
            sweep=self._sweep,
            ledger=self._ledger,
            files=self._files,
            tags=self._tags,
        )
        return target, known_runs

    def _save_parent(self) -> None:
        """Write to the ledger what MLflow never takes of the parent run."""
        things = self._parent.left_out
        if left_out.read(self._ledger, self._sweep).get(left_out.PARENT, {}) != things:
            left_out.write(self._ledger, self._sweep, left_out.PARENT, things)

    def _require_experiment(self, target: Target) -> None:
        """Raise ExportStoppedError unless the server answers and has the experiment."""
        try:
            experiment = target.client.get_experiment(target.experiment)
        except Exception as error:
            raise ExportStoppedError(described(error)) from error
        if mlflow_experiment.is_deleted(experiment):
            raise ExportStoppedError(f"the experiment {experiment.name!r} was deleted")

    # ---- runs of trials

    def _write_trial(
        self,
        run: TrialRun,
        end: Row | None,
        reports: Sequence[Row],
        scores: Sequence[Row],
        *,
        now: bool,
    ) -> None:
        """Write what is new of one trial.

        Args:
            run: of the trial.
            end: the row of its end, None if it has not ended.
            reports: its new reports.
            scores: its new scores of stored codes.
            now: whether to try although it failed a moment ago.
        """
        if run.given_up:
            return
        has_ended_since = end is not None and run.state != end["state"]
        if run.attached and not (reports or scores or run.missed or has_ended_since):
            return
        if not now and time.monotonic() < run.retry_at:
            run.missed = run.missed or bool(reports or scores)
            return
        if self.is_late:
            raise ExportStoppedError("there was no time left to write everything")
        target, known_runs = self._require_runs()

        def write() -> None:
            if not run.attached:
                if run.stale:
                    known_runs.look_again(self._sweep, run.trial, run.run)
                    run.stale = False
                run.attach(target, known_runs)
            if run.missed:
                run.log_reports(target, self._rows_of(tables.REPORT, run))
                run.log_rescored(target, self._rows_of(tables.RESCORE, run))
            else:
                run.log_reports(target, reports)
                run.log_rescored(target, scores)
            run.missed = False
            if end is not None and run.state != end["state"]:
                collapsed = self._has_collapsed(run)
                state = TrialState(end["state"])
                run.close(target, state, end["why"], end["at"], collapsed=collapsed)

        self._attempt(run, write)

    def _attempt(self, run: TrialRun, write: Callable[[], None]) -> None:
        """Write something of a run. An error is kept as that of this run, unless it is of all.

        The run may have been deleted since the runs were read. So it is looked for once more.
        """
        if not self._holds_sweep:
            # A driver that was taken for dead has an old list of runs: it would make some twice.
            with self._ledger.transaction():
                self._holds_sweep = True
        target, known_runs = self._require_runs()
        try:
            try:
                write()
            except (SweepError, SQLAlchemyError):  # of our ledger
                raise
            except Exception:
                self._require_experiment(target)
                known_runs.look_again(self._sweep, run.trial, run.run)
                run.attached = False
                run.missed = True
                write()
        except (ExportStoppedError, SweepError, SQLAlchemyError):
            raise
        except Exception as error:
            self._require_experiment(target)
            log.debug("MLflow did not take trial %s", run.trial["number"], exc_info=True)
            if is_lasting(error) and not self._is_deleted(target, run):
                run.give_up(target, error)
                return
            run.put_off(error)
            self._failures += 1
            if self._failures >= MOST_FAILURES:
                raise ExportStoppedError(run.problem) from error
            return
        self._failures = 0
        run.error = ""
        if run.refused:
            self._require_experiment(target)
            run.put_off()

    def _is_deleted(self, target: Target, run: TrialRun) -> bool:
        """Return whether the run of a trial was deleted meanwhile, so that it can be restored."""
        try:
            known = mlflow_experiment.get_run(target.client, run.run)
        except Exception:  # it is forbidden
            return False
        return known is not None and mlflow_experiment.is_deleted(known.info)

    def _require_runs(self) -> tuple[Target, KnownRuns]:
        assert self._known is not None, "the runs were not read"
        return self._known

    def _rows_of(self, table: Any, run: TrialRun) -> list[Row]:
        """Return all rows of one trial."""
        of_trial = table.c.trial == run.trial["number"]
        return self._ledger.rows(
            table, table.c.sweep == self._sweep, of_trial, order=tables.ORDER[table]
        )

    def _close_unfinished(self, ends: Mapping[int, Row]) -> None:
        """Mark the runs of trials that have not ended as interrupted, and close the parent run."""
        why = "the driver stopped; the same command resumes the sweep"
        target, known_runs = self._require_runs()

        def close(run: TrialRun) -> None:
            if not run.attached:
                run.attach(target, known_runs)
            run.close(target, ExportState.INTERRUPTED, why, time.time(), collapsed=False)

        for number, run in self.trial_runs.items():
            is_open = number not in ends and run.state != ExportState.INTERRUPTED
            if is_open and not run.error and not run.given_up:
                self._attempt(run, lambda run=run: close(run))
        status = "FINISHED" if len(ends) == len(self.trial_runs) else "KILLED"
        self._parent.close(target.client, status)
        self._save_parent()

    def _has_collapsed(self, run: TrialRun) -> bool:
        """Return whether a trial had no active unit at the last report that was sent."""
        report, number = tables.REPORT.c, run.trial["number"]
        where = (report.sweep == self._sweep, report.trial == number, report.epoch == run.epoch)
        rows = self._ledger.rows(tables.REPORT, *where)
        try:
            return any(replay.has_collapsed(json.loads(row["body"])["metrics"]) for row in rows)
        except (ValueError, TypeError, LookupError, AttributeError):  # it cannot be read
            return False


def _by_trial(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Return number of a trial -> its rows, in their order."""
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["trial"], []).append(row)
    return grouped


def _as_exported(trial: Row, export: Row | None) -> TrialRun:
    """Return the run of a trial as the ledger knows it; `export` is None if it knows none."""
    run = TrialRun(trial=trial)
    if export is not None:
        run.run, run.state = export["run"], export["state"]
        run.epoch = run.complete_epoch = export["epoch"]
        run.saved = (run.run, run.complete_epoch, run.state)
    return run
