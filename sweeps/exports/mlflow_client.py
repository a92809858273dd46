"""Calls to MLflow's client: connect, create, log.

mlflow is imported only in this room, and only inside functions.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.exports.mlflow_keys import accepted_key
from sweeps.exports.mlflow_locations import correct_locations
from sweeps.storage.files import AbstractFiles, LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths
from sweeps.urls import path_of_uri
from vae_core.atomic_files import write_atomically

PARAMETERS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
"""MLflow's limits for one call of `log_batch`."""

LONGEST_TAG = 5000
"""Characters of a tag's text that every server takes."""

LARGEST_NUMBER = 1.7976931348623157e308
"""The largest finite number of 64 bits."""


class Point(NamedTuple):
    """One logged number."""

    key: str
    value: float
    at: float  # unix seconds
    epoch: int


def connect(
    workspace: Path, server: str | None, sweep: str, *, correct_artifacts: bool = True
) -> Any:
    """Return a client of the server, or of the database in the workspace if there is no server.

    Args:
        workspace: the folder. If it was moved, the locations of its artifacts are corrected.
        server: the spec's `store.mlflow`: a server, or a database that other workspaces may share.
        sweep: the sweep whose runs are read or written.
        correct_artifacts: False leaves those locations as they are.
    """
    load()
    import mlflow

    paths = WorkspacePaths(workspace.resolve())
    uri = paths.tracking_uri(server)
    if is_database(server):
        paths.root.mkdir(parents=True, exist_ok=True)
        _create_tables(uri, paths.mlflow_artifacts)
        if correct_artifacts:
            only = None if server is None else sweep
            correct_locations(uri, paths.mlflow_artifacts, sweep=only)
    return mlflow.MlflowClient(uri)


def load() -> None:
    """Import MLflow's client, which takes seconds, with its settings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # The client would block for minutes when a server is away, and as long as the server asks for
    # with `Retry-After`; the writer has its own patience. It would also create a run twice when the
    # answer is lost, while the writer looks for the run before it creates one.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
    import mlflow  # noqa: F401

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It logs every error of its database with a traceback, before it raises it: once per call.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def is_database(server: str | None) -> bool:
    """Return whether MLflow's runs are in a database that this process opens itself."""
    scheme = "sqlite" if server is None else server.partition(":")[0].partition("+")[0]
    return scheme in ("sqlite", "postgresql", "mysql", "mssql")


def is_local(server: str | None) -> bool:
    """Return whether MLflow's runs are in a file of this machine, so that no server answers."""
    return server is None or server.startswith("sqlite")


def _create_tables(uri: str, artifacts: Path) -> None:
    """Create MLflow's tables and its experiment `Default`, if the database has none.

    The client would do this too, but with artifacts in the current folder, whose path it pastes
    into SQL: it fails in a folder with `'` in its name.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, artifacts.as_uri())


def create_run(
    client: Any, experiment: str, name: str, *, created: float, tags: Mapping[str, str]
) -> str:
    """Create a run that began at `created` (unix seconds), and return its id."""
    texts = {key: short_text(text) for key, text in tags.items()}
    run = client.create_run(experiment, start_time=milliseconds(created), tags=texts, run_name=name)
    return run.info.run_id


def set_tag(client: Any, run: str, key: str, text: str) -> None:
    """Set a tag; a text that is too long for MLflow is cut."""
    client.set_tag(run, key, short_text(text))


def short_text(text: str) -> str:
    """Return the text of a tag, cut where MLflow would refuse it."""
    return text if len(text) <= LONGEST_TAG else f"{text[: LONGEST_TAG - 1]}…"


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow takes it: whole, and not before 1970."""
    return max(0, int(1000 * seconds)) if math.isfinite(seconds) else 0


def require_experiment(client: Any, name: str, workspace: Path, server: str | None) -> str:
    """Return the id of an experiment; create it if there is none, restore it if it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return experiment.experiment_id
    # A server decides where artifacts go. For a database MLflow would put them into the folder in
    # which the command happens to run, so they go into the workspace.
    folder = WorkspacePaths(workspace.resolve()).mlflow_artifacts / name
    location = folder.as_uri() if is_database(server) else None
    # With this tag MLflow's pages open on runs and charts instead of on traces of language models.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return client.create_experiment(name, artifact_location=location, tags=tags)


def log_parameters(client: Any, run: str, parameters: Mapping[str, str]) -> None:
    """Log parameters in batches, under keys that MLflow takes."""
    from mlflow.entities import Param

    params = [Param(accepted_key(key), text) for key, text in parameters.items()]
    for start in range(0, len(params), PARAMETERS_PER_BATCH):
        client.log_batch(run, params=params[start : start + PARAMETERS_PER_BATCH])


def log_points(client: Any, run: str, points: Iterable[Point]) -> None:
    """Log finite numbers in batches, under keys that MLflow takes."""
    from mlflow.entities import Metric

    metrics = [
        Metric(accepted_key(key), value, milliseconds(at), epoch)
        for key, value, at, epoch in points
    ]
    for start in range(0, len(metrics), METRICS_PER_BATCH):
        client.log_batch(run, metrics=metrics[start : start + METRICS_PER_BATCH])


def log_artifacts(
    client: Any, run: str, files: AbstractFiles, trial_hash: str, names: Iterable[str]
) -> None:
    """Log artifacts of a trial: as hard links where both sides are folders of this machine."""
    paths = TrialPaths(trial_hash)
    folder = local_folder(client, run)
    if isinstance(files, LocalFiles) and folder is not None:
        link([files.root / paths.artifact(name) for name in names], folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            copy = Path(folder, name)
            copy.write_bytes(files.read(paths.artifact(name)))
            client.log_artifact(run, str(copy))


def log_document(client: Any, run: str, name: str, document: Mapping[str, Any]) -> None:
    """Log a mapping as a JSON file."""
    folder = local_folder(client, run)
    if folder is None:
        client.log_dict(run, document, name)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / name, json.dumps(document, indent=2).encode())


def log_folder(client: Any, run: str, source: Path, name: str) -> None:
    """Log the files of a folder, replacing those of the same names."""
    folder = local_folder(client, run)
    if folder is None:
        client.log_artifacts(run, str(source), name)
        return
    shutil.copytree(source, folder / name, dirs_exist_ok=True)


def read_artifact(client: Any, run: str, name: str) -> bytes:
    """Return the bytes of one file of a run.

    Raises:
        Exception: of MLflow or of its store, if there is no such file.
    """
    folder = local_folder(client, run)
    if folder is not None:
        return (folder / name).read_bytes()
    with tempfile.TemporaryDirectory() as copies:
        return Path(client.download_artifacts(run, name, copies)).read_bytes()


def local_folder(client: Any, run: str) -> Path | None:
    """Return the folder of a run's artifacts if it is on this machine, else None.

    Artifacts are written there without the client: it remembers the folder of every run as long as
    the process lives, and would write into the old one after a workspace was moved.
    """
    return local_location(client.get_run(run).info.artifact_uri)


def local_location(uri: str) -> Path | None:
    """Return the path of an artifact location if it is on this machine, else None."""
    return path_of_uri(uri) if uri.startswith("file:") else None


def link(files: Iterable[Path], folder: Path) -> None:
    """Put files into a folder as hard links, or as copies where the file system refuses links."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except OSError:
            shutil.copy2(file, target)
