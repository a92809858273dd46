"""Downloads the original files of data sets, resumes an interrupted one, keeps only originals."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from vae_core.data.abstract import AbstractDataset
from vae_core.data.cache.store import cache_folder
from vae_core.data.original_files import Remote, checksum_mismatch

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes received so far, and the bytes of the complete file.

The last is None if the server does not say it.
"""

ATTEMPTS = 5
"""Attempts in a row that bring no new byte; an attempt that brings some starts the count again."""

_BLOCK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte
_PAUSE = 1.0  # seconds before the first new attempt, doubled before each next


def download(
    dataset: type[AbstractDataset],
    cache: Path | None = None,
    *,
    progress: Progress | None = None,
    pause: float = _PAUSE,
) -> list[Path]:
    """Download the original files of a data set to the folder where it looks for them.

    Args:
        dataset: a class of the registry.
        cache: folder of prepared data; None: `cache_folder()`.
        progress: called while each file is received.
        pause: seconds before the first new attempt.

    Returns:
        The path of each file.

    Raises:
        ValueError: the data set has no files to download, a server refuses, or a file is not the
            original.
    """
    if not dataset.remotes:
        raise ValueError(f"{dataset.name} is made of your own files: there is nothing to download")
    folder = (cache or cache_folder()) / dataset.name
    return [
        fetch(remote, folder / remote.name, progress=progress or _no_progress, pause=pause)
        for remote in dataset.remotes
    ]


def fetch(remote: Remote, path: Path, *, progress: Progress, pause: float = _PAUSE) -> Path:
    """Download one file by way of `<file>.part`, unless the original exists already.

    Raises:
        ValueError: the server refuses, goes silent, or sends another file. The part of another file
            is removed; after a silence the part is kept, and the next call resumes from it.
    """
    if path.is_file() and checksum_mismatch(path, remote) is None:
        progress(remote.name, path.stat().st_size, path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while True:
        size_before = _size(part)
        failure = _attempt(remote, part, path, progress)
        if failure is None:
            break
        failures = 0 if _size(part) > size_before else failures + 1
        if failures >= ATTEMPTS:
            raise ValueError(
                f"{remote.url} could not be fetched ({failure}); {_size(part)} bytes of it are in "
                f"{part}: the same command resumes from them, or {_by_hand(path)}"
            ) from failure
        time.sleep(pause * 2 ** max(0, failures - 1))
    problem = checksum_mismatch(part, remote)
    if problem is not None:
        part.unlink()
        raise ValueError(
            f"{remote.url} is not the original file: {problem}; it was removed, try again later"
        )
    os.replace(part, path)
    return path


def _attempt(remote: Remote, part: Path, path: Path, progress: Progress) -> Exception | None:
    """Receive the rest of a file; return None when it is complete, else why a retry is needed.

    Raises:
        ValueError: the server refuses; a retry is of no use.
    """
    size = _size(part)
    try:
        _receive(remote, part, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and size:
            # No byte follows the part: it is the complete file, or it belongs to another file.
            if remote.checksum is not None and checksum_mismatch(part, remote) is None:
                return None
            part.unlink()
        elif error.code < 500:
            raise ValueError(
                f"{remote.url} answered {error.code} {error.reason}; {_by_hand(path)}"
            ) from error
        return error
    except (OSError, http.client.HTTPException) as error:
        return error
    return None


def _receive(remote: Remote, part: Path, progress: Progress) -> None:
    """Append the rest of a file to its part.

    Raises:
        OSError, http.client.HTTPException: the connection broke; the part has what was received.
    """
    size = _size(part)
    # Some servers refuse a client without a name.
    request = urllib.request.Request(remote.url, headers={"User-Agent": "vae-sweeps"})
    if size:
        request.add_header("Range", f"bytes={size}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        resumes = answer.status == 206 and _first_byte(answer.headers.get("Content-Range")) == size
        size = size if resumes else 0  # a server that does not know ranges sends all bytes again
        length = answer.headers.get("Content-Length")
        total = size + int(length) if length is not None else None
        with part.open("ab" if resumes else "wb") as file:
            progress(remote.name, size, total)
            while block := answer.read(_BLOCK):
                file.write(block)
                size += len(block)
                progress(remote.name, size, total)
    if total is not None and size != total:
        raise ConnectionError(f"the connection ended after {size} of {total} bytes")


def _first_byte(content_range: str | None) -> int | None:
    """Return where a partial answer begins: 100 of "bytes 100-199/200"."""
    first = (content_range or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _by_hand(path: Path) -> str:
    return f"fetch it by hand and put it at {path}"


def _no_progress(name: str, size: int, total: int | None) -> None:
    del name, size, total
