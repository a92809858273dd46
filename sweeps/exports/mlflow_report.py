"""Logs a report to the MLflow run of its sweep."""

from __future__ import annotations

from pathlib import Path

from sweeps.storage.workspace import WorkspacePaths


def log_report(name: str, workspace: Path, uri: str | None, folder: Path) -> None:
    """Log a report's files to the sweep's parent run, replacing those of an earlier report."""
    import mlflow

    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(uri))
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`sweep.parent` = '{name}'", max_results=1
    )
    if found:
        client.log_artifacts(found[0].info.run_id, str(folder), "report")
