"""Checks `store.files` before a sweep starts: whether it is there, and can be written to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeps.errors import SweepError
from sweeps.storage.files import AbstractFiles, LocalFiles, open_files
from sweeps.storage.workspace import require_folder
from sweeps.urls import redacted

ANSWER_SECONDS = 30.0
"""How long a store may take to answer. The libraries themselves try for up to 15 minutes."""

_TRIAL_FILE = "trials/.sweeps-write-check"
_LONGEST_CAUSE = 300


def open_checked_files(workspace: Path, uri: str | None, *, write: bool = True) -> AbstractFiles:
    """Return the files of `store.files`, after a file was written there and deleted.

    Args:
        workspace: the folder.
        uri: as `open_files` takes it, with its secrets.
        write: whether to write; otherwise the folder is only listed.

    Raises:
        SweepError: the store cannot be opened, does not answer, or cannot be written to.
    """
    if uri is None:
        return open_files(workspace, uri)

    def check() -> AbstractFiles:
        files = open_files(workspace, uri)
        if write:
            files.write(_TRIAL_FILE, b"")
            files.delete(_TRIAL_FILE)
        elif isinstance(files, LocalFiles):
            require_folder(files.root)
        else:
            files.names("trials")
        return files

    shown = redacted(uri, uri)
    verb = "written to" if write else "read"
    rule = f"store.files must be a folder or a bucket that can be {verb}, got {shown!r}"
    try:
        return _within(ANSWER_SECONDS, check)
    except TimeoutError:
        raise SweepError(
            f"{rule}, which has not answered in {ANSWER_SECONDS:.0f} seconds; see that it can be "
            "reached from here, or correct the URI"
        ) from None
    except Exception as error:  # pyarrow, and what lies below it, may raise anything
        text = " ".join(redacted(str(error), uri).split())[:_LONGEST_CAUSE]
        raise SweepError(f"{rule}: {text or type(error).__name__}; {_remedy(uri, text)}") from None


def _remedy(uri: str, text: str) -> str:
    if "://" not in uri:
        return "name a folder of this machine that this user can write to"
    if any(word in text.upper() for word in ("ACCESS_DENIED", "INVALID_", "SIGNATURE", "403")):
        return (
            "give keys that may write there: in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY for s3://), or as ${NAME} in the URI"
        )
    return "see that the bucket exists and can be reached from here, or correct the URI"


def _within(seconds: float, action: Callable[[], AbstractFiles]) -> AbstractFiles:
    """Return what an action returns; raise what it raises, and TimeoutError if it takes longer."""
    results: list[AbstractFiles] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(action())
        except Exception as error:
            errors.append(error)

    thread: Any = threading.Thread(target=run, daemon=True, name="store.files")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
