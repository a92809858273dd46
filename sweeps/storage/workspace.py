"""Every path and URI of a workspace."""

from __future__ import annotations

from pathlib import Path


class WorkspacePaths:
    """The paths of a workspace, one property each."""

    def __init__(self, workspace: Path) -> None:
        self.root = workspace

    @property
    def ledger(self) -> Path:
        """The ledger, if it is SQLite in the workspace."""
        return self.root / "ledger.db"

    @property
    def ledger_url(self) -> Path:
        """The file that remembers the URL of a ledger elsewhere."""
        return self.root / "ledger.url"

    @property
    def mlflow(self) -> Path:
        """MLflow's database, if its server is not elsewhere."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """The folder of MLflow's artifacts, one folder per sweep."""
        return self.root / "artifacts"

    @property
    def optuna(self) -> Path:
        """The database for Optuna's dashboard."""
        return self.root / "optuna.db"

    def report(self, sweep: str) -> Path:
        """Return the folder of a sweep's report page."""
        return self.root / "reports" / sweep

    def lock(self, sweep: str) -> Path:
        """Return the file that the driver of a sweep locks."""
        return self.root / f".{sweep}.lock"

    def tracking_uri(self, server: str | None) -> str:
        """Return MLflow's tracking URI: a server if the spec names one, else the database here."""
        return server or f"sqlite:///{self.mlflow.resolve()}"


class TrialPaths:
    """The paths of a trial's files, relative to the root of the stored files."""

    def __init__(self, trial_hash: str) -> None:
        self.folder = f"trials/{trial_hash}"
        self.checkpoints = f"{self.folder}/checkpoints"
        self.artifacts = f"{self.folder}/artifacts"

    def checkpoint(self, epoch: int) -> str:
        """Return the path of the checkpoint at the end of an epoch; paths sort by epoch."""
        return f"{self.checkpoints}/{epoch:06d}.pt"

    def artifact(self, name: str) -> str:
        """Return the path of one artifact."""
        return f"{self.artifacts}/{name}"
