"""Exports the ledger to MLflow, in one writer thread of the driver.

It writes in batches, with the times of the ledger. Writing again changes nothing: a run is found by
its tag before one is created, and MLflow keeps one of several equal points (run, key, value, time,
step). A tracking server that is away stops no training: what it lacks waits in the ledger.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_client import Point
from sweeps.failpoints import failpoint
from sweeps.ledger import replay, tables
from sweeps.ledger.flatten import flatten
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

LONGEST_VALUE = 6000
"""Characters of a parameter's value that MLflow takes. A longer one (a table of weights) is cut;
the ledger has all.
"""

RUN_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
    ExportState.INTERRUPTED: "KILLED",
}
"""MLflow's status of a run by the state of its trial."""


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
        self._last_rescore = 0  # `seq` of the last score of stored codes that was logged
        self._exports: dict[int, dict[str, Any]] = {}  # number of a trial -> its row of `export`
        self._client: Any = None
        self._experiment = ""
        self._parent = ""
        self.error: str | None = None  # why the last pass failed; None when MLflow is up to date

    def run(self) -> None:
        """Write what is new once a second; pause longer and longer while the server is away."""
        pause = PERIOD
        while True:
            last = self._finish.is_set()
            try:
                self._write_new(last)
                self.error = None
                pause = PERIOD
            except Exception as error:  # an error of the server must not stop the sweep
                self.error = f"{type(error).__name__}: {error}".splitlines()[0]
                log.debug("MLflow export failed", exc_info=True)
                pause = min(2 * pause, LONGEST_PAUSE)
            if last:
                return
            self._finish.wait(pause)

    def finish(self, timeout: float) -> bool:
        """Write the rest; return whether all of it was written in time."""
        self._finish.set()
        self.join(timeout)
        return not self.is_alive() and self.error is None

    # ---- one pass

    def _write_new(self, last: bool) -> None:
        """Write everything that MLflow lacks; `last` also closes the runs of unfinished trials."""
        if self._client is None:
            self._client = self._connect()
        # Read ends, then reports, then trials: every row read then refers to rows that exist.
        ends = {row["trial"]: row for row in self._ledger.of(tables.END, self._sweep)}
        reports = self._rows_after(tables.REPORT, self._last_report)
        rescored = self._rows_after(tables.RESCORE, self._last_rescore)
        trials = {row["number"]: row for row in self._ledger.of(tables.TRIAL, self._sweep)}
        for number, row in trials.items():
            if number not in self._exports:
                self._exports[number] = self._open_run(row)
        self._log_reports(reports)
        for number, end in ends.items():
            if self._exports[number]["state"] != end["state"]:
                state = TrialState(end["state"])
                self._close_run(trials[number], state, end["why"], end["at"])
        for row in rescored:
            self._log_rescored(row)
            self._last_rescore = row["seq"]
        if last:
            self._close_unfinished(trials, ends)

    def _rows_after(self, table: Any, seq: int) -> list[Row]:
        """Return the rows of this sweep that were written after a given one."""
        return self._ledger.rows(
            table, table.c.sweep == self._sweep, table.c.seq > seq, order=table.c.seq
        )

    def _connect(self) -> Any:
        """Return a client; find or create the experiment and the parent run; read how far each run
        is.
        """
        client = mlflow_client.connect(self._workspace, self._uri, self._sweep)
        self._experiment = mlflow_client.require_experiment(
            client, self._sweep, self._workspace, self._uri
        )
        sweep = self._ledger.require_sweep(self._sweep)
        self._parent = self._find_or_create_parent(client, sweep["created"])
        client.update_run(self._parent, status="RUNNING")
        mlflow_client.log_document(client, self._parent, "spec.json", sweep["spec"])
        for row in self._ledger.of(tables.EXPORT, self._sweep):
            if row["target"] == "mlflow":
                self._exports[row["trial"]] = dict(row)
        if self._exports and not self._still_has_runs(client):
            self._exports.clear()  # MLflow was emptied: write everything again
        return client

    def _find_or_create_parent(self, client: Any, created: float) -> str:
        condition = f"tags.`sweep.parent` = '{self._sweep}'"
        run = mlflow_client.find_run(client, self._experiment, condition)
        if run is not None:
            return run
        tags = {"sweep.parent": self._sweep, **self._tags}
        return mlflow_client.create_run(
            client, self._experiment, self._sweep, created=created, tags=tags
        )

    def _find_trial_run(self, client: Any, number: int) -> str | None:
        condition = f"tags.`sweep.trial` = '{self._sweep}/{number}'"
        return mlflow_client.find_run(client, self._experiment, condition)

    def _still_has_runs(self, client: Any) -> bool:
        number, export = next(iter(self._exports.items()))
        return self._find_trial_run(client, number) == export["run"]

    # ---- runs of trials

    def _open_run(self, row: Row) -> dict[str, Any]:
        """Find or create the run of a trial, and log its parameters."""
        config = json.loads(row["config"])
        run = self._find_trial_run(self._client, row["number"])
        if run is None:
            objective = config["objective"]["name"]
            name = f"{objective}-{row['cell']:03d}-s{row['seed']}"
            tags = {
                "mlflow.parentRunId": self._parent,
                "sweep.trial": f"{self._sweep}/{row['number']}",
                "objective": objective,
                "config_hash": row["hash"],
                "cell": str(row["cell"]),
                "seed": str(row["seed"]),
                "state": TrialState.RUNNING.value,
                **self._tags,
                **_beta_normalised(config),
            }
            if row["reused_from"]:
                tags["reused_from"] = row["reused_from"]
            run = mlflow_client.create_run(
                self._client, self._experiment, name, created=row["asked"], tags=tags
            )
        parameters = {key: _parameter_text(value) for key, value in flatten(config).items()}
        mlflow_client.log_parameters(self._client, run, parameters)
        return self._save_export(row["number"], run=run, epoch=0, state=TrialState.RUNNING.value)

    def _log_reports(self, reports: list[Row]) -> None:
        """Log the reports that the runs do not have yet, trial by trial."""
        pending: dict[int, list[Row]] = {}
        for report in reports:
            if report["epoch"] > self._exports[report["trial"]]["epoch"]:
                pending.setdefault(report["trial"], []).append(report)
        for number, rows in pending.items():
            self._log_trial_reports(number, rows)
        if reports:
            self._last_report = reports[-1]["seq"]

    def _log_trial_reports(self, number: int, rows: list[Row]) -> None:
        export = self._exports[number]
        run = export["run"]
        if export["state"] == ExportState.INTERRUPTED:
            self._client.update_run(run, status="RUNNING")
            self._client.set_tag(run, "state", TrialState.RUNNING.value)
            export["state"] = TrialState.RUNNING.value
        points: list[Point] = []
        for row in rows:
            points.extend(report_points(row))
        mlflow_client.log_points(self._client, run, points)
        last_body = json.loads(rows[-1]["body"])
        for key in ("device", "host"):
            if last_body.get(key):
                self._client.set_tag(run, key, str(last_body[key]))
        self._exports[number] = self._save_export(
            number, run=run, epoch=rows[-1]["epoch"], state=export["state"]
        )

    def _log_rescored(self, row: Row) -> None:
        """Log a score of stored codes, unless the run of its trial has it already.

        An emptied MLflow has other runs, so the score is logged to them again.
        """
        run = self._exports[row["trial"]]["run"]
        if row["run"] == run:
            return
        numbers = json.loads(row["body"])["numbers"]
        points = [
            Point(f"final/{key}", value, row["at"], row["epoch"]) for key, value in numbers.items()
        ]
        failpoint("track.before_rescored")
        mlflow_client.log_points(self._client, run, points)
        failpoint("track.rescored")
        with self._ledger.transaction() as tx:
            tx.update(tables.RESCORE, tables.RESCORE.c.seq == row["seq"], run=run)

    def _close_run(self, row: Row, state: TrialState | ExportState, why: str, at: float) -> None:
        """Set state and status of the run of a trial; an ended trial also gets its artifacts."""
        number, export = row["number"], self._exports[row["number"]]
        run = export["run"]
        if state is not ExportState.INTERRUPTED:
            mlflow_client.log_artifacts(self._client, run, self._files, row["hash"])
            collapsed = self._has_collapsed(number, export["epoch"])
            self._client.set_tag(run, "collapsed", str(collapsed).lower())
        self._client.set_tag(run, "state", state.value)
        if why:
            self._client.set_tag(run, "why", why[:5000])
        self._client.set_terminated(run, RUN_STATUS[state], int(1000 * at))
        self._exports[number] = self._save_export(
            number, run=run, epoch=export["epoch"], state=state.value
        )

    def _close_unfinished(self, trials: Mapping[int, Row], ends: Mapping[int, Row]) -> None:
        """Mark the runs of trials that have not ended as interrupted, and close the parent run."""
        why = "the driver stopped; the same command resumes the sweep"
        for number, export in self._exports.items():
            if number not in ends and export["state"] != ExportState.INTERRUPTED:
                self._close_run(trials[number], ExportState.INTERRUPTED, why, time.time())
        status = "FINISHED" if len(ends) == len(trials) else "KILLED"
        self._client.set_terminated(self._parent, status)

    def _has_collapsed(self, number: int, epoch: int) -> bool:
        """Return whether a trial had no active unit at its last report."""
        report = tables.REPORT.c
        where = (report.sweep == self._sweep, report.trial == number, report.epoch == epoch)
        rows = self._ledger.rows(tables.REPORT, *where)
        return any(replay.has_collapsed(json.loads(row["body"])["metrics"]) for row in rows)

    def _save_export(self, number: int, **columns: Any) -> dict[str, Any]:
        """Write how far the run of a trial is, and return that row."""
        row = {"sweep": self._sweep, "target": "mlflow", "trial": number, **columns}
        export = tables.EXPORT.c
        where = (
            export.sweep == self._sweep,
            export.target == "mlflow",
            export.trial == number,
        )
        with self._ledger.transaction() as tx:
            tx.delete(tables.EXPORT, *where)
            tx.insert(tables.EXPORT, **row)
        return row


def report_points(row: Row) -> Iterator[Point]:
    """Yield every number of a report under the key that MLflow shows."""
    body = json.loads(row["body"])
    groups = {
        "": body["metrics"],
        "train/": body["train"],
        "final/": body.get("final") or {},
        "best/": body.get("best") or {},
    }
    for prefix, numbers in groups.items():
        for key, value in numbers.items():
            shown = key if prefix else _grouped(key)
            yield Point(f"{prefix}{shown}", value, row["at"], row["epoch"])
    yield Point("seconds", row["seconds"], row["at"], row["epoch"])


def _grouped(key: str) -> str:
    """Return the key that MLflow shows for a number of an epoch: `error/tc` for `tc_error`.

    MLflow draws the keys of one folder together, so the errors are no charts among the metrics.
    """
    metric = key.removesuffix("_error")
    return key if metric == key or "/" in key else f"error/{metric}"


def _beta_normalised(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tag beta * d / (H W C), comparable between data sets, if the objective has a beta.

    Higgins et al. 2017. d is the number of latents, H W C the size of an image.
    """
    from vae_core.data import DATASETS
    from vae_core.hyperparameters.registry import build

    beta, latents = config["objective"].get("beta"), config["network"].get("latents")
    if beta is None or latents is None:
        return {}
    pixels = math.prod(build("data set", config["data"], DATASETS).outline().shape)
    return {"beta_normalised": f"{beta * latents / pixels:.6g}"}


def _parameter_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
