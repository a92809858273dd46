"""The checkpoints of running trials, two generations of each."""

from __future__ import annotations

import hashlib
import logging

from sweeps.storage.files import AbstractFiles
from sweeps.storage.workspace import TrialPaths

log = logging.getLogger(__name__)

GENERATIONS = 2
"""Checkpoints kept of a running trial: the newest, and the one before in case that is damaged."""

_DIGEST = hashlib.sha256().digest_size


class Checkpoints:
    """The checkpoints of trials. A checkpoint begins with the sha256 of its rest
    (`vae_core.checkpoint`).
    """

    def __init__(self, files: AbstractFiles) -> None:
        self._files = files

    def save(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Write the checkpoint of an epoch, delete all but the last two, and return its sha256."""
        paths = TrialPaths(trial_hash)
        self._files.write(paths.checkpoint(epoch), blob)
        for name in self._files.names(paths.checkpoints)[:-GENERATIONS]:
            self._files.delete(f"{paths.checkpoints}/{name}")
        return blob[:_DIGEST].hex()

    def newest(self, trial_hash: str) -> bytes | None:
        """Return the newest undamaged checkpoint, None if there is none; log damaged ones."""
        paths = TrialPaths(trial_hash)
        for name in reversed(self._files.names(paths.checkpoints)):
            blob = self._files.read(f"{paths.checkpoints}/{name}")
            if hashlib.sha256(blob[_DIGEST:]).digest() == blob[:_DIGEST]:
                return blob
            log.warning(
                "checkpoint %s of trial %s is damaged; using the one before it", name, trial_hash
            )
        return None

    def clear(self, trial_hash: str) -> None:
        """Delete the checkpoints of a trial."""
        paths = TrialPaths(trial_hash)
        for name in self._files.names(paths.checkpoints):
            self._files.delete(f"{paths.checkpoints}/{name}")
