"""A store that cannot write is waited for, for as long as `store.patience` says."""

import errno

import pytest

from sweeps.driver import stored
from sweeps.driver.stored import LASTING, StorageError, when_it_can


class FullDisk:
    """A disk that is full for the first writes."""

    def __init__(self, failures, code=errno.ENOSPC):
        self.failures = failures
        self.code = code
        self.written = 0

    def write(self):
        if self.failures:
            self.failures -= 1
            raise OSError(self.code, "No space left on device")
        self.written += 1


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleep moves."""
    now = [0.0]
    monkeypatch.setattr(stored.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stored.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    return now


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_a_store_that_cannot_write_for_a_while_is_waited_for(clock, code):
    disk = FullDisk(8, code)
    when_it_can(disk.write, 60.0)
    assert disk.written == 1
    assert clock == [8.0]  # a try per second


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_a_disk_that_stays_full_is_given_up_after_the_patience(clock, patience):
    match = rf"for {patience:.0f} s, the limit of store\.patience: .*No space left.*make space"
    with pytest.raises(StorageError, match=match):
        when_it_can(FullDisk(1000).write, patience)
    assert clock == [patience]


def test_without_a_limit_it_waits_for_ever(clock):
    disk = FullDisk(100_000)
    when_it_can(disk.write, None)
    assert disk.written == 1


@pytest.mark.parametrize("code", sorted(LASTING))
def test_an_error_that_lasts_is_not_waited_for(clock, code):
    with pytest.raises(StorageError, match=r"cannot be written: .*mend the store"):
        when_it_can(FullDisk(1, code).write, 60.0)
    assert clock == [0.0]


def test_an_error_of_the_trial_itself_passes(clock):
    with pytest.raises(ZeroDivisionError):
        when_it_can(lambda: 1 / 0, 60.0)
