"""The original files of data sets: their addresses and checksums, and errors with a remedy."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple


class Remote(NamedTuple):
    """An original file."""

    name: str  # of the file
    url: str
    # "md5:…" or "sha256:…"; None if none is published: then only the structure is checked.
    checksum: str | None = None


def missing(
    dataset: str, given_path: str | None, expected: Sequence[tuple[Path, Remote]]
) -> str | None:
    """Return rule and remedy for the first original file that does not exist; None if all exist.

    Args:
        dataset: registry name.
        given_path: the option `path` as the user wrote it.
        expected: where each file should be.
    """
    absent = [(path, remote) for path, remote in expected if not path.is_file()]
    if not absent:
        return None
    path, remote = absent[0]
    more = f" (nor {len(absent) - 1} more)" if len(absent) > 1 else ""
    value = f"got {given_path!r}" if given_path else "which is not given"
    download = f"`sweeps data download {dataset}` fetches it"
    if given_path:
        download += " for a spec without path"
    checksum = remote.checksum or "no checksum is published"
    return (
        f"path must lead to {remote.name}, {value}, and {path} does not exist{more}: {download}, "
        f"or put it there from {remote.url} ({checksum}); "
        "to try things on a tiny drawn set, give stand_in: true"
    )


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's checksum as `Remote` has it, "md5:…" or "sha256:…"."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def checksum_mismatch(path: Path, remote: Remote) -> str | None:
    """Return in words that a file does not have the published checksum.

    None if it has it, or if no checksum is published.
    """
    if remote.checksum is None:
        return None
    checksum = digest_of(path, remote.checksum.partition(":")[0])
    if checksum == remote.checksum:
        return None
    return f"checksum mismatch: it is {checksum}, expected {remote.checksum}"


@contextlib.contextmanager
def intact(path: Path, remote: Remote, dataset: str) -> Generator[None]:
    """Check the checksum of an original file before the body reads it.

    Raises:
        ValueError: the file is missing, altered, or the body cannot read it; with path, reason and
            remedy.
    """
    remedy = f"fetch it again: `sweeps data download {dataset}`, or from {remote.url}"
    try:
        reason = checksum_mismatch(path, remote)
        if reason is not None:
            raise ValueError(reason)
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; {remedy}") from error
    except READ_ERRORS as error:
        raise ValueError(
            f"{path} is not an intact {remote.name}: {error_in_words(error)}; {remedy}"
        ) from error


READ_ERRORS = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
)
"""What the readers of compressed files and arrays raise."""


def error_in_words(error: Exception) -> str:
    """Return the message of an error.

    That of a truncated stream says so, and that of a KeyError has no quotes.
    """
    if isinstance(error, EOFError):
        return f"it is truncated ({error})"
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error)
