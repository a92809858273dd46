"""Checks `mlflow.db` of a workspace: whether it is a database of MLflow."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from sweeps.errors import SweepError
from sweeps.storage.workspace import WorkspacePaths
from sweeps.urls import sqlite_text


def require_mlflow_database(workspace: Path, server: str | None = None) -> None:
    """Raise a SweepError if MLflow's database in a workspace is none.

    MLflow would fail in each of its calls, with its own words. A file without any table is one that
    MLflow has not filled yet.

    Args:
        workspace: the folder.
        server: the spec's `store.mlflow`; if it is not None, the workspace has no such file.
    """
    file = WorkspacePaths(workspace.resolve()).mlflow
    try:
        if server is not None or not (file.exists() or file.is_symlink()):
            return
        what = "is a folder" if file.is_dir() else _what_is_wrong(file)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    if what:
        raise SweepError(
            f"mlflow.db of a workspace must be a database of MLflow, got {str(file)!r}, which "
            f"{what}; move it away: `sweeps run` makes it again from the ledger"
        )


def _what_is_wrong(file: Path) -> str:
    """Return why a file is no database of MLflow, "" if it is one or has no table yet."""
    if not os.access(file, os.R_OK):
        # It says more than an error of SQLite. The file is not opened: see `sqlite_header`.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    engine = sa.create_engine(sqlite_text(file))
    try:
        with engine.connect() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            if "experiments" in tables:
                connection.execute(sa.text("SELECT count(*) FROM experiments")).all()
    except DBAPIError as error:
        return f"SQLite cannot read ({error.orig})"
    finally:
        engine.dispose()
    if tables and not tables & {"experiments", "alembic_version"}:
        return f"has the tables of another program ({', '.join(sorted(tables)[:3])})"
    return ""
