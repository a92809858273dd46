"""The lease of a sweep: a driver that another one has replaced never writes."""

import pytest
import sqlalchemy as sa

from sweeps.errors import LeaseLostError, LedgerAwayError, SweepError
from sweeps.ledger import lease as lease_module
from sweeps.ledger import tables
from sweeps.ledger.lease import LOOKS, LeaseSeeker, take_lease
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.ownership import held_sweep
from sweeps.storage.lock import HeldLock, machine_key


def lock(name, previous=""):
    return HeldLock(holder=f"driver {name}", key=f"{machine_key()}/{name}", previous_key=previous)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def take(ledger, name, previous="", sweep="s"):
    """Take the lease without waiting a second between two looks."""
    seeker = LeaseSeeker(ledger.engine, sweep, lock(name, previous))
    for _ in range(LOOKS + 2):
        found = seeker.look()
        if found is not None:
            return found, seeker.looks
    raise AssertionError("the lease was never free")


def write(ledger, trial):
    with ledger.transaction() as tx:
        tx.report("s", trial, epoch=1, at=0.0, seconds=0.0, body={})


def lease_row(ledger):
    (row,) = ledger.rows(tables.LEASE)
    return row


def test_the_first_driver_takes_the_lease_at_once(url):
    ledger = Ledger(url)
    ledger.lease, looks = take(ledger, "a")
    assert (ledger.lease.token, looks) == (1, 0)
    write(ledger, 0)
    assert lease_row(ledger)["beats"] == 1  # every transaction is a sign of life


def test_a_released_lease_is_taken_at_once(url):
    ledger, other = Ledger(url), Ledger(url)
    ledger.lease, _ = take(ledger, "a")
    with ledger.engine.begin() as connection:
        ledger.lease.release(connection)
    other.lease, looks = take(other, "b")
    assert (other.lease.token, looks) == (2, 0)


def test_a_holder_of_the_same_lock_file_on_this_machine_is_known_to_be_gone(url):
    ledger = Ledger(url)
    take(ledger, "a")
    _, looks = take(ledger, "b", previous=lock("a").key)
    assert looks == 0


def test_a_lock_file_of_another_machine_or_workspace_proves_nothing(url):
    ledger = Ledger(url)
    elsewhere = HeldLock("driver elsewhere", "other-machine/a", "")
    LeaseSeeker(ledger.engine, "s", elsewhere).look()
    _, looks = take(ledger, "b", previous="other-machine/a")
    assert looks == LOOKS + 1
    _, looks = take(ledger, "c", previous=lock("of another workspace").key)
    assert looks == LOOKS + 1


def test_a_holder_without_a_sign_of_life_is_replaced_and_writes_no_more(url):
    stale, fresh = Ledger(url), Ledger(url)
    stale.lease, _ = take(stale, "a")
    write(stale, 0)
    fresh.lease, looks = take(fresh, "b")
    assert looks == LOOKS + 1
    with pytest.raises(LeaseLostError, match=r"'s' was taken over by another driver \(driver b\)"):
        write(stale, 1)
    write(fresh, 2)
    assert [row["trial"] for row in fresh.of(tables.REPORT, "s")] == [0, 2]


def test_a_driver_that_starts_beside_a_living_one_is_refused(url):
    living, starting = Ledger(url), Ledger(url)
    living.lease, _ = take(living, "a")
    seeker = LeaseSeeker(starting.engine, "s", lock("b"))
    assert seeker.look() is None
    write(living, 0)
    with pytest.raises(SweepError, match=r"'s' is being driven by driver a; end that one first"):
        seeker.look()
    write(living, 1)  # and the living one never notices


def test_a_look_that_fails_does_not_count(url, monkeypatch):
    # The database was away: the holder could not give a sign of life either.
    ledger = Ledger(url)
    take(ledger, "a")
    seeker = LeaseSeeker(ledger.engine, "s", lock("b"))
    seeker.look()
    monkeypatch.setattr(lease_module, "LEASE", sa.table("gone", *map(sa.column, ["sweep"])))
    with pytest.raises((sa.exc.OperationalError, AttributeError)):
        seeker.look()
    assert seeker.looks == 1


def test_waiting_says_so_and_ends_in_a_lease(url, monkeypatch):
    ledger = Ledger(url)
    take(ledger, "a")
    waits, notices = [], []
    monkeypatch.setattr(lease_module, "LOOK_PERIOD", 0.5)
    monkeypatch.setattr(
        lease_module.time, "sleep", lambda seconds: waits.append((seconds, len(notices)))
    )
    lease = take_lease(ledger.engine, "s", lock("b"), say=notices.append)
    assert lease.token == 2
    # The notice comes with the second look: a holder that lives is mostly seen before.
    assert waits == [(0.5, 0)] + [(0.5, 1)] * (LOOKS - 1)
    # 30 looks, half a second apart.
    assert notices == [
        "the last driver of sweep 's' (driver a) did not say that it ended; waiting 15 s for a "
        "sign of life before this one takes over"
    ]


def test_leases_of_two_sweeps_do_not_meet(url):
    first, second = Ledger(url), Ledger(url)
    first.lease = LeaseSeeker(first.engine, "s", lock("a")).look()
    second.lease = LeaseSeeker(second.engine, "t", lock("b")).look()
    write(first, 0)
    write(second, 1)


def test_a_release_frees_one_sweep(url):
    first, second = Ledger(url), Ledger(url)
    lease = LeaseSeeker(first.engine, "s", lock("a")).look()
    other = LeaseSeeker(second.engine, "t", lock("b")).look()
    assert lease.token == other.token == 1
    with first.engine.begin() as connection:
        lease.release(connection)
    released = {row["sweep"]: row["released"] for row in first.rows(tables.LEASE)}
    assert released == {"s": 1, "t": 0}


def test_a_look_locks_the_row_of_its_sweep_before_it_reads(url):
    # Else two drivers could read the same token, and both take the lease.
    ledger = Ledger(url)
    statements = []
    seeker = LeaseSeeker(ledger.engine, "s", lock("a"))
    sa.event.listen(
        ledger.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, parameters, *_: statements.append(
            (statement, parameters)
        ),
    )
    seeker.look()
    first = next(each for each in statements if not each[0].startswith(("BEGIN", "PRAGMA")))
    assert first[0].startswith("UPDATE lease SET holder=lease.holder")
    assert "WHERE lease.sweep = ?" in first[0]
    assert first[1] == ("s",)


def test_a_lease_whose_row_is_gone_is_lost(url):
    ledger = Ledger(url)
    ledger.lease, _ = take(ledger, "a")
    with ledger.engine.begin() as connection:
        connection.execute(tables.LEASE.delete())
    with pytest.raises(LeaseLostError) as lost:
        write(ledger, 0)
    assert str(lost.value) == (
        "sweep 's' was taken over by another driver (nobody: its row is gone), because this one "
        "gave no sign of life; this one has written nothing since, and stops"
    )


def test_a_block_holds_the_sweep_and_releases_it(url, tmp_path):
    ledger, other = Ledger(url), Ledger(url)
    with held_sweep("s", tmp_path / "one", ledger, say=print):
        write(ledger, 0)
        assert lease_row(ledger)["released"] == 0
        with (
            pytest.raises(SweepError, match="is being driven by pid"),
            held_sweep("s", tmp_path / "one", other, say=print),
        ):
            pass
    assert lease_row(ledger)["released"] == 1
    assert ledger.lease is None
    with held_sweep("s", tmp_path / "two", other, say=print):
        write(other, 1)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_ledger_that_was_deleted_or_replaced_is_not_written_to(url, tmp_path, replaced):
    ledger = Ledger(url)
    ledger.lease, _ = take(ledger, "a")
    write(ledger, 0)
    (tmp_path / "ledger.db").rename(tmp_path / "moved.db")
    if replaced:
        (tmp_path / "ledger.db").write_bytes((tmp_path / "moved.db").read_bytes())
    match = "is another file now" if replaced else "cannot be found"
    with pytest.raises(LedgerAwayError, match=match):
        write(ledger, 1)
    ledger.close()
