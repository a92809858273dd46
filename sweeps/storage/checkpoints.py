"""The checkpoints of running trials, two generations of each.

A trial is identified by its hash, so several sweeps may train the same one, at different times or
at once. They write the same names with the same content. Each sweep may resume only from an epoch
that its ledger has reached, and deletes only what is older than what it writes: a checkpoint of a
later epoch belongs to a sweep that is ahead.
"""

from __future__ import annotations

import hashlib
import logging
import re

from sweeps.storage.files import AbstractFiles
from sweeps.storage.retries import retried
from sweeps.storage.workspace import TrialPaths

log = logging.getLogger(__name__)

GENERATIONS = 2
"""Checkpoints kept of a running trial: the newest, and the one before in case that is damaged."""

_DIGEST = hashlib.sha256().digest_size
_NAME = re.compile(r"(\d{6,})\.pt")


class Checkpoints:
    """The checkpoints of trials. A checkpoint begins with the sha256 of its rest
    (`vae_core.checkpoint`).
    """

    def __init__(self, files: AbstractFiles) -> None:
        self._files = files

    def save(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Write the checkpoint of an epoch, delete generations before it, and return its sha256.

        This one and the one before stay, and so do checkpoints of later epochs.

        Raises:
            OSError: the file cannot be written, after several tries.
        """
        retried(lambda: self._files.write(TrialPaths(trial_hash).checkpoint(epoch), blob))
        try:
            for older in self._epochs(trial_hash, until=epoch)[GENERATIONS:]:
                self._files.delete(TrialPaths(trial_hash).checkpoint(older))
        except OSError as error:  # the checkpoint is written; the next one tries to delete again
            log.warning("old checkpoints of trial %s cannot be deleted: %s", trial_hash, error)
        return blob[:_DIGEST].hex()

    def epochs(self, trial_hash: str, *, until: int | None = None) -> list[int]:
        """Return the epochs that have a checkpoint, the newest first.

        Args:
            trial_hash: of the trial.
            until: the last epoch to return; None returns all.

        Raises:
            OSError: the folder cannot be read, after several tries.
        """
        return retried(lambda: self._epochs(trial_hash, until=until))

    def read(self, trial_hash: str, epoch: int) -> bytes:
        """Return the bytes of a checkpoint, undamaged or not.

        Raises:
            FileNotFoundError: there is none.
            OSError: the file cannot be read, after several tries.
        """
        return retried(lambda: self._files.read(TrialPaths(trial_hash).checkpoint(epoch)))

    def newest(self, trial_hash: str, *, until: int | None = None) -> bytes | None:
        """Return the newest undamaged checkpoint, None if there is none; log damaged ones.

        Args:
            trial_hash: of the trial.
            until: the last epoch that may be returned; None returns any.
        """
        for epoch in self.epochs(trial_hash, until=until):
            try:
                blob = self.read(trial_hash, epoch)
            except OSError as error:  # another process may have deleted it
                log.warning(
                    "checkpoint %d of trial %s cannot be read: %s", epoch, trial_hash, error
                )
                continue
            if hashlib.sha256(blob[_DIGEST:]).digest() == blob[:_DIGEST]:
                return blob
            log.warning(
                "checkpoint %d of trial %s is damaged; using the one before it", epoch, trial_hash
            )
        return None

    def clear(self, trial_hash: str) -> None:
        """Delete the checkpoints of a trial that is complete.

        Another sweep that trains the same trial at this moment keeps training, and saves its next
        checkpoint. If its process dies before, it copies the reports of the complete trial, or, if
        it has a ledger of its own, trains again from the first epoch.
        """
        for epoch in self._epochs(trial_hash):
            self._files.delete(TrialPaths(trial_hash).checkpoint(epoch))

    def _epochs(self, trial_hash: str, *, until: int | None = None) -> list[int]:
        epochs: list[int] = []
        for name in self._files.names(TrialPaths(trial_hash).checkpoints):
            match = _NAME.fullmatch(name)
            if match and (until is None or int(match[1]) <= until):
                epochs.append(int(match[1]))
        return sorted(epochs, reverse=True)
