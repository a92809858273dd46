"""A full disk is waited for, for as long as `store.patience` says."""

import errno

import pytest

from sweeps.errors import DiskFullError
from sweeps.storage import space
from sweeps.storage.store_actor import Store


class FullDisk:
    """A disk that is full for the first writes."""

    def __init__(self, failures, code=errno.ENOSPC):
        self.failures = failures
        self.code = code

    def write(self):
        if self.failures:
            self.failures -= 1
            raise OSError(self.code, "No space left on device")
        return "written"


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleep moves."""
    now = [0.0]
    monkeypatch.setattr(space.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(space.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    return now


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_for_a_while_is_waited_for(clock, code):
    assert space.when_there_is_space(FullDisk(8, code).write, 60.0) == "written"
    assert clock == [8.0]  # a try per second


def test_a_disk_that_stays_full_is_given_up_after_the_patience(clock):
    with pytest.raises(DiskFullError, match=r"for 60 s, the limit of store\.patience .*No space"):
        space.when_there_is_space(FullDisk(1000).write, 60.0)
    assert clock == [60.0]


def test_another_error_of_a_disk_is_not_waited_for(clock):
    with pytest.raises(OSError, match="No space left"):  # the text of the fake; its code is EIO
        space.when_there_is_space(FullDisk(1, errno.EIO).write, 60.0)
    assert clock == [0.0]


def test_the_store_waits_with_checkpoints_and_artifacts(tmp_path, clock, monkeypatch):
    store = Store(tmp_path, None, 60.0)
    write = store._files.write
    disk = FullDisk(2)
    monkeypatch.setattr(store._files, "write", lambda *args: [disk.write(), write(*args)])
    store.save_checkpoint("a" * 16, 1, b"0" * 40)
    disk.failures = 3
    store.save_artifacts("a" * 16, {"codes.npz": b"codes"})
    assert clock == [5.0]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "000001.pt",
        "codes.npz",
    ]
