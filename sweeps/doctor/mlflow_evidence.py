"""What MLflow has of one sweep. Nothing is written: no table, no experiment, no location."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeps.doctor.ledger_evidence import LedgerEvidence, TrialRecord
from sweeps.exports import mlflow_client, mlflow_content, mlflow_experiment, mlflow_points
from sweeps.exports.mlflow_experiment import HASH_TAG, PARENT_TAG, TRIAL_TAG, KnownRuns
from sweeps.exports.mlflow_locations import wrong_locations
from sweeps.exports.mlflow_points import StoredPoint
from sweeps.exports.mlflow_trial import cause
from sweeps.storage.workspace import WorkspacePaths
from sweeps.urls import sqlite_file


@dataclass
class TrialPoints:
    """The numbers of one trial in which MLflow and the ledger differ."""

    missing: list[StoredPoint] = field(default_factory=list[StoredPoint])
    different: list[StoredPoint] = field(default_factory=list[StoredPoint])  # as MLflow has them
    doubled: list[StoredPoint] = field(default_factory=list[StoredPoint])  # beside the right ones
    unknown: list[StoredPoint] = field(default_factory=list[StoredPoint])  # steps without a report


@dataclass
class MlflowEvidence:
    """The runs of one sweep."""

    problem: str = ""  # why they cannot be read
    experiment: Any = None  # None if there is none
    parents: list[Any] = field(default_factory=list[Any])  # deleted ones too
    runs: dict[int, Any] = field(default_factory=dict[int, Any])
    """Number of a trial -> its run: the one that the writer would take. It may be deleted."""
    doubled: dict[int, list[Any]] = field(default_factory=dict[int, list[Any]])
    """Number of a trial -> further runs of it that are not deleted."""
    orphans: list[Any] = field(default_factory=list[Any])  # runs of trials that do not exist
    points: dict[int, TrialPoints] = field(default_factory=dict[int, TrialPoints])
    artifacts: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """Number of an ended trial -> file names that its run has."""
    misplaced: list[str] = field(default_factory=list[str])  # locations outside the workspace


def read_mlflow(ledger: LedgerEvidence, workspace: Path) -> MlflowEvidence:
    """Return what MLflow has of a sweep, compared with the ledger."""
    evidence = MlflowEvidence()
    try:
        _read(evidence, ledger, workspace)
    except Exception as error:  # a server that is away may raise anything
        evidence.problem = f"{type(error).__name__}: {cause(error)}"
    return evidence


def _read(evidence: MlflowEvidence, ledger: LedgerEvidence, workspace: Path) -> None:
    server = ledger.store("mlflow")
    paths = WorkspacePaths(workspace.resolve())
    if mlflow_client.is_database(server):
        uri = paths.tracking_uri(server)
        file = paths.mlflow if server is None else sqlite_file(server)
        if file is not None and not file.exists():
            return
        only = None if server is None else ledger.name
        evidence.misplaced = wrong_locations(uri, paths.mlflow_artifacts, sweep=only)
    client = mlflow_client.connect(workspace, server, ledger.name, correct_artifacts=False)
    exports = [trial.exports.get("mlflow") for trial in ledger.trials.values()]
    named = [row["run"] for row in exports if row is not None]
    evidence.experiment = mlflow_experiment.find_experiment(client, ledger.name, named[:100])
    if evidence.experiment is None:
        return
    known_runs = KnownRuns(client, evidence.experiment.experiment_id)
    _sort_runs(evidence, ledger, known_runs)
    with mlflow_points.opened(client, workspace, server) as points_of:
        for number, run in evidence.runs.items():
            trial = ledger.trials[number]
            if run is not None:
                evidence.points[number] = _compared(trial, points_of(run))
                if trial.state:
                    evidence.artifacts[number] = _artifacts(client, run)


def _sort_runs(evidence: MlflowEvidence, ledger: LedgerEvidence, known_runs: KnownRuns) -> None:
    """Sort the runs of the experiment: parents, runs of trials, doubled ones, orphans."""
    taken: set[str] = set()
    for number, trial in ledger.trials.items():
        export = trial.exports.get("mlflow")
        named = "" if export is None else export["run"]
        run = known_runs.run_of_trial(ledger.name, trial.row, named)
        evidence.runs[number] = run
        if run is not None:
            taken.add(run.info.run_id)
    for run in known_runs.all():
        tags = run.data.tags
        if tags.get(PARENT_TAG) == ledger.name:
            evidence.parents.append(run)
            continue
        sweep, _, number = tags.get(TRIAL_TAG, "").rpartition("/")
        is_ours = sweep == ledger.name and run.info.run_id not in taken
        if not is_ours or mlflow_experiment.is_deleted(run.info):
            continue
        trial = ledger.trials.get(int(number)) if number.isdecimal() else None
        if trial is not None and tags.get(HASH_TAG, trial.row["hash"]) == trial.row["hash"]:
            evidence.doubled.setdefault(trial.number, []).append(run)
        else:
            evidence.orphans.append(run)


def _compared(trial: TrialRecord, stored: Iterable[StoredPoint]) -> TrialPoints:
    """Return in which numbers MLflow and the ledger differ.

    Numbers under keys that the ledger does not have are a user's, and are not looked at.
    """
    expected: set[StoredPoint] = set()
    for row in trial.reports:
        if row["body"] is not None:
            expected |= mlflow_points.as_stored(mlflow_content.points_of_body(row, row["body"]))
    for row in trial.rescores:
        if row["body"] is not None:
            numbers = row["body"]["numbers"]
            expected |= mlflow_points.as_stored(mlflow_content.points_of_score(row, numbers))
    present = set(stored)
    result = TrialPoints()
    missing, surplus = expected - present, present - expected
    if not missing and not surplus:
        return result
    lacking = {(point.key, point.step) for point in missing}
    there = {(point.key, point.step) for point in expected & present}
    keys = {point.key for point in expected}
    replaced: set[tuple[str, int]] = set()
    for point in sorted(surplus):
        place = (point.key, point.step)
        if place in lacking:
            result.different.append(point)
            replaced.add(place)
        elif place in there:
            result.doubled.append(point)
        elif point.key in keys:
            result.unknown.append(point)
    result.missing = sorted(point for point in missing if (point.key, point.step) not in replaced)
    return result


def _artifacts(client: Any, run: Any) -> set[str]:
    """Return the names of the files that a run has."""
    folder = mlflow_client.local_location(run.info.artifact_uri)
    if folder is None:
        return {file.path for file in client.list_artifacts(run.info.run_id)}
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()
