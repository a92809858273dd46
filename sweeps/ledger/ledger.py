"""The durable record of every event of every sweep of a workspace.

Each event is one transaction. The ledger is SQLite in the workspace by default, or PostgreSQL by
URL. The rungs of ASHA, the history of the sampler, MLflow, the run table and the budget are
computed from its rows; after a crash nothing else is read. Reports are unique on (sweep, trial,
epoch): writing one a second time changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweeps.errors import LedgerAwayError
from sweeps.ledger import opening
from sweeps.ledger.connecting import ledger_errors
from sweeps.ledger.lease import Lease
from sweeps.ledger.states import EndReason, TrialState, Verdict
from sweeps.ledger.tables import DECISION, END, ORDER, REPORT, SWEEP, Row
from vae_core.hyperparameters.registry import unknown_name

DRIVER_BUSY_MS = 3_000
"""Milliseconds that a transaction of a driver waits for another writer of SQLite."""


class Ledger:
    """Transactions and queries on the ledger of one workspace."""

    def __init__(self, database: sa.Engine | str) -> None:
        """Take the connections to a database, or connect to its URL and create what it lacks.

        Raises:
            SweepError: the database cannot be opened.
        """
        self.lease: Lease | None = None
        """If it is set, every transaction checks that this process still holds the sweep."""
        self._file: tuple[int, int] | None = None  # device and inode of a SQLite file
        self._engine = opening.as_engine(database)

    @classmethod
    def of_workspace(cls, workspace: Path, url: str | None = None) -> Ledger:
        """Open the ledger of a workspace, and create it if there is none.

        Args:
            workspace: the folder.
            url: the spec's `store.ledger`; the workspace remembers it.

        Raises:
            SweepError: see `opening.open_ledger`.
        """
        return cls(opening.open_ledger(workspace, url))

    @classmethod
    def existing(cls, workspace: Path) -> Ledger:
        """Open the ledger of a workspace in which a sweep has run.

        Raises:
            LookupError: the workspace has no ledger.
            SweepError: see `opening.open_ledger`.
        """
        engine = opening.open_existing(workspace)
        if engine is None:
            raise LookupError(opening.why_missing(workspace))
        return cls(engine)

    @classmethod
    @contextmanager
    def opened(cls, workspace: Path) -> Iterator[Ledger]:
        """Open the ledger of a workspace, as `existing` does, and close it after the block.

        Raises:
            LookupError: the workspace has no ledger.
            SweepError: see `opening.open_ledger`; or the database fails during the block.
        """
        ledger = cls.existing(workspace)
        try:
            with ledger_errors(opening.title_of(workspace)):
                yield ledger
        finally:
            ledger.close()

    @property
    def engine(self) -> sa.Engine:
        """The connections."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open one atomic, durable change: all rows of the block are written, or none.

        Raises:
            LeaseLostError: this process holds the lease of a sweep no more.
            LedgerAwayError: the file of the ledger was deleted or replaced.
        """
        with self._engine.begin() as connection:
            if self.lease is not None:
                self._require_same_file(connection)
                if connection.dialect.name == "sqlite":
                    # A driver waits by itself, with a notice, and it must stop within seconds.
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={DRIVER_BUSY_MS}")
                self.lease.check(connection)
            yield Transaction(connection)

    def _require_same_file(self, connection: sa.Connection) -> None:
        """Check that the SQLite file which is open still has its name.

        SQLite goes on writing to a file that was deleted or replaced, and what it writes is lost.
        """
        if connection.dialect.name != "sqlite":
            return
        file = connection.exec_driver_sql("PRAGMA database_list").first()
        path = "" if file is None else str(file[2])
        if not path:
            return
        try:
            status = os.stat(path)
        except OSError as error:
            raise LedgerAwayError(_vanished(path, f"cannot be found ({error.strerror})")) from error
        identity = (status.st_dev, status.st_ino)
        self._file = self._file or identity
        if identity != self._file:
            raise LedgerAwayError(_vanished(path, "is another file now"))

    def rows(
        self,
        table: sa.Table,
        *where: sa.ColumnElement[bool],
        order: sa.Column[Any] | None = None,
    ) -> list[Row]:
        """Return the rows of a table that meet every condition."""
        query = sa.select(table).where(*where)
        return self.select(query if order is None else query.order_by(order))

    def select(self, query: sa.Select[*tuple[Any, ...]]) -> list[Row]:
        """Return the rows of a query."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def values(self, query: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query as tuples: counts, sums, some columns."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def chunks(self, query: sa.Executable, size: int) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query, `size` at a time: they need not fit into memory."""
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=size).execute(query).partitions()

    def sweep(self, name: str) -> Row | None:
        """Return the row of a sweep with its spec as a mapping, None if there is no such sweep."""
        rows = self.rows(SWEEP, SWEEP.c.name == name)
        return {**rows[0], "spec": json.loads(rows[0]["spec"])} if rows else None

    def require_sweep(self, name: str) -> Row:
        """Return the row of a sweep, as `sweep` does.

        Raises:
            LookupError: there is no sweep of this name; the message names the nearest one.
        """
        # A name that is no UTF-8 is not handed to the database: it cannot be written as text.
        is_text = name == name.encode(errors="replace").decode()
        row = self.sweep(name) if is_text else None
        if row is None:
            raise LookupError(unknown_name("sweep", name, self.sweep_names()))
        return row

    def sweep_names(self) -> list[str]:
        """Return the names of all sweeps, the oldest first."""
        return [row["name"] for row in self.rows(SWEEP, order=SWEEP.c.created)]

    def of(self, table: sa.Table, sweep: str) -> list[Row]:
        """Return all rows of one sweep, the oldest first."""
        return self.rows(table, table.c.sweep == sweep, order=ORDER[table])

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


class Transaction:
    """The writes of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def insert(self, table: sa.Table, **values: Any) -> int:
        """Insert one row; return its primary key, or 0 where the key is not an integer."""
        result = self._connection.execute(table.insert().values(**_stored(values)))
        key = result.inserted_primary_key
        return key[0] if key is not None and isinstance(key[0], int) else 0

    def report(
        self,
        sweep: str,
        trial: int,
        *,
        epoch: int,
        at: float,
        seconds: float,
        body: Mapping[str, Any],
    ) -> bool:
        """Insert a report and return True, or return False if this epoch of the trial has one."""
        if self.has_report(sweep, trial, epoch):
            return False
        self.insert(
            REPORT,
            sweep=sweep,
            trial=trial,
            epoch=epoch,
            at=at,
            seconds=seconds,
            body=json.dumps(body, sort_keys=True),
        )
        return True

    def has_report(self, sweep: str, trial: int, epoch: int) -> bool:
        """Return whether an epoch of a trial has a report."""
        query = sa.select(REPORT.c.seq).where(
            REPORT.c.sweep == sweep, REPORT.c.trial == trial, REPORT.c.epoch == epoch
        )
        return self._connection.execute(query).first() is not None

    def decision(
        self, sweep: str, cell: int, *, rung: int, verdict: Verdict, value: float, why: str
    ) -> None:
        """Insert the verdict on a cell at a rung; a value that is not finite is stored as NULL."""
        self.insert(
            DECISION,
            sweep=sweep,
            cell=cell,
            rung=rung,
            verdict=verdict,
            value=value if math.isfinite(value) else None,
            why=why,
            at=time.time(),
        )

    def end(self, sweep: str, trial: int, state: TrialState, reason: EndReason, why: str) -> None:
        """Insert the end of a trial; `why` says the reason in a sentence."""
        self.insert(
            END, sweep=sweep, trial=trial, state=state, reason=reason, why=why, at=time.time()
        )

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **values: Any) -> None:
        """Change columns of the rows that meet the condition."""
        self._connection.execute(table.update().where(where).values(**_stored(values)))

    def delete(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> None:
        """Delete the rows that meet every condition."""
        self._connection.execute(table.delete().where(*where))

    def rows(self, query: sa.Executable) -> list[Row]:
        """Return the rows of a query, as this transaction sees them."""
        return [dict(row) for row in self._connection.execute(query).mappings()]


def _vanished(path: str, what: str) -> str:
    return (
        f"the ledger {path!r} {what}: it was moved, deleted or replaced while the sweep ran; "
        "put it back, and give the same command again"
    )


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values with enumerations as texts: database drivers treat them differently."""
    return {
        name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()
    }
