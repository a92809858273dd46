"""The actor on the driver's node through which trials reach the workspace."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import open_files
from sweeps.storage.retries import retried
from sweeps.storage.workspace import TrialPaths


class Enlisted(NamedTuple):
    """An attempt whose process has begun."""

    attempt: int
    node: str  # Ray's id of the node
    actor: bytes  # the pickled handle of the trial actor; only the driver unpickles it


class Store:
    """Writes the checkpoints and artifacts of trials, and knows which actor runs which attempt.

    Trial actors never touch the workspace: they hand bytes to this actor through Ray's object
    store. It acknowledges only what is durable. The same way serves one machine and many.

    Ray starts this actor anew if its process dies. It then knows nothing of running attempts, until
    their actors enlist again at their next epoch; the driver remembers those that it knew.
    """

    def __init__(self, workspace: Path, uri: str | None) -> None:
        """Take the workspace, and `store.files` of the spec."""
        self._files = open_files(workspace, uri)
        self._checkpoints = Checkpoints(self._files)
        self._enlisted: dict[bytes, Enlisted] = {}  # by actor, which runs one attempt at a time

    def enlist(self, attempt: int, node: str, actor: bytes) -> None:
        """Remember which actor runs an attempt, and where."""
        known = self._enlisted.get(actor)
        if known is None or known.attempt <= attempt:  # calls that Ray repeats may come late
            self._enlisted[actor] = Enlisted(attempt, node, actor)

    def enlisted(self) -> list[Enlisted]:
        """Return the last attempt of each actor that has enlisted."""
        return list(self._enlisted.values())

    def save_checkpoint(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Write a checkpoint; return its sha256 when it is durable.

        Raises:
            OSError: the file cannot be written, after several tries.
        """
        return self._checkpoints.save(trial_hash, epoch, blob)

    def checkpoint_epochs(self, trial_hash: str, until: int) -> list[int]:
        """Return the epochs up to `until` that have a checkpoint, the newest first."""
        return self._checkpoints.epochs(trial_hash, until=until)

    def read_checkpoint(self, trial_hash: str, epoch: int) -> tuple[bytes | None, str]:
        """Return the bytes of a checkpoint and "", or None and why it cannot be read."""
        try:
            return self._checkpoints.read(trial_hash, epoch), ""
        except OSError as error:
            return None, str(error)

    def save_artifacts(self, trial_hash: str, artifacts: Mapping[str, bytes]) -> None:
        """Write files by name; return when all are durable.

        Raises:
            OSError: a file cannot be written, after several tries.
        """
        for name, content in artifacts.items():
            path = TrialPaths(trial_hash).artifact(name)
            retried(functools.partial(self._files.write, path, content))
