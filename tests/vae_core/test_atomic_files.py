"""Files replaced as a whole: after a failure the old content is there, and no file aside."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from vae_core.atomic_files import replacing, write_atomically


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture(params=["absent", "old"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the path of a file that does not exist yet, or that has old content."""
    path = tmp_path / "report.html"
    if request.param == "old":
        path.write_bytes(b"old")
    return path


def kind(handle: int) -> str:
    """Return whether an open handle is a file or a folder."""
    return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_content_replaces_the_old(durable: bool, target: Path) -> None:
    write_atomically(target, b"new", durable=durable)
    assert contents(target.parent) == {"report.html": b"new"}


def test_every_user_may_read_the_file(target: Path) -> None:
    write_atomically(target, b"new")
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_leaves_the_old_content(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(target.parent)
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert contents(target.parent) == before


def test_a_failure_to_sync_the_file_leaves_the_old_content(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(target.parent)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new", durable=True)
    assert contents(target.parent) == before


def test_a_failed_rename_leaves_the_old_content(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(target.parent)
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert contents(target.parent) == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_half_way_leaves_the_old_content(
    error: type[BaseException], target: Path
) -> None:
    before = contents(target.parent)

    def write_half() -> None:
        with replacing(target) as aside:
            aside.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert contents(target.parent) == before


def test_the_target_is_not_touched_before_the_writer_ends(target: Path) -> None:
    before = target.read_bytes() if target.exists() else None
    with replacing(target) as aside:
        with aside.open("wb") as file:
            file.write(b"new")
        assert (target.read_bytes() if target.exists() else None) == before
        assert aside.parent == target.parent
        assert aside.name.startswith(".")
    assert contents(target.parent) == {"report.html": b"new"}


def test_a_durable_write_syncs_the_file_and_then_its_folder(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(kind(handle)))
    write_atomically(target, b"new", durable=True)
    assert synced == ["file", "folder"]


def test_without_durable_nothing_is_synced(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full_disk)
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "absent" / "a.txt", b"new")
