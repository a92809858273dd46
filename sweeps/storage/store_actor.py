"""The actor through which trials reach the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import open_files
from sweeps.storage.workspace import TrialPaths


class Store:
    """The actor on the driver's node through which trials reach the workspace."""

    def __init__(self, workspace: Path, uri: str | None) -> None:
        self._files = open_files(workspace, uri)
        self._checkpoints = Checkpoints(self._files)
        self._actors: dict[int, list[Any]] = {}

    def enlist(self, number: int, actor: list[Any]) -> None:
        """Remember which actor runs a trial ([reference to its handle]), for the watchdog."""
        self._actors[number] = actor

    def actor_of(self, number: int) -> list[Any]:
        """Return [reference to the handle of the actor that runs a trial], or []."""
        return self._actors.get(number, [])

    def save_checkpoint(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Store a checkpoint; returns its sha256 when it is durable."""
        return self._checkpoints.save(trial_hash, epoch, blob)

    def newest_checkpoint(self, trial_hash: str) -> bytes | None:
        """Return the newest whole checkpoint."""
        return self._checkpoints.newest(trial_hash)

    def save_artifacts(self, trial_hash: str, artifacts: Mapping[str, bytes]) -> None:
        """Store files by name; returns when all are durable."""
        for name, content in artifacts.items():
            self._files.write(TrialPaths(trial_hash).artifact(name), content)
