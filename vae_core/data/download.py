"""Fetches the original files of data sets: goes on where it was cut off, and keeps nothing that is not the original."""

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
from vae_core.data.original_files import Remote, altered

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes there are of it, and the bytes there will be (None: the server does not say)."""

ATTEMPTS = 5
"""In a row without a new byte; a connection that brings some starts the count anew."""

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
    """Fetch the original files of a data set to where it looks for them, and return their paths.

    Args:
        dataset: a class of the registry.
        cache: folder of prepared data; None: `cache_folder()`.
        progress: is told how far each file is.
        pause: seconds before the first new attempt.

    Raises:
        ValueError: the data set has no files to fetch, a server refuses, or a file is not the original.
    """
    if not dataset.remotes:
        raise ValueError(f"{dataset.name} is made of your own files: there is nothing to download")
    folder = (cache or cache_folder()) / dataset.name
    told = progress or _silent
    return [
        fetch(remote, folder / remote.name, progress=told, pause=pause)
        for remote in dataset.remotes
    ]


def fetch(remote: Remote, path: Path, *, progress: Progress, pause: float = _PAUSE) -> Path:
    """Fetch one file, through `<file>.part`, unless it is there already.

    Raises:
        ValueError: the server refuses, goes silent, or sends another file; what was fetched of another file is
            removed, what was fetched before a silence stays for the next call.
    """
    if path.is_file() and altered(path, remote) is None:
        progress(remote.name, path.stat().st_size, path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _receive(remote, part, progress)
            break
        except urllib.error.HTTPError as error:
            if (
                error.code == 416 and before
            ):  # nothing comes after what there is: all of the file, or another one
                if remote.checksum is not None and altered(part, remote) is None:
                    break
                part.unlink()
            elif error.code < 500:
                raise ValueError(
                    f"{remote.url} answered {error.code} {error.reason}; {_by_hand(path)}"
                ) from error
            reason: Exception = error
        except (OSError, http.client.HTTPException) as error:
            reason = error
        failures = 0 if _size(part) > before else failures + 1
        if failures >= ATTEMPTS:
            raise ValueError(
                f"{remote.url} could not be fetched ({reason}); {_size(part)} bytes of it are in {part}: "
                f"the same command goes on from there, or {_by_hand(path)}"
            ) from reason
        time.sleep(pause * 2 ** max(0, failures - 1))
    wrong = altered(part, remote)
    if wrong is not None:
        part.unlink()
        raise ValueError(
            f"{remote.url} is not the original file: {wrong}; it was removed, try again later"
        )
    os.replace(part, path)
    return path


def _receive(remote: Remote, part: Path, progress: Progress) -> None:
    """Receive the rest of a file; an OSError or HTTPException leaves what has come."""
    have = _size(part)
    request = urllib.request.Request(
        remote.url, headers={"User-Agent": "vae-sweeps"}
    )  # some servers want a name
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        goes_on = answer.status == 206 and _first_byte(answer.headers.get("Content-Range")) == have
        have = have if goes_on else 0  # a server that knows no ranges sends all of it again
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        with part.open("ab" if goes_on else "wb") as file:
            progress(remote.name, have, total)
            while block := answer.read(_BLOCK):
                file.write(block)
                have += len(block)
                progress(remote.name, have, total)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _first_byte(content_range: str | None) -> int | None:
    """Return where a partial answer begins: 100 of "bytes 100-199/200"."""
    first = (content_range or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _by_hand(path: Path) -> str:
    return f"fetch it by hand and put it at {path}"


def _silent(name: str, have: int, total: int | None) -> None:
    del name, have, total
