"""Every path and URI of a workspace."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweeps import urls
from sweeps.errors import SweepError

LONGEST_PATH = 494
"""Bytes of the longest path of a workspace.

SQLite opens no path of more than 512 bytes, the end of a side file's name (`-journal`) included;
the databases here have names of 9 characters: 494 + 1 + 9 + 8 = 512.
"""


def workspace_path(value: str | Path) -> Path:
    """Return the folder of a workspace, given as a path or as a `file://` URI.

    Args:
        value: a leading `~` is the home folder; `./~` is a folder of that name.

    Raises:
        SweepError: it is no folder of this machine, a file has this name, or the path is too long.
    """
    text = os.fspath(value)
    try:
        path = urls.local_path(text)
    except ValueError as error:
        raise SweepError(f"workspace {error}") from error
    if path is None:
        raise SweepError(
            f"workspace must be a folder of this machine, got {text!r}; "
            "to keep the files of trials elsewhere, give store.files in the spec"
        )
    if not text or "\0" in text:
        raise SweepError(f"workspace must be the path of a folder, got {text!r}")
    try:
        length = len(os.path.realpath(path).encode())
    except UnicodeEncodeError:
        raise SweepError(
            f"workspace must have a path in UTF-8, got {text!r}; rename the folder"
        ) from None
    if length > LONGEST_PATH:
        raise SweepError(
            f"workspace must have a path of at most {LONGEST_PATH} bytes, got {length}: SQLite "
            f"opens no longer one; use a folder nearer to the root than {text[:40]!r}…"
        )
    try:
        is_file = path.exists() and not path.is_dir()
    except OSError as error:  # a name of more than 255 bytes, a folder that may not be entered
        raise SweepError(f"workspace must be the path of a folder, got {text!r}: {error}") from None
    if is_file:
        raise SweepError(f"workspace must be a folder, got {text!r}, which is a file")
    return path


def require_writable(workspace: Path) -> None:
    """Create the folder of a workspace if it does not exist, and check that files can be written.

    Raises:
        SweepError: they cannot be written.
    """
    with writing(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=workspace).close()


def require_folder(path: Path) -> None:
    """Check that a folder can be created or written to, without writing anything.

    Raises:
        OSError: it cannot.
    """
    folder = path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextlib.contextmanager
def writing(workspace: Path) -> Iterator[None]:
    """Turn an error of the file system into a SweepError while a command writes to a workspace.

    An error of other files, or of a network, stays as it is.
    """
    try:
        yield
    except OSError as error:
        if not _is_of(workspace, error):
            raise
        path = f" at {str(error.filename)!r}" if error.filename else ""
        raise SweepError(
            f"workspace must be a folder that can be written to, got {str(workspace)!r} "
            f"({error.strerror or error}{path}); make it writable, or name another with --workspace"
        ) from error


def _is_of(workspace: Path, error: OSError) -> bool:
    """Return whether an error is about a file of the workspace, or its file system."""
    if not workspace.is_dir():
        return True
    if isinstance(error.filename, str):
        path = Path(os.path.realpath(error.filename))
        return path.is_relative_to(os.path.realpath(workspace))
    return error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT)


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
        if server is None:
            return urls.sqlite_text(self.mlflow.resolve())
        return urls.opened_url(server) if server.startswith("sqlite") else server


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
