"""A ledger that is away ends a command with one sentence, where nothing waits for it."""

import sqlite3

import pytest
from mini_sweep import conductor, spec
from sqlalchemy import event, exc

from sweeps.errors import SweepError
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.outage import LONGEST_CAUSE, cause_text, is_outage, outages_as_user_errors
from sweeps.ledger.ownership import held_sweep


def test_a_ledger_that_is_locked_at_the_start_is_one_sentence(tmp_path):
    conductor(spec(), tmp_path)
    ledger = Ledger.of_workspace(tmp_path)

    @event.listens_for(ledger.engine, "connect")
    def be_impatient(connection, _record):
        connection.execute("PRAGMA busy_timeout=0")

    ledger.close()  # so that the next connection is an impatient one
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(SweepError, match=r"written to \(database is locked\); nothing"),
        held_sweep("mini", tmp_path, ledger, say=print),
    ):
        pass
    other.execute("ROLLBACK")
    with held_sweep("mini", tmp_path, ledger, say=print):
        pass


def test_an_error_of_the_program_keeps_its_traceback(tmp_path):
    conductor(spec(), tmp_path)
    ledger = Ledger.of_workspace(tmp_path)
    with pytest.raises(ZeroDivisionError), held_sweep("mini", tmp_path, ledger, say=print):
        1 / 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exc.OperationalError("INSERT", {}, Exception("database is locked")), True),
        (exc.InterfaceError("INSERT", {}, Exception("connection already closed")), True),
        (exc.TimeoutError("QueuePool limit"), True),
        # A connection that was closed by the server, whatever the driver calls it.
        (exc.DBAPIError("INSERT", {}, Exception("gone"), connection_invalidated=True), True),
        (exc.DBAPIError("INSERT", {}, Exception("gone")), False),
        (exc.IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed")), False),
        (OSError("disk"), False),
    ],
)
def test_errors_of_a_database_that_is_away(error, expected):
    assert is_outage(error) is expected


def test_the_cause_is_the_words_of_the_database_on_one_line():
    words = Exception("server closed\n\tthe  connection")
    assert cause_text(exc.OperationalError("INSERT", {}, words)) == "server closed the connection"
    assert cause_text(exc.TimeoutError("QueuePool limit")) == "QueuePool limit"
    longest = "x" * LONGEST_CAUSE
    assert cause_text(Exception(longest)) == longest
    assert cause_text(Exception(longest + "y")) == longest + "…"


def test_only_an_outage_becomes_a_sentence():
    outage = exc.OperationalError("INSERT", {}, Exception("disk is full"))
    with pytest.raises(SweepError) as error, outages_as_user_errors():
        raise outage
    assert str(error.value) == (
        "the ledger does not answer or cannot be written to (disk is full); nothing is lost: "
        "start the same command again once it answers"
    )
    assert error.value.__cause__ is outage
    with pytest.raises(exc.IntegrityError), outages_as_user_errors():
        raise exc.IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))
