"""Chooses the folder of Ray's temporary files: Ray does not start in every folder."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of the longest path of a socket (AF_UNIX)."""

_SESSION = "/ray/session_2026-01-01_00-00-00_000000_{pid}/sockets/plasma_store"
"""The longest path of a socket that Ray makes below its folder."""

_SAFE = re.compile(r"[A-Za-z0-9 _./#%?+@=,:-]+")
"""Paths with which Ray starts. It cannot start its workers in one with `'` or a backslash, or with
letters outside ASCII.
"""

_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def ray_folder(
    environment: Mapping[str, str] = os.environ, candidates: Sequence[str] = _SHORT_FOLDERS
) -> tuple[str | None, str | None]:
    """Return the folder to give to Ray, and a note for the user.

    (None, None) is returned if Ray can start in the folder of the environment, or if no other
    folder is better.

    Args:
        environment: Ray reads RAY_TMPDIR first, then on Linux TMPDIR, else it takes /tmp.
        candidates: the folders to try instead.
    """
    variables = ("RAY_TMPDIR", "TMPDIR") if sys.platform == "linux" else ("RAY_TMPDIR",)
    variable = next((name for name in variables if name in environment), None)
    if variable is None:
        return None, None
    folder = environment[variable]
    reason = _why_not(folder)
    if reason is None:
        return None, None
    for candidate in candidates:
        if _why_not(candidate) is None:
            note = f"{variable} {reason}, got {folder!r}; Ray's temporary files go to {candidate}"
            return f"{candidate}/ray", note
    return None, None


def _why_not(folder: str) -> str | None:
    """Return the rule that keeps Ray from starting in a folder; None if it can start there."""
    longest = LONGEST_SOCKET - len(_SESSION.format(pid=os.getpid()))
    length = len(os.fsencode(os.path.abspath(folder)))
    if length > longest:
        return (
            f"must have at most {longest} bytes, because the path of a socket has at most "
            f"{LONGEST_SOCKET}"
        )
    if not _SAFE.fullmatch(os.path.abspath(folder)):
        return "must hold only ASCII letters, digits, blanks and _ . - # % ? + @ = , :"
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return "must be a folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else "must be a folder to write to"
