"""MLflow's own pages on a workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from sweeps.exports.mlflow_database import require_mlflow_database
from sweeps.exports.mlflow_locations import correct_workspace
from sweeps.storage.workspace import WorkspacePaths


def serve(workspace: Path, port: int = 5000, *, host: str = "127.0.0.1") -> None:
    """Replace this process by MLflow's server on the runs of a workspace, until Ctrl-C.

    Raises:
        LookupError: no sweep has run in the workspace.
        SweepError: `mlflow.db` is no database of MLflow.
    """
    paths = WorkspacePaths(workspace.resolve())
    if not paths.mlflow.exists():
        raise LookupError(
            f"no runs in {workspace}: it has no mlflow.db; name another with --workspace"
        )
    require_mlflow_database(workspace)
    try:
        correct_workspace(workspace)
    except DBAPIError as error:  # the folder may be read-only: its pages are worth serving as it is
        print(f"note: artifacts are looked for where the workspace was before: {error.orig}")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    arguments = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", paths.tracking_uri(None)),
        *("--artifacts-destination", paths.mlflow_artifacts.as_uri()),
        *("--host", host, "--port", str(port)),
    ]
    print(f"MLflow on {workspace}: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, arguments)
