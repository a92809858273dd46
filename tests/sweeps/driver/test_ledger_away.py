"""An outage of the ledger: events wait, are applied again, and nothing is written twice."""

import json
from contextlib import contextmanager

import pytest
from mini_sweep import body, conductor, play, spec
from sqlalchemy.exc import OperationalError

from sweeps.driver import patience
from sweeps.driver.patience import Patience
from sweeps.errors import LedgerAwayError
from sweeps.ledger import tables
from sweeps.ledger.lease import Lease
from sweeps.ledger.ledger import Ledger


def outage(message="database is locked"):
    return OperationalError("INSERT", {}, Exception(message))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.sleeps = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def test_an_event_is_applied_again_until_the_ledger_answers(clock):
    notices, reloads = [], []
    answers = [outage(), outage(), 7]

    def event():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Patience(600.0, notices.append).apply(event, lambda: reloads.append(clock.now)) == 7
    assert len(reloads) == 2  # once before each further try
    assert len(notices) == 2  # at the beginning and at the end, not at every try
    assert "database is locked" in notices[0]
    assert "answers again" in notices[1]


def test_patience_ends_with_one_sentence(clock):
    def event():
        raise outage("disk is full")

    with pytest.raises(LedgerAwayError, match=r"for 600 s, the limit of store.patience \(disk is"):
        Patience(600.0, lambda _: None).apply(event, lambda: None)
    assert clock.now == pytest.approx(600, abs=patience.LONGEST_PAUSE)


def test_pauses_double_up_to_the_longest_one_and_are_slept_in_slices(clock):
    clock.now = 1000.0
    notices, reloads = [], []
    answers = [outage() for _ in range(6)]

    def event():
        if answers:
            raise answers.pop()

    Patience(None, notices.append).apply(event, lambda: reloads.append(clock.now - 1000.0))
    # Pauses of 0.25, 0.5, 1, 2, 4 and then 5 seconds, not 8.
    assert reloads == [0.25, 0.75, 1.75, 3.75, 7.75, 12.75]
    assert set(clock.sleeps) == {0.25}
    assert notices == [
        "the ledger cannot be written to (database is locked); it is tried again, and trials wait "
        "at their next report",
        "the ledger answers again after 13 s; nothing is lost",
    ]


def test_a_pause_ends_on_time_whatever_the_slices(clock, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.375)
    clock.now = 1000.0
    answers = [outage()]

    def event():
        if answers:
            raise answers.pop()

    Patience(600.0, lambda _: None).apply(event, lambda: None)
    assert clock.sleeps == [0.25, 0.125]


def test_the_limit_is_kept_to_the_second_and_said(clock):
    clock.now = 1000.0
    notices = []

    def event():
        raise outage("disk is full")

    with pytest.raises(LedgerAwayError) as away:
        Patience(600.0, notices.append).apply(event, lambda: None)
    assert clock.now == 1600.0
    assert str(away.value) == (
        "the ledger could not be written to for 600 s, the limit of store.patience (disk is full)"
    )
    assert notices == [
        "the ledger cannot be written to (disk is full); it is tried again for up to 600 s, and "
        "trials wait at their next report"
    ]


def test_a_reload_that_fails_is_tried_again_too(clock):
    answers = [outage(), 7]
    reloads = [outage(), None]

    def event():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reload():
        error = reloads.pop(0)
        if error is not None:
            raise error

    assert Patience(600.0, lambda _: None).apply(event, reload) == 7
    assert (answers, reloads) == ([], [])


def test_patience_that_was_given_up_waits_no_more(clock):
    waiting = Patience(600.0, lambda _: None)
    waiting.give_up()

    def event():
        raise outage("disk is full")

    with pytest.raises(LedgerAwayError) as away:
        waiting.apply(event, lambda: None)
    assert str(away.value) == "the ledger cannot be written to (disk is full)"
    assert clock.sleeps == []


def test_a_wait_that_is_given_up_ends_at_once(clock):
    waiting = Patience(None, lambda _: None)

    def event():
        if clock.now > 100:
            waiting.give_up()
        raise outage()

    with pytest.raises(LedgerAwayError):
        waiting.apply(event, lambda: None)
    assert clock.now < 120


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        Patience(600.0, lambda _: None).apply(lambda: 1 / 0, lambda: None)


@contextmanager
def failing(ledger, monkeypatch, *, after_commit, every):
    """Let each `every`-th transaction fail, before its commit or after it (the answer is lost)."""
    real = Ledger.transaction
    count = 0

    @contextmanager
    def transaction(self):
        nonlocal count
        count += 1
        fails = count % every == 0
        with real(self) as tx:
            yield tx
            if fails and not after_commit:
                raise outage()
        if fails and after_commit:
            raise outage("the server closed the connection unexpectedly")

    monkeypatch.setattr(Ledger, "transaction", transaction)
    yield
    monkeypatch.setattr(Ledger, "transaction", real)


def everything(workspace):
    """Return what a sweep wrote, without times and ids."""
    ledger = Ledger.of_workspace(workspace)
    hashes = {row["number"]: row["hash"] for row in ledger.of(tables.TRIAL, "mini")}
    reports = [
        (hashes[row["trial"]], row["epoch"], json.loads(row["body"])["metrics"]["mig"])
        for row in ledger.of(tables.REPORT, "mini")
    ]
    decisions = [
        (row["cell"], row["rung"], row["verdict"], row["value"])
        for row in ledger.of(tables.DECISION, "mini")
    ]
    ends = [(hashes[row["trial"]], row["state"]) for row in ledger.of(tables.END, "mini")]
    attempts = [(row["trial"], row["outcome"]) for row in ledger.of(tables.ATTEMPT, "mini")]
    return sorted(reports), sorted(decisions), sorted(ends), sorted(attempts)


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("every", [3, 5, 7])
def test_outages_change_nothing_that_is_stored(tmp_path, monkeypatch, every, after_commit):
    play(conductor(spec(), tmp_path / "clean"))
    sweep = conductor(spec(), tmp_path / "outages")
    with failing(sweep, monkeypatch, after_commit=after_commit, every=every):
        play(sweep)
    assert sweep.failure is None
    assert everything(tmp_path / "outages") == everything(tmp_path / "clean")


def test_a_ledger_that_stays_away_stops_the_sweep_and_the_next_driver_run_goes_on(
    tmp_path, monkeypatch
):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    sweep.record(trial.number, body(trial, 1, 0.1))
    with failing(sweep, monkeypatch, after_commit=False, every=1):
        assert sweep.record(trial.number, body(trial, 2, 0.2)) is False
        assert sweep.next() == "finished"
    assert "limit of store.patience" in sweep.stopping
    assert isinstance(sweep.failure, LedgerAwayError)
    second = conductor(spec(pruning="none"), tmp_path)
    play(second)
    assert second.finished


def test_an_interrupt_does_not_wait_for_a_ledger_that_is_away(tmp_path, monkeypatch, clock):
    sweep = conductor(spec(pruning="none"), tmp_path)
    sweep.next()
    with failing(sweep, monkeypatch, after_commit=False, every=1):
        sweep.interrupt("SIGTERM")
    assert clock.now == 0.0
    assert str(sweep.failure) == "the ledger cannot be written to (database is locked)"
    # The next driver run closes the attempt.
    conductor(spec(pruning="none"), tmp_path)
    (attempt,) = Ledger.of_workspace(tmp_path).of(tables.ATTEMPT, "mini")
    assert attempt["outcome"] == "interrupted"


def test_a_driver_that_lost_its_lease_stops_and_writes_nothing(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trial = sweep.next().trial
    before = everything(tmp_path)
    sweep._ledger.lease = Lease("mini", 1)  # another driver has token 2
    with Ledger.of_workspace(tmp_path).engine.begin() as connection:
        row = {"sweep": "mini", "token": 2, "beats": 0, "holder": "driver b", "lock": "x"}
        connection.execute(tables.LEASE.insert().values(released=0, **row))
    assert sweep.record(trial.number, body(trial, 1, 0.1)) is False
    assert sweep.next() == "finished"
    sweep.lost(trial.number, "lost", "died")
    sweep.interrupt("SIGTERM")
    assert "was taken over by another driver (driver b)" in sweep.stopping
    assert everything(tmp_path) == before


def test_an_interrupted_sweep_has_no_open_attempt_and_records_nothing_more(tmp_path):
    sweep = conductor(spec(pruning="none"), tmp_path)
    trials = [sweep.next().trial, sweep.next().trial]
    sweep.record(trials[0].number, body(trials[0], 1, 0.1))
    attempt = body(trials[0], 2, 0.2)
    sweep.interrupt("SIGTERM")
    ledger = Ledger.of_workspace(tmp_path)
    assert {row["outcome"] for row in ledger.of(tables.ATTEMPT, "mini")} == {"interrupted"}
    assert sweep.record(trials[0].number, attempt) is False
    assert len(ledger.of(tables.REPORT, "mini")) == 1
    assert sweep.next() == "finished"
    assert sweep.stopping == "SIGTERM"
