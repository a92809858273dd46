"""MLflow's own UI on a workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def serve(workspace: Path, port: int = 5000, *, host: str = "127.0.0.1") -> None:
    """Replace this process by MLflow's server on the workspace's runs, until Ctrl-C.

    Raises:
        LookupError: no sweep has run in the workspace.
    """
    database = workspace.resolve() / "mlflow.db"
    if not database.exists():
        raise LookupError(
            f"no runs in {workspace}: it has no mlflow.db; name another with --workspace"
        )
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    arguments = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
        "--artifacts-destination", str(database.parent / "artifacts"), "--host", host, "--port", str(port),
    ]  # fmt: skip
    print(f"MLflow on {workspace}: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, arguments)
