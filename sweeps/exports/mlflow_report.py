"""Logs the report page to the MLflow run of its sweep."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.exports.mlflow_errors import described
from sweeps.exports.mlflow_experiment import KnownRuns, find_experiment, is_deleted
from sweeps.exports.patience import NoAnswerError, Patience, answer_in_time
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.real_urls import real_url


def log_report_in_time(name: str, workspace: Path, uri: str | None, folder: Path) -> str:
    """Log the files of a report page as `log_report` does, in bounded time.

    Returns:
        Why MLflow does not have the report, "" if it has.
    """

    def log(patience: Patience) -> None:
        log_report(name, workspace, uri, folder, patience)

    try:
        answer_in_time(log)
    except (NoAnswerError, LookupError) as error:
        return str(error)
    except Exception as error:  # a server that is away may raise anything; the report is written
        return described(error)
    return ""


def log_report(
    name: str,
    workspace: Path,
    uri: str | None,
    folder: Path,
    patience: Patience | None = None,
) -> None:
    """Log the files of a report page to the parent run of the sweep, replacing those of an earlier
    page. An experiment or a run that was deleted is restored.

    Args:
        name: of the sweep.
        workspace: the folder of the sweep.
        uri: of MLflow's server, as the stored spec has it; None for the database in the workspace.
        folder: with the files.
        patience: notes how long a call waits for its answer.

    Raises:
        LookupError: MLflow has no run of the sweep, not even a deleted one.
    """
    require_mlflow_database(workspace, uri)
    patience = patience or Patience()
    mlflow_client.load()
    server = real_url(uri, "mlflow")
    # Tables of a new database in the workspace take long; a server answers or it does not.
    with contextlib.nullcontext() if mlflow_client.is_local(server) else patience.waiting():
        client = mlflow_client.connect(workspace, server, name)
    client = patience.watch(client)
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
    with Ledger.opened(workspace) as ledger:
        rows = ledger.of(tables.EXPORT, name)
    return [row["run"] for row in rows if row["target"] == "mlflow"]
