"""The ledger keeps what a transaction wrote, whole or not at all, once."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from sweeps.errors import LedgerAwayError, SweepError
from sweeps.ledger import ledger as ledger_module
from sweeps.ledger import tables
from sweeps.ledger.lease import Lease
from sweeps.ledger.ledger import DRIVER_BUSY_MS, Ledger
from sweeps.ledger.states import AttemptOutcome, EndReason, TrialState, Verdict


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger.of_workspace(tmp_path)
    with ledger.transaction() as tx:
        tx.insert(tables.SWEEP, name="s", spec="{}", created=0.0, software="{}")
    yield ledger
    ledger.close()


def test_a_report_is_kept_once(ledger):
    for at in (1.0, 2.0):
        with ledger.transaction() as tx:
            new = tx.report("s", 0, epoch=1, at=at, seconds=1.0, body={"metrics": {}})
        assert new is (at == 1.0)
    assert [row["at"] for row in ledger.of(tables.REPORT, "s")] == [1.0]


def test_a_failed_transaction_leaves_nothing(ledger):
    def half():
        with ledger.transaction() as tx:
            tx.report("s", 0, epoch=1, at=1.0, seconds=1.0, body={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert ledger.of(tables.REPORT, "s") == []


def test_two_ledgers_on_one_file_see_each_other(ledger, tmp_path):
    with ledger.transaction() as tx:
        tx.end("s", 0, TrialState.COMPLETE, EndReason.COMPLETED, "")
    other = Ledger.of_workspace(tmp_path)
    assert [row["state"] for row in other.of(tables.END, "s")] == ["COMPLETE"]


def test_a_report_is_told_by_sweep_trial_and_epoch(ledger):
    body = {"metrics": {"mig": 0.1}, "epoch": 1}
    with ledger.transaction() as tx:
        assert tx.report("s", 3, epoch=1, at=2.0, seconds=5.0, body=body)
        assert tx.has_report("s", 3, 1)
        for sweep, trial, epoch in (("t", 3, 1), ("s", 4, 1), ("s", 3, 2)):
            assert not tx.has_report(sweep, trial, epoch)
            assert tx.report(sweep, trial, epoch=epoch, at=0.0, seconds=0.0, body={})
    (row,) = ledger.rows(tables.REPORT, tables.REPORT.c.at == 2.0)
    assert row == {
        "seq": 1,
        "sweep": "s",
        "trial": 3,
        "epoch": 1,
        "at": 2.0,
        "seconds": 5.0,
        "body": '{"epoch": 1, "metrics": {"mig": 0.1}}',
    }


def test_verdicts_and_ends_are_written_with_the_time(ledger, monkeypatch):
    monkeypatch.setattr(ledger_module, "time", SimpleNamespace(time=lambda: 7.5))
    with ledger.transaction() as tx:
        tx.decision("s", 2, rung=1, verdict=Verdict.PRUNE, value=0.25, why="low")
        tx.decision("s", 3, rung=0, verdict=Verdict.PROMOTE, value=math.nan, why="first")
        tx.decision("s", 4, rung=0, verdict=Verdict.PRUNE, value=math.inf, why="no number")
        tx.end("s", 4, TrialState.FAILED, EndReason.LOST, "lost: killed")
    columns = ("sweep", "cell", "rung", "verdict", "value", "why", "at")
    assert [tuple(row[name] for name in columns) for row in ledger.of(tables.DECISION, "s")] == [
        ("s", 2, 1, "prune", 0.25, "low", 7.5),
        ("s", 3, 0, "go", None, "first", 7.5),  # a value that is not finite is NULL
        ("s", 4, 0, "prune", None, "no number", 7.5),
    ]
    columns = ("sweep", "trial", "state", "reason", "why", "at")
    assert [tuple(row[name] for name in columns) for row in ledger.of(tables.END, "s")] == [
        ("s", 4, "FAILED", "lost", "lost: killed", 7.5)
    ]


def test_words_are_stored_as_plain_texts():
    # Drivers of databases treat enumerations differently.
    stored = ledger_module._stored({"verdict": Verdict.PRUNE, "cell": 3})
    assert [type(value) for value in stored.values()] == [str, int]
    assert stored == {"verdict": "prune", "cell": 3}


def test_rows_are_inserted_changed_and_deleted_by_condition(ledger):
    attempts = tables.ATTEMPT
    with ledger.transaction() as tx:
        keys = [
            tx.insert(attempts, sweep="s", trial=trial, life=1, started=1.0) for trial in range(3)
        ]
        assert keys == [1, 2, 3]
        # The key of a sweep is a text, so there is no number to return.
        assert tx.insert(tables.SWEEP, name="t", spec="{}", created=1.0, software="{}") == 0
        tx.update(attempts, attempts.c.trial == 1, outcome=AttemptOutcome.LOST, ended=4.0)
        tx.delete(attempts, attempts.c.trial > 0, attempts.c.outcome.is_(None))
        query = sa.select(attempts.c.trial, attempts.c.outcome).order_by(attempts.c.id)
        assert tx.rows(query) == [
            {"trial": 0, "outcome": None},
            {"trial": 1, "outcome": "lost"},
        ]
    assert [row["ended"] for row in ledger.of(attempts, "s")] == [None, 4.0]


def test_queries_return_rows_in_order(ledger):
    with ledger.transaction() as tx:
        spec = json.dumps({"name": "older"})
        tx.insert(tables.SWEEP, name="older", spec=spec, created=-1.0, software="{}")
        for trial in (2, 0, 1):
            tx.end("s", trial, TrialState.COMPLETE, EndReason.COMPLETED, "")
            tx.end("older", trial, TrialState.FAILED, EndReason.LOST, "")
    ends = tables.END
    assert [row["trial"] for row in ledger.of(ends, "s")] == [2, 0, 1]
    assert {row["sweep"] for row in ledger.of(ends, "s")} == {"s"}
    ordered = ledger.rows(ends, ends.c.sweep == "s", ends.c.trial > 0, order=ends.c.trial)
    assert [row["trial"] for row in ordered] == [1, 2]
    query = sa.select(ends.c.trial, ends.c.state).where(ends.c.sweep == "s").order_by(ends.c.trial)
    assert ledger.values(query) == [(0, "COMPLETE"), (1, "COMPLETE"), (2, "COMPLETE")]
    assert ledger.select(query)[0] == {"trial": 0, "state": "COMPLETE"}
    chunks = [[tuple(row) for row in chunk] for chunk in ledger.chunks(query, 2)]
    assert chunks == [[(0, "COMPLETE"), (1, "COMPLETE")], [(2, "COMPLETE")]]
    assert ledger.sweep_names() == ["older", "s"]
    row = ledger.sweep("older")
    assert row == ledger.require_sweep("older")
    assert (row["name"], row["spec"], row["created"]) == ("older", {"name": "older"}, -1.0)
    assert ledger.sweep("none") is None
    with pytest.raises(LookupError, match=r"unknown sweep 'oldr'.*did you mean 'older'"):
        ledger.require_sweep("oldr")


@pytest.fixture
def leased(ledger):
    """Return the ledger as a driver that holds the lease of sweep s has it."""
    columns = {"beats": 0, "holder": "a driver", "lock": "x", "released": 0}
    with ledger.transaction() as tx:
        tx.insert(tables.LEASE, sweep="s", token=1, **columns)
    ledger.lease = Lease("s", 1)
    return ledger


def test_a_driver_waits_for_another_writer_for_seconds_only(leased):
    # A reader of the ledger keeps the longer wait that its connection was opened with.
    def busy_timeout(tx):
        return tx._connection.exec_driver_sql("PRAGMA busy_timeout").scalar()

    with leased.transaction() as tx:
        assert busy_timeout(tx) == DRIVER_BUSY_MS == 3000
    (lease,) = leased.rows(tables.LEASE)
    assert lease["beats"] == 1


def test_a_ledger_that_was_moved_says_what_to_do(leased, tmp_path):
    path = tmp_path / "ledger.db"
    with leased.transaction():
        pass
    path.rename(tmp_path / "moved.db")
    with pytest.raises(LedgerAwayError) as away, leased.transaction():
        pass
    assert str(away.value) == (
        f"the ledger {str(path)!r} cannot be found (No such file or directory): it was moved, "
        "deleted or replaced while the sweep ran; put it back, and give the same command again"
    )
    path.write_bytes((tmp_path / "moved.db").read_bytes())
    with pytest.raises(LedgerAwayError) as away, leased.transaction():
        pass
    assert str(away.value).startswith(f"the ledger {str(path)!r} is another file now: it was moved")
    path.unlink()
    (tmp_path / "moved.db").rename(path)
    with leased.transaction():  # put back, it is written to again
        pass


def test_a_ledger_in_memory_has_no_file_to_lose():
    ledger = Ledger("sqlite://")
    columns = {"beats": 0, "holder": "a driver", "lock": "x", "released": 0}
    with ledger.transaction() as tx:
        tx.insert(tables.LEASE, sweep="s", token=1, **columns)
    ledger.lease = Lease("s", 1)
    with ledger.transaction() as tx:
        tx.end("s", 0, TrialState.COMPLETE, EndReason.COMPLETED, "")


def test_a_workspace_may_have_its_ledger_elsewhere(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    ledger = Ledger.of_workspace(tmp_path / "workspace", url)
    assert ledger.sweep_names() == []
    assert (tmp_path / "elsewhere.db").exists()
    ledger.close()


def test_an_error_while_a_ledger_is_open_names_the_workspace(ledger, tmp_path):
    with pytest.raises(SweepError) as error, Ledger.opened(tmp_path) as opened:
        opened.values(sa.text("SELECT 1 FROM no_such_table"))
    start = f"the ledger of workspace {str(tmp_path)!r} can no longer be read or written: "
    assert str(error.value).startswith(start)


def test_an_opened_ledger_is_closed_after_its_block(ledger, tmp_path):
    with Ledger.opened(tmp_path) as opened:
        assert opened.sweep_names() == ["s"]
        pool = opened.engine.pool
    assert opened.engine.pool is not pool  # `dispose` gave its connections up
    with pytest.raises(LookupError, match="it has no ledger"):
        Ledger.existing(tmp_path / "empty")


def test_what_was_committed_survives_a_kill(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.states import EndReason, TrialState
ledger = Ledger.of_workspace(Path({str(tmp_path)!r}))
for epoch in range(1, 100):
    with ledger.transaction() as tx:
        tx.report("s", 0, epoch=epoch, at=0.0, seconds=0.0, body={{}})
        if epoch == 7:
            os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert [row["epoch"] for row in Ledger.of_workspace(tmp_path).of(tables.REPORT, "s")] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]


def test_a_reader_may_come_while_the_ledger_is_being_made(tmp_path):
    # `sweeps status` beside a sweep that just begins: both find no tables and both make them.
    program = (
        "from pathlib import Path; from sweeps.ledger.ledger import Ledger; "
        f"Ledger.of_workspace(Path({str(tmp_path)!r}))"
    )
    together = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)
    ]
    assert [process.communicate()[1].decode()[-300:] for process in together] == [""] * 4
