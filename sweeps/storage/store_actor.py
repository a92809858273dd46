"""The actor on the driver's node through which trials reach the workspace."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import open_files
from sweeps.storage.space import when_there_is_space
from sweeps.storage.workspace import TrialPaths


class Store:
    """Writes the checkpoints and artifacts of trials, and knows which actor runs which trial.

    Trial actors never touch the workspace: they hand bytes to this actor through Ray's object
    store. It acknowledges only what is durable. The same way serves one machine and many.
    """

    def __init__(self, workspace: Path, uri: str | None, patience: float = 0.0) -> None:
        """Take the workspace, `store.files` and `store.patience` of the spec."""
        self._patience = patience
        self._files = open_files(workspace, uri)
        self._checkpoints = Checkpoints(self._files)
        self._actors: dict[int, list[Any]] = {}

    def enlist(self, number: int, actor: list[Any]) -> None:
        """Remember the actor that runs a trial, for the watchdog: [reference to its handle]."""
        self._actors[number] = actor

    def actor_of(self, number: int) -> list[Any]:
        """Return [reference to the handle of the actor that runs a trial], or []."""
        return self._actors.get(number, [])

    def save_checkpoint(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Write a checkpoint; return its sha256 when it is durable. Wait while the disk is full."""
        save = functools.partial(self._checkpoints.save, trial_hash, epoch, blob)
        return when_there_is_space(save, self._patience)

    def newest_checkpoint(self, trial_hash: str) -> bytes | None:
        """Return the newest undamaged checkpoint of a trial, None if there is none."""
        return self._checkpoints.newest(trial_hash)

    def save_artifacts(self, trial_hash: str, artifacts: Mapping[str, bytes]) -> None:
        """Write files by name; return when all are durable. Wait while the disk is full."""
        for name, content in artifacts.items():
            path = TrialPaths(trial_hash).artifact(name)
            write = functools.partial(self._files.write, path, content)
            when_there_is_space(write, self._patience)
