"""The run of one trial in MLflow: found, restored or made anew, and brought up to date.

A lasting error of one run costs that run only. What MLflow refuses of a trial (a metric, an
artifact that cannot be read) is left out and noted, and everything else of the trial is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sweeps.exports import mlflow_client, mlflow_content
from sweeps.exports.mlflow_client import Point
from sweeps.exports.mlflow_experiment import CHILD_TAG, TRIAL_TAG, KnownRuns, is_deleted
from sweeps.failpoints import failpoint
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import ENDS, ExportState, TrialState
from sweeps.ledger.tables import Row
from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths
from sweeps.urls import redacted

LONGEST_CAUSE = 300
"""Characters of an error of MLflow in a sentence for the user."""

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
class TrialRun:
    """The run of one trial, and how far it is."""

    trial: Row  # of the ledger
    run: str = ""  # id; "" before the first `attach`
    state: str = TrialState.RUNNING.value  # a TrialState or ExportState
    epoch: int = 0  # the last one that was sent
    complete_epoch: int = 0  # the last one up to which MLflow took everything; the ledger has it
    attached: bool = False
    missed: bool = False  # whether rows of the ledger were read and not sent
    artifacts: set[str] = field(default_factory=set[str])  # names that the run has
    rescored: set[int] = field(default_factory=set[int])  # `seq` of the scores that were sent
    refused: dict[str, str] = field(default_factory=dict[str, str])  # what was refused -> why
    error: str = ""  # why the trial could not be written at all
    saved: tuple[str, int, str] | None = None  # run, complete_epoch and state in the ledger
    retry_at: float = 0.0  # monotonic time
    pause: float = FIRST_PAUSE

    @property
    def name(self) -> str:
        """The name of the run in MLflow."""
        return mlflow_content.run_name(self.trial)

    @property
    def problem(self) -> str:
        """What MLflow lacks of this trial and why, as one sentence; "" if it lacks nothing."""
        trial = f"trial {self.trial['number']} ({self.name})"
        if self.error:
            return f"{trial} is not written: {self.error}"
        causes: list[str] = []
        refused = dict(self.refused)  # a copy: the writer may change it meanwhile
        for why in dict.fromkeys(refused.values()):
            things = [thing for thing, cause in refused.items() if cause == why]
            more = f" and {len(things) - 3} more" if len(things) > 3 else ""
            causes.append(f"{', '.join(things[:3])}{more}: {why}")
        return f"{trial} lacks {'; '.join(causes)}" if causes else ""

    def put_off(self, error: Exception | None = None) -> None:
        """Note that the trial is not written completely, and when to try again."""
        if error is not None:
            self.error = cause(error)
            self.attached = False
            self.missed = True
        self.retry_at = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

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
            created = self.trial["asked"]
            tags["state"] = TrialState.RUNNING.value
            self._start_again(
                mlflow_client.create_run(
                    client, target.experiment, self.name, created=created, tags=tags
                )
            )
        else:
            if run.info.run_id != self.run:
                self._start_again(run.info.run_id)
            if is_deleted(run.info):
                client.restore_run(self.run)
            parameters = run.data.params
            self._restore_tags(client, tags, run.data.tags)
        self._log_parameters(client, parameters)
        if self.state in ENDS:
            self._check_artifacts(target)
        self.save(target)
        self.attached = True

    def _start_again(self, run: str) -> None:
        """Take another run as that of the trial: everything is sent to it again."""
        self.run, self.state = run, TrialState.RUNNING.value
        self.epoch = self.complete_epoch = 0
        self.artifacts.clear()
        self.rescored.clear()
        self.missed = True

    def _restore_tags(
        self, client: Any, tags: Mapping[str, str], present: Mapping[str, str]
    ) -> None:
        """Set the tags that the run lost, and those by which it is found again."""
        for key, text in tags.items():
            if key not in present or (key in (CHILD_TAG, TRIAL_TAG) and present[key] != text):
                client.set_tag(self.run, key, text)
        if "state" not in present:
            client.set_tag(self.run, "state", self.state)
        if self.state in ENDS and not {"state", "collapsed"} <= present.keys():
            self.state = TrialState.RUNNING.value  # so that the run is closed again, with its tags

    def _log_parameters(self, client: Any, present: Mapping[str, str]) -> None:
        """Log the parameters that the run does not have."""
        texts = mlflow_content.parameters(self.trial)
        missing = {key: text for key, text in texts.items() if key not in present}

        def send(keys: Sequence[str]) -> None:
            mlflow_client.log_parameters(client, self.run, {key: missing[key] for key in keys})

        self._send("parameter", list(missing), send, client)

    def _check_artifacts(self, target: Target) -> None:
        """Let the run be closed again if it lost artifacts."""
        self.artifacts = {file.path for file in target.client.list_artifacts(self.run)}
        if not self.artifacts.issuperset(self._artifact_names(target)):
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
        if self.state != TrialState.RUNNING:
            client.update_run(self.run, status="RUNNING")
            client.set_tag(self.run, "state", TrialState.RUNNING.value)
            self.state = TrialState.RUNNING.value
        points: list[Point] = []
        for row in rows:
            points.extend(mlflow_content.report_points(row))
        taken = self._log_points(client, points)
        last_body = json.loads(rows[-1]["body"])
        for key in ("device", "host"):
            if last_body.get(key):
                client.set_tag(self.run, key, str(last_body[key]))
        if taken and self.epoch == self.complete_epoch:
            self.complete_epoch = rows[-1]["epoch"]
        self.epoch = rows[-1]["epoch"]
        self.save(target)

    def log_rescored(self, target: Target, rows: Sequence[Row]) -> None:
        """Log the scores of stored codes that the run does not have yet.

        A run that was made anew is another run, so the scores are logged to it again.
        """
        for row in rows:
            if row["run"] != self.run and row["seq"] not in self.rescored:
                self._log_score(target, row)

    def _log_score(self, target: Target, row: Row) -> None:
        failpoint("track.before_rescored")
        taken = self._log_points(target.client, mlflow_content.score_points(row))
        failpoint("track.rescored")
        self.rescored.add(row["seq"])
        if taken:
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
        complete = True
        if state is not ExportState.INTERRUPTED:
            complete = self._log_artifacts(target)
            client.set_tag(self.run, "collapsed", str(collapsed).lower())
        client.set_tag(self.run, "state", state.value)
        if why:
            client.set_tag(self.run, "why", why[:5000])
        client.set_terminated(self.run, RUN_STATUS[state], int(1000 * at))
        if complete:
            self.state = state.value
        self.save(target)

    def save(self, target: Target) -> None:
        """Write to the ledger how far the run is, unless it says so already."""
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

    def _log_artifacts(self, target: Target) -> bool:
        """Log the artifacts that the run lacks; return whether it has all of them now."""
        missing = [name for name in self._artifact_names(target) if name not in self.artifacts]

        def send(names: Sequence[str]) -> None:
            mlflow_client.log_artifacts(
                target.client, self.run, target.files, self.trial["hash"], names
            )
            self.artifacts.update(names)

        return self._send("artifact", missing, send, target.client)

    def _log_points(self, client: Any, points: Sequence[Point]) -> bool:
        """Log numbers; return whether MLflow took all of them."""
        by_key: dict[str, list[Point]] = {}
        for point in points:
            by_key.setdefault(point.key, []).append(point)

        def send(keys: Sequence[str]) -> None:
            chosen = [point for key in keys for point in by_key[key]]
            mlflow_client.log_points(client, self.run, chosen)

        return self._send("metric", list(by_key), send, client)

    def _send(
        self, kind: str, keys: Sequence[str], send: Callable[[Sequence[str]], None], client: Any
    ) -> bool:
        """Send things together or, if that fails, each on its own; note those that are refused.

        Returns:
            Whether all of them were taken.

        Raises:
            Exception: the run is deleted or out of reach, so nothing can be said of the keys.
        """
        for key in keys:
            self.refused.pop(f"{kind} {key}", None)
        if not keys:
            return True
        try:
            send(keys)
            return True
        except Exception:
            if is_deleted(client.get_run(self.run).info):
                raise
        taken = True
        for key in keys:
            try:
                send([key])
            except Exception as error:
                self.refused[f"{kind} {key}"] = cause(error)
                taken = False
        return taken


def cause(error: Exception) -> str:
    """Return the first line of an error, without passwords of URLs and without the code that MLflow
    puts before it.
    """
    lines = [line.strip() for line in redacted(str(error)).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    code, _, rest = text.partition(": ")
    if rest and code.isupper() and " " not in code:
        text = rest
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"


def problems_text(problems: Iterable[str]) -> str:
    """Return the problems of trials as one text, the first three of them in full."""
    listed = list(problems)
    more = [f"and {len(listed) - 3} more trials"] if len(listed) > 3 else []
    return "; ".join([*listed[:3], *more])
