"""Logs the report page to the MLflow run of its sweep."""

from __future__ import annotations

from pathlib import Path

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_experiment import KnownRuns, find_experiment, is_deleted
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger


def log_report(name: str, workspace: Path, uri: str | None, folder: Path) -> None:
    """Log the files of a report page to the parent run of the sweep, replacing those of an earlier
    page. An experiment or a run that was deleted is restored.

    Args:
        name: of the sweep.
        workspace: the folder of the sweep.
        uri: of MLflow's server; None for the database in the workspace.
        folder: with the files.

    Raises:
        LookupError: MLflow has no run of the sweep, not even a deleted one.
    """
    client = mlflow_client.connect(workspace, uri, name)
    experiment = find_experiment(client, name, _known_runs(name, workspace))
    if experiment is not None and is_deleted(experiment):
        client.restore_experiment(experiment.experiment_id)
    run = None if experiment is None else KnownRuns(client, experiment.experiment_id).parent(name)
    if run is None:
        raise LookupError(f"it has no run of sweep {name!r}; `sweeps run` makes it again")
    if is_deleted(run.info):
        client.restore_run(run.info.run_id)
    mlflow_client.log_folder(client, run.info.run_id, folder, "report")


def _known_runs(name: str, workspace: Path) -> list[str]:
    """Return the ids of the runs that the ledger names, for an experiment without a tag."""
    ledger = Ledger.existing(workspace)
    try:
        rows = ledger.of(tables.EXPORT, name)
    finally:
        ledger.close()
    return [row["run"] for row in rows if row["target"] == "mlflow"]
