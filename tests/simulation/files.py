"""The file store of a simulation: in memory, it outlives every process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from sweeps.storage.files import AbstractFiles, LocalFiles
from vae_core import atomic_files

from .faults import Gate


class SimulatedFiles(AbstractFiles):
    """Files in memory. Each operation is atomic, and passes the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.folders: dict[str, dict[str, bytes]] = {}

    def write(self, path: str, content: bytes) -> None:
        folder, _, name = path.rpartition("/")

        def apply() -> None:
            self.folders.setdefault(folder, {})[name] = content

        self._gate.operation("file write", apply)

    def read(self, path: str) -> bytes:
        folder, _, name = path.rpartition("/")

        def apply() -> bytes:
            try:
                return self.folders[folder][name]
            except KeyError:
                raise FileNotFoundError(path) from None

        return self._gate.operation("file read", apply)

    def names(self, folder: str) -> list[str]:
        return self._gate.operation("file read", lambda: sorted(self.folders.get(folder, {})))

    def sizes(self, folder: str) -> dict[str, int]:
        def listed() -> dict[str, int]:
            sizes: dict[str, int] = {}
            for name, files in self.folders.items():
                if f"{name}/".startswith(f"{folder}/"):
                    for file, content in files.items():
                        sizes[f"{name}/{file}".removeprefix(f"{folder}/")] = len(content)
            return sizes

        return self._gate.operation("file read", listed)

    def delete(self, path: str) -> None:
        folder, _, name = path.rpartition("/")

        def apply() -> None:
            self.folders.get(folder, {}).pop(name, None)

        self._gate.operation("file delete", apply)

    def listed(self, folder: str) -> set[str]:
        """Return the names in a folder, for checks: it never fails."""
        return set(self.folders.get(folder, {}))


class FilesOnDisk(LocalFiles):
    """The product's own files below a folder. Each rename and fsync passes the gate."""

    def __init__(self, gate: Gate, root: Path) -> None:
        super().__init__(root)
        self._gate = gate

    def listed(self, folder: str) -> set[str]:
        """Return the names in a folder, for checks."""
        return set(self.names(folder))

    @contextmanager
    def gated(self) -> Iterator[None]:
        """Let renames and fsyncs of the product pass the gate while the block runs."""

        def replace(source: Path, target: Path) -> None:
            self._gate.operation("rename", lambda: os.replace(source, target))

        def fsync(handle: int) -> None:
            self._gate.operation("fsync", lambda: os.fsync(handle))

        stand_in = SimpleNamespace(
            replace=replace, fsync=fsync, open=os.open, close=os.close, O_RDONLY=os.O_RDONLY
        )
        with mock.patch.object(atomic_files, "os", stand_in):
            yield
