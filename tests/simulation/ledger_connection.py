"""The ledger's connection to SQLite in a simulation: it passes the gate and notes every event.

Triggers write one row into the table `simulation_event` per row that product code writes or
changes, in the same transaction. So the order of all events of a ledger is known without any clock,
and a change of what must not change is seen.
"""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import event

from sweeps.ledger import connecting

from .faults import Gate

TRIGGERS = """
CREATE TABLE IF NOT EXISTS simulation_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, sweep TEXT, number INTEGER, detail TEXT);
CREATE TRIGGER IF NOT EXISTS s_report AFTER INSERT ON report BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'report', NEW.sweep, NEW.trial, NEW.epoch); END;
CREATE TRIGGER IF NOT EXISTS s_end AFTER INSERT ON "end" BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'end', NEW.sweep, NEW.trial, NEW.state); END;
CREATE TRIGGER IF NOT EXISTS s_cell AFTER INSERT ON cell BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'cell', NEW.sweep, NEW.number, NEW.turn); END;
CREATE TRIGGER IF NOT EXISTS s_trial AFTER INSERT ON trial BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'trial', NEW.sweep, NEW.number, NEW.hash); END;
CREATE TRIGGER IF NOT EXISTS s_decision AFTER INSERT ON decision BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'decision', NEW.sweep, NEW.cell, NEW.rung); END;
CREATE TRIGGER IF NOT EXISTS s_attempt AFTER INSERT ON attempt BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'attempt', NEW.sweep, NEW.trial, NEW.id); END;
CREATE TRIGGER IF NOT EXISTS s_closed AFTER UPDATE OF outcome ON attempt
    WHEN OLD.outcome IS NULL AND NEW.outcome IS NOT NULL BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'closed', NEW.sweep, NEW.trial, NEW.id); END;
CREATE TRIGGER IF NOT EXISTS s_closed_again AFTER UPDATE OF outcome ON attempt
    WHEN OLD.outcome IS NOT NULL BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'closed again', NEW.sweep, NEW.trial, NEW.id); END;
CREATE TRIGGER IF NOT EXISTS s_report_changed AFTER UPDATE ON report BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'report changed', NEW.sweep, NEW.trial, NEW.epoch);
    END;
CREATE TRIGGER IF NOT EXISTS s_report_deleted AFTER DELETE ON report BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'report deleted', OLD.sweep, OLD.trial, OLD.epoch);
    END;
CREATE TRIGGER IF NOT EXISTS s_end_deleted AFTER DELETE ON "end" BEGIN
    INSERT INTO simulation_event VALUES (NULL, 'end deleted', OLD.sweep, OLD.trial, OLD.state); END;
"""


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = ()) -> Any:
        connection: Any = self.connection
        kind = "read" if sql.lstrip()[:6].upper() in ("SELECT", "PRAGMA") else "write"
        return connection.gate.operation(
            kind, lambda: sqlite3.Cursor.execute(self, sql, parameters)
        )


class _Connection(sqlite3.Connection):
    gate: Gate
    on_commit: Callable[[], None]
    file: Any  # of the ledger
    changes = 0  # rows changed until the last commit

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        if not self.in_transaction:
            return super().commit()
        return self.gate.operation("commit", self._commit)

    def _commit(self) -> None:
        super().commit()
        if self.total_changes != self.changes:
            _Connection.on_commit()
        self.changes = self.total_changes


@functools.cache
def _engine() -> sa.Engine:
    """Return the engine of all simulations; where it connects to changes with each of them."""
    engine = sa.create_engine("sqlite:///unused.db")

    def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        arguments[0] = _Connection.file
        options["factory"] = _Connection

    event.listen(engine, "do_connect", connect)
    return engine


@contextmanager
def simulated_connections(gate: Gate, on_commit: Callable[[], None]) -> Iterator[None]:
    """Let every SQLite connection of SQLAlchemy be a simulated one while the block runs."""

    engine = _engine()

    real_create_engine = sa.create_engine

    def create_engine(url: Any, **options: Any) -> sa.Engine:
        """Return the same engine for every file: it keeps the compiled statements."""
        file = sa.make_url(url).database
        if file is None:  # in memory: the product makes the first content of a ledger there
            return real_create_engine(url, **options)
        _Connection.file = file
        return engine

    _Connection.gate = gate
    _Connection.on_commit = staticmethod(on_commit)
    with mock.patch.object(sa, "create_engine", create_engine):
        try:
            yield
        finally:
            engine.dispose()


@functools.cache
def empty_ledger() -> bytes:
    """Return the bytes of a ledger without rows, with the triggers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ledger.db")
        file.write_bytes(connecting._new_database())
        connection = sqlite3.connect(file)
        connection.executescript(TRIGGERS)
        connection.close()
        return file.read_bytes()
