"""The original files of data sets: where they come from, how they are known, what is said without them."""

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
    checksum: str | None = (
        None  # "md5:…" or "sha256:…"; None: none is published, so that only structure is checked
    )


def missing(dataset: str, given: str | None, wanted: Sequence[tuple[Path, Remote]]) -> str | None:
    """Return what to do about the first of some original files that is not there, None if all are.

    Args:
        dataset: registry name.
        given: the option `path` as the user wrote it.
        wanted: where each file should be.
    """
    absent = [(path, remote) for path, remote in wanted if not path.is_file()]
    if not absent:
        return None
    path, remote = absent[0]
    more = f" (nor {len(absent) - 1} more)" if len(absent) > 1 else ""
    told = f"got {given!r}" if given else "which is not given"
    fetched = f"`sweeps data download {dataset}` fetches it" + (
        " for a spec without path" if given else ""
    )
    known = remote.checksum or "no checksum is published"
    return (
        f"path must lead to {remote.name}, {told}, and {path} does not exist{more}: {fetched}, or put it there "
        f"from {remote.url} ({known}); for a tiny drawn set to try things on: stand_in"
    )


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's checksum as `Remote` states it, "md5:…" or "sha256:…"."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def altered(path: Path, remote: Remote) -> str | None:
    """Return why a file is not the original by its checksum; None if it is, or if none is published."""
    if remote.checksum is None:
        return None
    found = digest_of(path, remote.checksum.partition(":")[0])
    return (
        None
        if found == remote.checksum
        else f"checksum mismatch: it is {found}, expected {remote.checksum}"
    )


@contextlib.contextmanager
def intact(path: Path, remote: Remote, dataset: str) -> Generator[None]:
    """Check an original file, then turn any failure to read it into a ValueError with path, reason and remedy."""
    remedy = f"fetch it again: `sweeps data download {dataset}`, or from {remote.url}"
    try:
        reason = altered(path, remote)
        if reason is not None:
            raise ValueError(reason)
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; {remedy}") from error
    except FAILURES as error:
        raise ValueError(
            f"{path} is not an intact {remote.name}: {why(error)}; {remedy}"
        ) from error


FAILURES = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
)
"""What the readers of compressed files and arrays raise."""


def why(error: Exception) -> str:
    """Return an error in words: a truncated stream says so, a KeyError loses its quotes."""
    if isinstance(error, EOFError):
        return f"it is truncated ({error})"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
