"""Ray gets another folder if it cannot start in that of TMPDIR."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.temporary_folder import LONGEST_SOCKET, ray_folder

# /ray/session_, a date of 26 characters, _, the process id, /sockets/plasma_store
BELOW = len("/ray/session_") + 26 + len("_") + len(str(os.getpid())) + len("/sockets/plasma_store")
LONGEST = LONGEST_SOCKET - BELOW


def folder_of(length: int) -> str:
    """Return a folder below /tmp with a path of so many bytes."""
    return "/tmp/" + "x" * (length - len("/tmp/"))


def test_ray_keeps_its_folder_without_a_variable_or_in_a_short_one(tmp_path: Path) -> None:
    assert ray_folder({}) == (None, None)
    folder = folder_of(LONGEST)
    try:
        assert ray_folder({"TMPDIR": folder}) == (None, None)
    finally:
        Path(folder).rmdir()


def test_a_folder_of_one_byte_more_is_replaced_with_a_note(tmp_path: Path) -> None:
    folder, note = ray_folder({"TMPDIR": folder_of(LONGEST + 1)}, ["/no/such\0folder", "/tmp"])
    assert folder == "/tmp/ray"
    assert note is not None
    assert note.startswith(
        f"TMPDIR must have at most {LONGEST} bytes, because the path of a socket"
    )
    assert note.endswith("Ray's temporary files go to /tmp")


@pytest.mark.parametrize("name", ["a'b", "back\\slash", "étude", "line\nbreak", "{a}"])
def test_a_folder_in_which_ray_does_not_start_is_replaced(name: str) -> None:
    folder, note = ray_folder({"RAY_TMPDIR": f"/tmp/{name}", "TMPDIR": "/tmp"})
    assert folder == "/tmp/ray"
    assert note is not None
    assert note.startswith("RAY_TMPDIR must hold only ASCII letters")
    assert not os.path.exists(f"/tmp/{name}")


def test_a_folder_that_cannot_be_made_is_replaced() -> None:
    folder, note = ray_folder({"TMPDIR": "/proc/nothing"})
    assert folder == "/tmp/ray"
    assert note is not None
    assert "TMPDIR must be a folder, got '/proc/nothing'" in note


def test_without_a_better_folder_ray_keeps_its_own() -> None:
    assert ray_folder({"TMPDIR": "/proc/nothing"}, ["/proc/nothing"]) == (None, None)
