"""Logs the report page to the MLflow run of its sweep."""

from __future__ import annotations

from pathlib import Path

from sweeps.exports.mlflow_client import connect, find_run, log_folder


def log_report(name: str, workspace: Path, uri: str | None, folder: Path) -> None:
    """Log the files of a report page to the parent run of the sweep, replacing those of an earlier
    page.

    Args:
        name: of the sweep.
        workspace: the folder of the sweep.
        uri: of MLflow's server; None for the database in the workspace.
        folder: with the files.
    """
    client = connect(workspace, uri, name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return
    run = find_run(client, experiment.experiment_id, f"tags.`sweep.parent` = '{name}'")
    if run is not None:
        log_folder(client, run, folder, "report")
