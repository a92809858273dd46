"""Where a trial's bytes live: checkpoints and artifacts, written whole or not at all.

Trial actors never touch the workspace. They hand bytes to a `Store`, an actor on the driver's node, through Ray's
object store; it writes aside, syncs, renames and only then acknowledges. The same path serves one machine and many.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyarrow import fs

log = logging.getLogger(__name__)

GENERATIONS = 2
"""Checkpoints kept of a running trial: the newest, and the one before in case the newest cannot be read."""

_DIGEST = hashlib.sha256().digest_size


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


class AbstractFiles(abc.ABC):
    """A folder of small files, here or far, with atomic writes."""

    @abc.abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Write a whole file or leave what was there."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """Return a file's bytes; FileNotFoundError if there is none."""

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files in a folder, [] if there is no such folder."""

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file; none there is no mistake."""


class LocalFiles(AbstractFiles):
    """Files below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)  # mkstemp makes it private; a lab shares its workspace
            os.replace(aside, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must survive a power cut
        finally:
            os.close(folder)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)


class RemoteFiles(AbstractFiles):
    """Files below a URI that pyarrow can reach (`s3://bucket/prefix?endpoint_override=…`, `gs://…`, `file:///…`)."""

    def __init__(self, uri: str) -> None:
        self._fs, self._root = fs.FileSystem.from_uri(uri)

    def write(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        self._fs.create_dir(target.rsplit("/", 1)[0], recursive=True)
        # An object store shows an object when its upload is complete; the rename serves file systems, which show parts.
        aside = f"{target}.part"
        with self._fs.open_output_stream(aside) as stream:
            stream.write(content)
        self._fs.move(aside, target)

    def read(self, path: str) -> bytes:
        with self._fs.open_input_stream(f"{self._root}/{path}") as stream:
            return stream.read()

    def names(self, folder: str) -> list[str]:
        selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        found = self._fs.get_file_info(selector)
        return sorted(info.base_name for info in found if info.is_file and not info.base_name.endswith(".part"))

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(f"{self._root}/{path}")


def open_files(workspace: Path, uri: str | None) -> AbstractFiles:
    """Return the files of a workspace, or of a URI where the spec's `store.files` names one."""
    return LocalFiles(workspace.resolve()) if uri is None else RemoteFiles(uri)


class Checkpoints:
    """The checkpoints of trials, two generations; a blob begins with the sha256 of its rest (`vae_core.checkpoint`)."""

    def __init__(self, files: AbstractFiles) -> None:
        self._files = files

    def save(self, trial_hash: str, epoch: int, blob: bytes) -> str:
        """Store the checkpoint of an epoch, drop generations before the last two, and return its sha256."""
        paths = TrialPaths(trial_hash)
        self._files.write(paths.checkpoint(epoch), blob)
        for name in self._files.names(paths.checkpoints)[:-GENERATIONS]:
            self._files.delete(f"{paths.checkpoints}/{name}")
        return blob[:_DIGEST].hex()

    def newest(self, trial_hash: str) -> bytes | None:
        """Return the newest checkpoint that is whole, falling back a generation with a warning, or None."""
        paths = TrialPaths(trial_hash)
        for name in reversed(self._files.names(paths.checkpoints)):
            blob = self._files.read(f"{paths.checkpoints}/{name}")
            if hashlib.sha256(blob[_DIGEST:]).digest() == blob[:_DIGEST]:
                return blob
            log.warning("checkpoint %s of trial %s is damaged; using the one before it", name, trial_hash)
        return None

    def clear(self, trial_hash: str) -> None:
        """Delete a trial's checkpoints."""
        paths = TrialPaths(trial_hash)
        for name in self._files.names(paths.checkpoints):
            self._files.delete(f"{paths.checkpoints}/{name}")


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
