"""Bytes are stored whole; a damaged checkpoint falls back a generation."""

import hashlib

import pytest

from sweeps.storage.checkpoints import Checkpoints
from sweeps.storage.files import LocalFiles, RemoteFiles
from sweeps.storage.workspace import TrialPaths


def blob(text: str) -> bytes:
    body = text.encode()
    return hashlib.sha256(body).digest() + body


@pytest.fixture(params=["local", "remote"])
def files(request, tmp_path):
    return LocalFiles(tmp_path) if request.param == "local" else RemoteFiles(tmp_path.as_uri())


def test_two_generations_are_kept(files):
    checkpoints = Checkpoints(files)
    for epoch in (1, 2, 10):
        checkpoints.save("abc", epoch, blob(f"epoch {epoch}"))
    assert files.names(TrialPaths("abc").checkpoints) == ["000002.pt", "000010.pt"]
    assert checkpoints.newest("abc") == blob("epoch 10")


@pytest.mark.parametrize("damage", [b"", b"half a bl", blob("x")[:-1], bytes(200)])
def test_a_damaged_checkpoint_falls_back_a_generation(files, damage):
    checkpoints = Checkpoints(files)
    checkpoints.save("abc", 1, blob("one"))
    checkpoints.save("abc", 2, blob("two"))
    files.write(TrialPaths("abc").checkpoint(2), damage)
    assert checkpoints.newest("abc") == blob("one")


def test_no_checkpoint_is_none(files):
    assert Checkpoints(files).newest("abc") is None


def test_a_write_replaces_and_leaves_no_side_file(files, tmp_path):
    files.write("a/b.txt", b"old")
    files.write("a/b.txt", b"new")
    assert files.read("a/b.txt") == b"new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    files = LocalFiles(tmp_path)
    files.write("a.txt", b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write("a.txt", b"new")
    assert files.read("a.txt") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
