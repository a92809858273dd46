"""Ledger -> MLflow: one writer thread in the driver, in batches, with the ledger's times. Only here is mlflow imported.

A replay changes nothing: a run is found by its tag before one is made, and MLflow keeps one of several equal points
(run, key, value, time, step). A tracking server that is away stops no training: the backlog waits in the ledger.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.failpoints import failpoint
from sweeps.ledger import replay, tables
from sweeps.ledger.flatten import flatten
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.tables import Row
from sweeps.storage.files import AbstractFiles, LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths

log = logging.getLogger(__name__)


EXPORT_PATIENCE = 120.0
"""Seconds that a finished sweep waits for MLflow to take the rest."""

PERIOD = 1.0


PATIENCE = 60.0
"""Longest pause between two tries while the server is away."""


LONGEST = 6000
"""Characters of a parameter's value that MLflow takes; what is longer (a table of weights) is whole in the ledger."""


STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAILED": "FAILED", "INTERRUPTED": "KILLED"}


class MlflowWriter(threading.Thread):
    """Feeds MLflow from the ledger until `finish()`."""

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
        self._seq = 0  # reports seen
        self._rescored = 0  # scores of stored codes seen
        self._exports: dict[int, dict[str, Any]] = {}
        self._client: Any = None
        self._experiment = ""
        self._parent = ""
        self.error: str | None = None  # why the last pass failed, None when MLflow is up to date

    def run(self) -> None:
        """Write what is new about once a second; back off while the server is away."""
        pause = PERIOD
        while True:
            last = self._finish.is_set()
            try:
                self._pass(last)
                self.error = None
                pause = PERIOD
            except Exception as error:  # the server's trouble is not the sweep's
                self.error = f"{type(error).__name__}: {error}".splitlines()[0]
                log.debug("MLflow export failed", exc_info=True)
                pause = min(2 * pause, PATIENCE)
            if last:
                return
            self._finish.wait(pause)

    def finish(self, timeout: float) -> bool:
        """Write the rest; return whether all of it got there in time."""
        self._finish.set()
        self.join(timeout)
        return not self.is_alive() and self.error is None

    # ---- one pass

    def _pass(self, last: bool) -> None:
        if self._client is None:
            self._client = self._connect()
        # In this order nothing committed in between is seen by halves: an end has its last report, a report its trial.
        ends = {row["trial"]: row for row in self._ledger.of(tables.END, self._sweep)}
        where = (tables.REPORT.c.sweep == self._sweep, tables.REPORT.c.seq > self._seq)
        reports = self._ledger.rows(tables.REPORT, *where, order=tables.REPORT.c.seq)
        new = (tables.RESCORE.c.sweep == self._sweep, tables.RESCORE.c.seq > self._rescored)
        rescored = self._ledger.rows(tables.RESCORE, *new, order=tables.RESCORE.c.seq)
        trials = {row["number"]: row for row in self._ledger.of(tables.TRIAL, self._sweep)}
        for number, row in trials.items():
            if number not in self._exports:
                self._exports[number] = self._open(row)
        pending: dict[int, list[Row]] = {}
        for report in reports:
            if report["epoch"] > self._exports[report["trial"]]["epoch"]:
                pending.setdefault(report["trial"], []).append(report)
        for number, rows in pending.items():
            self._log_reports(number, rows)
        if reports:
            self._seq = reports[-1]["seq"]
        for number, end in ends.items():
            if self._exports[number]["state"] != end["state"]:
                self._close(trials[number], end["state"], end["why"], end["at"])
        for row in rescored:
            self._log_rescored(row)
            self._rescored = row["seq"]
        if last:
            for number, export in self._exports.items():
                if number not in ends and export["state"] != "INTERRUPTED":
                    self._close(
                        trials[number],
                        "INTERRUPTED",
                        "the driver stopped; the same command goes on",
                        time.time(),
                    )
            complete = len(ends) == len(trials)
            self._client.set_terminated(self._parent, "FINISHED" if complete else "KILLED")

    def _connect(self) -> Any:
        """Return a client, with the experiment and the parent run found or made, and how far each run is."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        # Without these one call blocks for minutes when a server is away; the thread has its own patience.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        client = mlflow.MlflowClient(WorkspacePaths(self._workspace).tracking_uri(self._uri))
        self._experiment = _experiment(client, self._sweep, self._workspace, self._uri)
        sweep = self._ledger.sweep(self._sweep)
        assert sweep is not None
        parent = _find(client, self._experiment, f"tags.`sweep.parent` = '{self._sweep}'")
        tags = {"sweep.parent": self._sweep, **self._tags}
        self._parent = parent or _create(
            client, self._experiment, sweep["created"], self._sweep, tags
        )
        client.update_run(self._parent, status="RUNNING")
        client.log_dict(self._parent, sweep["spec"], "spec.json")
        for row in self._ledger.of(tables.EXPORT, self._sweep):
            if row["target"] == "mlflow":
                self._exports[row["trial"]] = dict(row)
        if self._exports and not self._known(client):
            self._exports.clear()  # somebody emptied MLflow: tell it everything again
        return client

    def _known(self, client: Any) -> bool:
        first = next(iter(self._exports))
        found = _find(client, self._experiment, f"tags.`sweep.trial` = '{self._sweep}/{first}'")
        return found == self._exports[first]["run"]

    def _open(self, row: Row) -> dict[str, Any]:
        """Find or make a trial's run."""
        from mlflow.entities import Param

        config = json.loads(row["config"])
        run = _find(
            self._client, self._experiment, f"tags.`sweep.trial` = '{self._sweep}/{row['number']}'"
        )
        if run is None:
            tags = {
                "mlflow.parentRunId": self._parent,
                "sweep.trial": f"{self._sweep}/{row['number']}",
                "objective": config["objective"]["name"],
                "config_hash": row["hash"],
                "cell": str(row["cell"]),
                "seed": str(row["seed"]),
                "state": "RUNNING",
                **self._tags,
                **_beta_normalised(config),
                **({"reused_from": row["reused_from"]} if row["reused_from"] else {}),
            }
            name = f"{config['objective']['name']}-{row['cell']:03d}-s{row['seed']}"
            run = _create(self._client, self._experiment, row["asked"], name, tags)
        params = [Param(key, _text(value)) for key, value in flatten(config).items()]
        for start in range(0, len(params), 100):  # MLflow's limit per batch
            self._client.log_batch(run, params=params[start : start + 100])
        return self._save(row["number"], run=run, epoch=0, state="RUNNING")

    def _log_reports(self, number: int, rows: list[Row]) -> None:
        export = self._exports[number]
        if export["state"] == "INTERRUPTED":
            self._client.update_run(export["run"], status="RUNNING")
            self._client.set_tag(export["run"], "state", "RUNNING")
            export["state"] = "RUNNING"
        values: list[tuple[str, float, Row]] = []
        for row in rows:
            body = json.loads(row["body"])
            named = {
                **body["metrics"],
                **{f"train/{key}": value for key, value in body["train"].items()},
                **{f"final/{key}": value for key, value in (body.get("final") or {}).items()},
                **{f"best/{key}": value for key, value in (body.get("best") or {}).items()},
                "seconds": row["seconds"],
            }
            values += [(key, value, row) for key, value in named.items()]
        self._log(export["run"], values)
        last = json.loads(rows[-1]["body"])
        for key in ("device", "host"):
            if last.get(key):
                self._client.set_tag(export["run"], key, str(last[key]))
        self._exports[number] = self._save(
            number, run=export["run"], epoch=rows[-1]["epoch"], state=export["state"]
        )

    def _log_rescored(self, row: Row) -> None:
        """Log a score of stored codes, unless the trial's run has it: an emptied MLflow has other runs."""
        run = self._exports[row["trial"]]["run"]
        if row["run"] == run:
            return
        numbers = json.loads(row["body"])["numbers"]
        failpoint("track.before_rescored")
        self._log(run, [(f"final/{key}", value, row) for key, value in numbers.items()])
        failpoint("track.rescored")
        with self._ledger.transaction() as tx:
            tx.update(tables.RESCORE, tables.RESCORE.c.seq == row["seq"], run=run)

    def _log(self, run: str, values: list[tuple[str, float, Row]]) -> None:
        """Log numbers at the epoch and the time of their rows; those that are not finite are named in a tag."""
        from mlflow.entities import Metric

        # MLflow stores inf as 1.8e308, which spoils every maximum.
        finite = [(key, value, row) for key, value, row in values if math.isfinite(value)]
        points = [
            Metric(key, value, int(1000 * row["at"]), row["epoch"]) for key, value, row in finite
        ]
        for start in range(0, len(points), 1000):
            self._client.log_batch(run, metrics=points[start : start + 1000])
        silent = {key for key, value, _ in values if not math.isfinite(value)}
        if silent:
            told = self._client.get_run(run).data.tags.get("not_finite", "")
            silent |= set(filter(None, told.split(", ")))
            self._client.set_tag(run, "not_finite", ", ".join(sorted(silent)))

    def _close(self, row: Row, state: str, why: str, at: float) -> None:
        export = self._exports[row["number"]]
        run = export["run"]
        if state != "INTERRUPTED":
            self._artifacts(run, row["hash"])
            self._client.set_tag(
                run, "collapsed", str(self._collapsed(row["number"], export["epoch"])).lower()
            )
        self._client.set_tag(run, "state", state)
        if why:
            self._client.set_tag(run, "why", why[:5000])
        self._client.set_terminated(run, STATUS[state], int(1000 * at))
        self._exports[row["number"]] = self._save(
            row["number"], run=run, epoch=export["epoch"], state=state
        )

    def _collapsed(self, number: int, epoch: int) -> bool:
        """Return whether a trial had no active unit at its last report."""
        table = tables.REPORT
        mine = (table.c.sweep == self._sweep, table.c.trial == number, table.c.epoch == epoch)
        return any(
            replay.has_collapsed(json.loads(row["body"])["metrics"])
            for row in self._ledger.rows(table, *mine)
        )

    def _artifacts(self, run: str, trial_hash: str) -> None:
        paths = TrialPaths(trial_hash)
        names = self._files.names(paths.artifacts)
        target = self._client.get_run(run).info.artifact_uri
        if isinstance(self._files, LocalFiles) and target.startswith("file://"):
            link(
                [self._files.root / paths.artifact(name) for name in names],
                Path(target.removeprefix("file://")),
            )
            return
        with tempfile.TemporaryDirectory() as aside:
            for name in names:
                copy = Path(aside, name)
                copy.write_bytes(self._files.read(paths.artifact(name)))
                self._client.log_artifact(run, str(copy))

    def _save(self, number: int, **values: Any) -> dict[str, Any]:
        row = {"sweep": self._sweep, "target": "mlflow", "trial": number, **values}
        table = tables.EXPORT
        with self._ledger.transaction() as tx:
            tx.delete(
                table,
                table.c.sweep == self._sweep,
                table.c.target == "mlflow",
                table.c.trial == number,
            )
            tx.insert(table, **row)
        return row


def link(files: list[Path], folder: Path) -> None:
    """Put files into a folder as hard links, as copies where the file system refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except OSError:
            shutil.copy2(file, target)


def _find(client: Any, experiment: str, condition: str) -> str | None:
    found = client.search_runs([experiment], filter_string=condition, max_results=1)
    return found[0].info.run_id if found else None


def _create(client: Any, experiment: str, at: float, name: str, tags: Mapping[str, str]) -> str:
    return client.create_run(
        experiment, start_time=int(1000 * at), tags=dict(tags), run_name=name
    ).info.run_id


def _experiment(client: Any, name: str, workspace: Path, uri: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id
    # On a server the server says where artifacts go; here they lie in the workspace.
    location = None if uri else (WorkspacePaths(workspace).mlflow_artifacts / name).as_uri()
    # The kind makes MLflow's pages open on runs and charts instead of on traces of language models.
    return client.create_experiment(
        name, artifact_location=location, tags={"mlflow.experimentKind": "custom_model_development"}
    )


def _beta_normalised(config: Mapping[str, Any]) -> dict[str, str]:
    """Return beta * d / (H W C), comparable between data sets (Higgins et al. 2017), where there is a beta."""
    from vae_core.data import DATASETS
    from vae_core.hyperparameters.registry import build

    beta, latents = config["objective"].get("beta"), config["network"].get("latents")
    if beta is None or latents is None:
        return {}
    pixels = math.prod(build("data set", config["data"], DATASETS).outline().shape)
    return {"beta_normalised": f"{beta * latents / pixels:.6g}"}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
