"""The run of one trial in MLflow: found, restored or made anew, and brought up to date.

A lasting error of one run costs that run only. What MLflow refuses of a trial (a metric, an
artifact that cannot be read) is left out and noted, and everything else of the trial is written.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sweeps.exports import left_out, mlflow_client, mlflow_content
from sweeps.exports.mlflow_client import Point
from sweeps.exports.mlflow_errors import RunDeletedError, cause, is_lasting
from sweeps.exports.mlflow_experiment import (
    CHILD_TAG,
    HASH_TAG,
    TRIAL_TAG,
    KnownRuns,
    is_deleted,
)
from sweeps.exports.mlflow_keys import accepted_key
from sweeps.exports.mlflow_sender import Sender
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import ENDS, ExportState, TrialState
from sweeps.ledger.status import WHOLE_RUN
from sweeps.ledger.tables import Row
from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths

log = logging.getLogger(__name__)

CUT_LENGTH = 250
"""The shortest length to which a server cuts the value of a parameter."""

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
"""Seconds until a trial that failed is tried again: at first, and at most."""

RUN_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
    ExportState.INTERRUPTED: "KILLED",
}
"""MLflow's status of a run by the state of its trial."""


class Target(NamedTuple):
    """Where the trials of a sweep are written to, and what from."""

    client: Any
    experiment: str
    parent: str  # id of the parent run
    sweep: str
    ledger: Ledger
    files: AbstractFiles
    tags: dict[str, str]  # software versions


@dataclass
class TrialRun(Sender):
    """The run of one trial, and how far it is."""

    trial: Row = field(kw_only=True)  # of the ledger
    state: str = TrialState.RUNNING.value  # a TrialState or ExportState
    epoch: int = 0  # the last one that was sent
    complete_epoch: int = 0  # the last one up to which everything was taken or left out
    attached: bool = False
    stale: bool = False  # whether MLflow must be asked again what the run has
    given_up: bool = False  # whether MLflow takes nothing of this trial
    missed: bool = False  # whether rows of the ledger were read and not sent
    artifacts: set[str] = field(default_factory=set[str])  # names that the run has
    rescored: set[int] = field(default_factory=set[int])  # `seq` of the scores that were sent
    error: str = ""  # why the trial could not be written at all
    saved: tuple[str, int, str] | None = None  # run, complete_epoch and state in the ledger
    saved_left_out: dict[str, str] = field(default_factory=dict[str, str])  # in the ledger
    retry_at: float = 0.0  # monotonic time
    pause: float = FIRST_PAUSE

    @property
    def name(self) -> str:
        """The name of the run in MLflow."""
        return mlflow_content.run_name(self.trial)

    @property
    def problem(self) -> str:
        """What MLflow does not have yet of this trial and why; "" if it waits for nothing."""
        if self.error:
            return f"{self._title} is not written: {self.error}"
        return left_out.trial_text(self._title, dict(self.refused))  # the writer may change it

    @property
    def omission(self) -> str:
        """What MLflow never takes of this trial and why, as one sentence; "" for nothing."""
        return left_out.trial_text(self._title, dict(self.left_out))

    @property
    def _title(self) -> str:
        return f"trial {self.trial['number']} ({self.name})"

    # ---- errors

    def put_off(self, error: Exception | None = None) -> None:
        """Note that the trial is not written completely, and when to try again."""
        if error is not None:
            self.error = cause(error)
        self._rewind()
        self.retry_at = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def _rewind(self) -> None:
        """Let everything that is not known to be complete be sent again."""
        self.attached = False
        self.stale = True
        self.missed = True
        self.epoch = self.complete_epoch

    def give_up(self, target: Target, error: Exception) -> None:
        """Note that MLflow takes nothing of this trial. The next driver run tries it once more."""
        self.error = ""
        self.refused.clear()
        self.given_up = True
        self.left_out[WHOLE_RUN] = cause(error)
        self._save_left_out(target)

    # ---- the run

    def attach(self, target: Target, known_runs: KnownRuns) -> None:
        """Find, restore or create the run; give it back the tags, parameters and artifacts it lost.

        A run that is made anew gets everything again.
        """
        client = target.client
        tags = mlflow_content.trial_tags(self.trial, target.sweep, target.parent) | target.tags
        run = known_runs.run_of_trial(target.sweep, self.trial, self.run)
        parameters: Mapping[str, str] = {}
        if run is None:
            tags["state"] = TrialState.RUNNING.value
            self._start_again(self._create(target, tags))
        else:
            if run.info.run_id != self.run:
                self._start_again(run.info.run_id)
            if is_deleted(run.info):
                client.restore_run(self.run)
            for double in known_runs.doubles(target.sweep, self.trial, self.run):
                client.delete_run(double)
            parameters = run.data.params
            self._restore_tags(client, tags, run.data.tags)
        self._log_parameters(client, parameters)
        if self.state in ENDS:
            self._check_artifacts(target)
        self.left_out.pop(WHOLE_RUN, None)
        self.save(target)
        self.attached = True

    def _create(self, target: Target, tags: Mapping[str, str]) -> str:
        """Create the run and return its id; a tag that is refused is left out."""
        client, experiment = target.client, target.experiment
        created = self.trial["asked"]
        try:
            return mlflow_client.create_run(
                client, experiment, self.name, created=created, tags=tags
            )
        except Exception as error:
            if not is_lasting(error):
                raise
        # The run is found again by these tags, so it is not made without them.
        identity = {key: tags[key] for key in (CHILD_TAG, TRIAL_TAG, HASH_TAG)}
        self.run = mlflow_client.create_run(
            client, experiment, self.name, created=created, tags=identity
        )
        self.set_tags(client, {key: text for key, text in tags.items() if key not in identity})
        return self.run

    def _start_again(self, run: str) -> None:
        """Take another run as that of the trial: everything is sent to it again."""
        self.run, self.state = run, TrialState.RUNNING.value
        self.epoch = self.complete_epoch = 0
        for known in (self.artifacts, self.rescored, self.not_finite, self.renamed):
            known.clear()
        self.left_out.clear()
        self.missed = True

    def _restore_tags(
        self, client: Any, tags: Mapping[str, str], present: Mapping[str, str]
    ) -> None:
        """Set the tags that the run lost, and those by which it is found again."""
        missing: dict[str, str] = {}
        for key, text in tags.items():
            if key not in present or (key in (CHILD_TAG, TRIAL_TAG) and present[key] != text):
                missing[key] = text
        if "state" not in present:
            missing["state"] = self.state
        self.set_tags(client, missing)
        lost = {"state", "collapsed"} - present.keys()
        if self.state in ENDS and any(f"tag {key}" not in self.left_out for key in lost):
            self.state = TrialState.RUNNING.value  # so that the run is closed again, with its tags

    def _log_parameters(self, client: Any, present: Mapping[str, str]) -> None:
        """Log the parameters that the run does not have.

        One that it has with another value keeps it: MLflow changes no parameter.
        """
        texts = mlflow_content.parameters(self.trial)
        missing: dict[str, str] = {}
        for key, text in texts.items():
            kept = present.get(accepted_key(key))
            if kept is None:
                missing[key] = text
            elif kept != text and not (len(kept) >= CUT_LENGTH and text.startswith(kept)):
                shown = kept if len(kept) <= 40 else f"{kept[:39]}…"
                self.left_out[f"parameter {key}"] = f"the run has it already, with {shown!r}"

        def send(keys: Sequence[str]) -> None:
            mlflow_client.log_parameters(client, self.run, {key: missing[key] for key in keys})

        self.send("parameter", list(missing), send, client)
        self.note_renamed(client, texts)

    def _check_artifacts(self, target: Target) -> None:
        """Let the run be closed again if it lost artifacts."""
        self.artifacts.clear()
        try:
            self.artifacts |= {file.path for file in target.client.list_artifacts(self.run)}
        except Exception:  # artifacts may be on another server than the numbers
            log.debug("the artifacts of run %s cannot be listed", self.run, exc_info=True)
        names = self._artifact_names(target)
        for thing in [thing for thing in self.left_out if thing.startswith("artifact ")]:
            if thing.removeprefix("artifact ") not in names:
                del self.left_out[thing]  # the file is gone
        if not self.artifacts.issuperset(names):
            self.state = TrialState.RUNNING.value

    def _artifact_names(self, target: Target) -> list[str]:
        return target.files.names(TrialPaths(self.trial["hash"]).artifacts)

    # ---- what is written to it

    def log_reports(self, target: Target, rows: Sequence[Row]) -> None:
        """Log the reports that the run does not have yet."""
        rows = [row for row in rows if row["epoch"] > self.epoch]
        if not rows:
            return
        client = target.client
        settled = True
        if self.state != TrialState.RUNNING:
            settled = self._set_status(client, "RUNNING", client.update_run)
            settled = self.set_tags(client, {"state": TrialState.RUNNING.value}) and settled
            self.state = TrialState.RUNNING.value if settled else self.state
        points: list[Point] = []
        for row in rows:
            points.extend(self._points_of(row))
        settled = self.log_points(client, points) and settled
        last_body = self._body_of(rows[-1])
        hosts = {key: str(last_body[key]) for key in ("device", "host") if last_body.get(key)}
        settled = self.set_tags(client, hosts) and settled
        if settled and self.epoch == self.complete_epoch:
            self.complete_epoch = rows[-1]["epoch"]
        self.epoch = rows[-1]["epoch"]
        self.save(target)

    def _points_of(self, row: Row) -> list[Point]:
        """Return the numbers of a report; leave it out if it cannot be read."""
        try:
            return list(mlflow_content.report_points(row))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            self.left_out[f"report of epoch {row['epoch']}"] = cause(error)
            return []

    def _body_of(self, row: Row) -> Mapping[str, Any]:
        if f"report of epoch {row['epoch']}" in self.left_out:
            return {}
        return json.loads(row["body"])

    def log_rescored(self, target: Target, rows: Sequence[Row]) -> None:
        """Log the scores of stored codes that the run does not have yet.

        A run that was made anew is another run, so the scores are logged to it again.
        """
        for row in rows:
            if row["run"] != self.run and row["seq"] not in self.rescored:
                self._log_score(target, row)

    def _log_score(self, target: Target, row: Row) -> None:
        failpoint("track.before_rescored")
        settled = self.log_points(target.client, mlflow_content.score_points(row))
        failpoint("track.rescored")
        if settled:
            self.rescored.add(row["seq"])
            with target.ledger.transaction() as tx:
                tx.update(tables.RESCORE, tables.RESCORE.c.seq == row["seq"], run=self.run)

    def close(
        self,
        target: Target,
        state: TrialState | ExportState,
        why: str,
        at: float,
        *,
        collapsed: bool,
    ) -> None:
        """Set state and status; an ended trial also gets its artifacts."""
        client = target.client
        tags = {"state": state.value}
        if state is not ExportState.INTERRUPTED:
            tags["collapsed"] = str(collapsed).lower()
        if why:
            tags["why"] = why
        if self.trial["reused_from"]:
            tags["reused_from"] = self.trial["reused_from"]
        complete = self.set_tags(client, tags)
        end = mlflow_client.milliseconds(at)
        terminate = functools.partial(client.set_terminated, end_time=end)
        complete = self._set_status(client, RUN_STATUS[state], terminate) and complete
        if state is not ExportState.INTERRUPTED:
            complete = self._log_artifacts(target) and complete
        if complete:
            self.state = state.value
        self.save(target)

    def _set_status(self, client: Any, status: str, call: Callable[..., None]) -> bool:
        """Set the status by a call; return whether that is not left to do."""
        return self.send("status", [status], lambda _: call(self.run, status=status), client)

    def save(self, target: Target) -> None:
        """Write to the ledger how far the run is, unless it says so already."""
        self._save_left_out(target)
        now = (self.run, self.complete_epoch, self.state)
        if now == self.saved:
            return
        export = tables.EXPORT.c
        number = self.trial["number"]
        where = (export.sweep == target.sweep, export.target == "mlflow", export.trial == number)
        with target.ledger.transaction() as tx:
            tx.delete(tables.EXPORT, *where)
            tx.insert(
                tables.EXPORT,
                sweep=target.sweep,
                target="mlflow",
                trial=number,
                run=self.run,
                epoch=self.complete_epoch,
                state=self.state,
            )
        self.saved = now

    def _save_left_out(self, target: Target) -> None:
        if self.left_out != self.saved_left_out:
            left_out.write(target.ledger, target.sweep, self.trial["number"], self.left_out)
            self.saved_left_out = dict(self.left_out)

    def _log_artifacts(self, target: Target) -> bool:
        """Log the artifacts that the run lacks; return whether none of them is left to send."""
        missing = [name for name in self._artifact_names(target) if name not in self.artifacts]
        for thing in [thing for thing in self.left_out if thing.startswith("artifact ")]:
            del self.left_out[thing]  # a file that could not be read may be whole now

        def send(names: Sequence[str]) -> None:
            mlflow_client.log_artifacts(
                target.client, self.run, target.files, self.trial["hash"], names
            )
            self.artifacts.update(names)

        try:
            return self.send("artifact", missing, send, target.client)
        except RunDeletedError:
            raise
        except Exception as error:  # artifacts may be on another server than the numbers
            if is_deleted(target.client.get_run(self.run).info):
                raise
            things = self.left_out if is_lasting(error) else self.refused
            for name in missing:
                if name not in self.artifacts:
                    things[f"artifact {name}"] = cause(error)
            return is_lasting(error)
