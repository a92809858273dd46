"""Exports the ledger to MLflow, in one writer thread of the driver.

It writes in batches, with the times of the ledger. Writing again changes nothing: a run is found by
its id or its tags before one is created, and MLflow keeps one of several equal points (run, key,
value, time, step). A tracking server that is away stops no training: what it lacks waits in the
ledger. A run that is deleted, or that MLflow refuses, does not keep the other runs from being
written.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.exports import mlflow_client, mlflow_experiment
from sweeps.exports.mlflow_experiment import PARENT_TAG, KnownRuns
from sweeps.exports.mlflow_trial import Target, TrialRun, cause, problems_text
from sweeps.ledger import replay, tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import ExportState, TrialState
from sweeps.ledger.tables import Row
from sweeps.storage.files import AbstractFiles

log = logging.getLogger(__name__)

EXPORT_PATIENCE = 120.0
"""Seconds that a finished sweep waits for MLflow to take the rest."""

PERIOD = 1.0
"""Seconds between two passes while MLflow answers."""

LONGEST_PAUSE = 60.0
"""Longest pause in seconds between two passes while the server is away."""

SOUGHT_RUNS = 100
"""The most runs by which an experiment is sought that has another name and no tag."""


class ExportStoppedError(Exception):
    """Nothing can be written now: the server is away, or the experiment is gone."""


class MlflowWriter(threading.Thread):
    """Writes to MLflow what is new in the ledger, until `finish()`."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        files: AbstractFiles,
        workspace: Path,
        uri: str | None,
        tags: Mapping[str, str],
    ) -> None:
        super().__init__(name="mlflow-writer", daemon=True)
        self._sweep = name
        self._ledger = ledger
        self._files = files
        self._workspace = workspace.resolve()
        self._uri = uri
        self._tags = dict(tags)
        self._finish = threading.Event()
        self._last_report = 0  # `seq` of the last report that was read
        self._last_rescore = 0  # `seq` of the last score of stored codes that was read
        self._runs: dict[int, TrialRun] = {}  # number of a trial -> its run
        self._known: tuple[Target, KnownRuns] | None = None  # None until MLflow answers
        self.error: str | None = None  # why the last pass failed as a whole

    def run(self) -> None:
        """Write what is new once a second; pause longer and longer while the server is away."""
        pause = PERIOD
        while True:
            last = self._finish.is_set()
            pause = PERIOD if self.step(last=last) else min(2 * pause, LONGEST_PAUSE)
            if last:
                if self.error is not None:
                    self.step(last=True)  # the experiment may have been deleted meanwhile
                return
            self._finish.wait(pause)

    def finish(self, timeout: float) -> bool:
        """Write the rest; return whether all of it was written in time."""
        self._finish.set()
        self.join(timeout)
        return not self.is_alive() and not self.why_behind()

    def why_behind(self) -> str:
        """Return what MLflow does not have and why; "" if nothing is known to be missing."""
        if self.error is not None:
            return self.error
        return problems_text(run.problem for run in list(self._runs.values()) if run.problem)

    # ---- one pass

    def step(self, *, last: bool = False) -> bool:
        """Write what is new, once, in the calling thread; return whether MLflow could be reached.

        The writer's thread calls it again and again. A writer without a thread is stepped instead.

        Args:
            last: whether the sweep is over: also close the runs of trials that have not ended.
        """
        try:
            self._write_new(last=last)
            self.error = None
        except Exception as error:  # an error of the server must not stop the sweep
            self.error = f"{type(error).__name__}: {cause(error)}"
            if isinstance(error, ExportStoppedError):
                self.error = cause(error)
            self._known = None
            log.debug("MLflow export failed", exc_info=True)
        return self.error is None

    def _write_new(self, *, last: bool) -> None:
        """Write everything that MLflow lacks; `last` also closes the runs of unfinished trials."""
        if self._known is None or last:
            self._known = self._read_runs()
        # Read ends, then reports, then trials: every row read then refers to rows that exist.
        exports = self._exports()
        ends = {row["trial"]: row for row in self._ledger.of(tables.END, self._sweep)}
        reports = self._rows_after(tables.REPORT, self._last_report)
        rescored = self._rows_after(tables.RESCORE, self._last_rescore)
        new_reports, new_scores = _by_trial(reports), _by_trial(rescored)
        for row in self._ledger.of(tables.TRIAL, self._sweep):
            number = row["number"]
            if number not in self._runs:
                self._runs[number] = _as_exported(row, exports.get(number))
            run = self._runs[number]
            news = (new_reports.get(number, []), new_scores.get(number, []))
            self._write_trial(run, ends.get(number), *news, now=last)
        self._last_report = max((row["seq"] for row in reports), default=self._last_report)
        self._last_rescore = max((row["seq"] for row in rescored), default=self._last_rescore)
        if last:
            self._close_unfinished(ends)

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
        client = mlflow_client.connect(self._workspace, self._uri, self._sweep)
        run_ids = [row["run"] for row in self._exports().values()]
        experiment = mlflow_experiment.require_experiment(
            client,
            self._sweep,
            self._workspace,
            self._uri,
            itertools.islice(run_ids, SOUGHT_RUNS),
        )
        known_runs = KnownRuns(client, experiment)
        parent = self._require_parent(client, experiment, known_runs)
        for run in self._runs.values():
            run.attached = False
        target = Target(
            client=client,
            experiment=experiment,
            parent=parent,
            sweep=self._sweep,
            ledger=self._ledger,
            files=self._files,
            tags=self._tags,
        )
        return target, known_runs

    def _require_parent(self, client: Any, experiment: str, known_runs: KnownRuns) -> str:
        """Return the id of the parent run; find, restore or create it."""
        sweep = self._ledger.require_sweep(self._sweep)
        tags = {PARENT_TAG: self._sweep, **self._tags}
        run = known_runs.parent(self._sweep)
        if run is None:
            parent = mlflow_client.create_run(
                client, experiment, self._sweep, created=sweep["created"], tags=tags
            )
        else:
            parent = run.info.run_id
            if mlflow_experiment.is_deleted(run.info):
                client.restore_run(parent)
            for key, text in tags.items():
                if key not in run.data.tags:
                    client.set_tag(parent, key, text)
        client.update_run(parent, status="RUNNING")
        mlflow_client.log_document(client, parent, "spec.json", sweep["spec"])
        return parent

    def _require_experiment(self, target: Target) -> None:
        """Raise ExportStoppedError unless the server answers and has the experiment."""
        try:
            experiment = target.client.get_experiment(target.experiment)
        except Exception as error:
            raise ExportStoppedError(f"{type(error).__name__}: {cause(error)}") from error
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
        has_ended_since = end is not None and run.state != end["state"]
        if run.attached and not (reports or scores or run.missed or has_ended_since):
            return
        if not now and time.monotonic() < run.retry_at:
            run.missed = run.missed or bool(reports or scores)
            return
        target, known_runs = self._require_runs()

        def write() -> None:
            if not run.attached:
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
        target, known_runs = self._require_runs()
        try:
            try:
                write()
            except Exception:
                self._require_experiment(target)
                known_runs.look_again(self._sweep, run.trial, run.run)
                run.attached = False
                run.missed = True
                write()
        except ExportStoppedError:
            raise
        except Exception as error:
            self._require_experiment(target)
            log.debug("MLflow did not take trial %s", run.trial["number"], exc_info=True)
            run.put_off(error)
            return
        run.error = ""
        if run.refused:
            self._require_experiment(target)
            run.put_off()

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

        for number, run in self._runs.items():
            if number not in ends and run.state != ExportState.INTERRUPTED and not run.error:
                self._attempt(run, lambda run=run: close(run))
        status = "FINISHED" if len(ends) == len(self._runs) else "KILLED"
        target.client.set_terminated(target.parent, status)

    def _has_collapsed(self, run: TrialRun) -> bool:
        """Return whether a trial had no active unit at the last report that was sent."""
        report, number = tables.REPORT.c, run.trial["number"]
        where = (report.sweep == self._sweep, report.trial == number, report.epoch == run.epoch)
        rows = self._ledger.rows(tables.REPORT, *where)
        return any(replay.has_collapsed(json.loads(row["body"])["metrics"]) for row in rows)


def _by_trial(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Return number of a trial -> its rows, in their order."""
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["trial"], []).append(row)
    return grouped


def _as_exported(trial: Row, export: Row | None) -> TrialRun:
    """Return the run of a trial as the ledger knows it; `export` is None if it knows none."""
    run = TrialRun(trial)
    if export is not None:
        run.run, run.state = export["run"], export["state"]
        run.epoch = run.complete_epoch = export["epoch"]
        run.saved = (run.run, run.complete_epoch, run.state)
    return run
