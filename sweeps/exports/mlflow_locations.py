"""Corrects where MLflow looks for artifacts after a workspace was moved or copied.

MLflow's database stores the absolute location of every experiment and run. Its API cannot change
them, so after a move it would read and write artifacts in the old folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from sweeps.storage.workspace import WorkspacePaths
from sweeps.urls import path_of_uri, sqlite_text

_EXPERIMENTS = sa.table(
    "experiments",
    sa.column("experiment_id"),
    sa.column("name"),
    sa.column("artifact_location"),
)
_RUNS = sa.table(
    "runs", sa.column("run_uuid"), sa.column("experiment_id"), sa.column("artifact_uri")
)
"""The columns of MLflow's tables that hold locations. MLflow has had them since its version 1."""


class _Correction(NamedTuple):
    """A location that is to be changed."""

    statement: sa.Update
    location: str
    old: str


def correct_workspace(workspace: Path) -> int:
    """Let every experiment and run of `mlflow.db` point into this workspace; return how many moved.

    A workspace without `mlflow.db` does not get one.
    """
    paths = WorkspacePaths(workspace.resolve())
    if not paths.mlflow.exists():
        return 0
    return correct_locations(sqlite_text(paths.mlflow), paths.mlflow_artifacts)


def correct_locations(url: str, artifacts: Path, *, sweep: str | None = None) -> int:
    """Let experiments and runs of a database point into a folder; return how many moved.

    Only locations that this package makes are changed: `…/artifacts/SWEEP` of an experiment
    (`…/artifacts/0` of MLflow's experiment `Default`), and `…/artifacts/SWEEP/RUN/artifacts` of a
    run.

    Args:
        url: of MLflow's database.
        artifacts: the folder.
        sweep: the only sweep whose locations are changed; None: all of them.
    """
    engine = sa.create_engine(url)
    try:
        if not {"experiments", "runs"} <= set(sa.inspect(engine).get_table_names()):
            return 0  # MLflow has not finished to create its tables
        with engine.connect() as connection:
            corrections = _corrections(connection, artifacts, sweep)
        if corrections:
            with engine.begin() as connection:
                for statement, location, _ in corrections:
                    connection.execute(statement, {"location": location})
        return len(corrections)
    finally:
        engine.dispose()


def wrong_locations(url: str, artifacts: Path, *, sweep: str | None = None) -> list[str]:
    """Return the locations that `correct_locations` would change."""
    engine = sa.create_engine(url)
    try:
        if not {"experiments", "runs"} <= set(sa.inspect(engine).get_table_names()):
            return []
        with engine.connect() as connection:
            return [each.old for each in _corrections(connection, artifacts, sweep)]
    finally:
        engine.dispose()


def _corrections(
    connection: sa.Connection, artifacts: Path, sweep: str | None
) -> list[_Correction]:
    """Return the changes of locations that lie outside the folder of artifacts."""
    corrections: list[_Correction] = []
    names: dict[int, str] = {}  # id of an experiment -> name of its folder
    for row in connection.execute(sa.select(_EXPERIMENTS)).mappings():
        name = "0" if row["experiment_id"] == 0 else row["name"]
        if sweep not in (None, name) or not _ends_in(row["artifact_location"], "artifacts", name):
            continue
        names[row["experiment_id"]] = name
        location = (artifacts / name).as_uri()
        if row["artifact_location"] != location:
            where = _EXPERIMENTS.c.experiment_id == row["experiment_id"]
            statement = sa.update(_EXPERIMENTS).where(where)
            statement = statement.values(artifact_location=sa.bindparam("location"))
            corrections.append(_Correction(statement, location, row["artifact_location"]))
    for row in connection.execute(sa.select(_RUNS)).mappings():
        name, run = names.get(row["experiment_id"]), row["run_uuid"]
        if name is None or not _ends_in(row["artifact_uri"], "artifacts", name, run, "artifacts"):
            continue
        location = f"{(artifacts / name / run).as_uri()}/artifacts"
        if row["artifact_uri"] != location:
            statement = sa.update(_RUNS).where(_RUNS.c.run_uuid == run)
            statement = statement.values(artifact_uri=sa.bindparam("location"))
            corrections.append(_Correction(statement, location, row["artifact_uri"]))
    return corrections


def _ends_in(uri: str | None, *names: str) -> bool:
    """Return whether a URI is a folder of this machine whose path ends in the given names."""
    if uri is None or not uri.startswith("file:"):
        return False
    try:
        return path_of_uri(uri).parts[-len(names) :] == names
    except ValueError:  # a URI that this package never writes
        return False
