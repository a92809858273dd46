"""Every path and URI of a workspace."""

from __future__ import annotations

from pathlib import Path


class TrialPaths:
    """Every path of a trial, relative to the store's root."""

    def __init__(self, trial_hash: str) -> None:
        self.folder = f"trials/{trial_hash}"
        self.checkpoints = f"{self.folder}/checkpoints"
        self.artifacts = f"{self.folder}/artifacts"

    def checkpoint(self, epoch: int) -> str:
        """Return the path of the checkpoint at the end of an epoch; names sort by epoch."""
        return f"{self.checkpoints}/{epoch:06d}.pt"

    def artifact(self, name: str) -> str:
        """Return the path of one artifact."""
        return f"{self.artifacts}/{name}"


def tracking_uri(workspace: Path, uri: str | None) -> str:
    """Return the URI of the runs: the spec's, or SQLite inside the workspace."""
    return uri or f"sqlite:///{workspace.resolve() / 'mlflow.db'}"
