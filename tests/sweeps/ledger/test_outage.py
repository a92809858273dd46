"""A ledger that is away ends a command with one sentence, where nothing waits for it."""

import sqlite3

import pytest
from mini_sweep import conductor, spec
from sqlalchemy import event

from sweeps.errors import SweepError
from sweeps.ledger.ledger import Ledger
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
