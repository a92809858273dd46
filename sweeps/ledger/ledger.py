"""The sweep's durable truth: every event of every sweep of a workspace, one transaction each.

SQLite in the workspace by default, PostgreSQL by URL. The rungs of ASHA, the sampler's history, MLflow, the run table
and the budget are folds over these rows; nothing else is read after a crash. Reports are unique on (trial, epoch):
whoever writes one twice changes nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.schema import CreateIndex, CreateTable

from sweeps.ledger.tables import DECISION, END, META, ORDER, REPORT, SWEEP, TRIAL, Row


class Ledger:
    """Transactions and queries on one workspace's ledger."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _durable_sqlite)
        with (
            self._engine.begin() as connection
        ):  # `create_all` looks first and makes then: two processes may collide
            for table in META.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    @classmethod
    def of_workspace(cls, workspace: Path, url: str | None = None) -> Ledger:
        """Open (or make) the ledger of a workspace; `url` names a database elsewhere, and is remembered there."""
        pointer = workspace / "ledger.url"
        workspace.mkdir(parents=True, exist_ok=True)
        if url is not None:
            pointer.touch(mode=0o600)  # a URL may hold a password
            pointer.write_text(url)
        elif pointer.exists():
            url = pointer.read_text().strip()
        return cls(url or f"sqlite:///{workspace.resolve() / 'ledger.db'}")

    @classmethod
    def existing(cls, workspace: Path) -> Ledger:
        """Open the ledger of a workspace; LookupError if no sweep was ever run there."""
        if not (workspace / "ledger.db").exists() and not (workspace / "ledger.url").exists():
            raise LookupError(
                f"no sweeps in {workspace}: it has no ledger; name another with --workspace"
            )
        return cls.of_workspace(workspace)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One atomic, durable change: all of the block's rows or none."""
        with self._engine.begin() as connection:
            yield Transaction(connection)

    def rows(
        self, table: sa.Table, *where: sa.ColumnElement[bool], order: sa.Column[Any] | None = None
    ) -> list[Row]:
        """Return the rows of a table that meet every condition."""
        query = sa.select(table).where(*where)
        if order is not None:
            query = query.order_by(order)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def sweep(self, name: str) -> Row | None:
        """Return the sweep's row, its spec as a mapping, or None."""
        found = self.rows(SWEEP, SWEEP.c.name == name)
        return None if not found else {**found[0], "spec": json.loads(found[0]["spec"])}

    def of(self, table: sa.Table, sweep: str) -> list[Row]:
        """Return all rows of one sweep, oldest first."""
        return self.rows(table, table.c.sweep == sweep, order=ORDER[table])

    def trials_elsewhere(self, sweep: str, trial_hash: str) -> list[Row]:
        """Return the ended trials of other sweeps with this hash: sweep, number, state."""
        query = (
            sa.select(TRIAL.c.sweep, TRIAL.c.number, END.c.state)
            .join(END, sa.and_(END.c.sweep == TRIAL.c.sweep, END.c.trial == TRIAL.c.number))
            .where(TRIAL.c.hash == trial_hash, TRIAL.c.sweep != sweep)
            .order_by(END.c.seq)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


class Transaction:
    """The writes of the ledger."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def insert(self, table: sa.Table, **values: Any) -> int:
        """Insert one row and return its (integer) primary key, or 0 where the key is not an integer."""
        result = self._connection.execute(table.insert().values(**values))
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
        """Insert a report and return True, or return False if (trial, epoch) is there already."""
        there = sa.select(REPORT.c.seq).where(
            REPORT.c.sweep == sweep, REPORT.c.trial == trial, REPORT.c.epoch == epoch
        )
        if self._connection.execute(there).first() is not None:
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

    def decision(
        self, sweep: str, cell: int, *, rung: int, verdict: str, value: float, why: str
    ) -> None:
        """Insert the verdict on a cell at a rung."""
        stored = value if math.isfinite(value) else None
        self.insert(
            DECISION,
            sweep=sweep,
            cell=cell,
            rung=rung,
            verdict=verdict,
            value=stored,
            why=why,
            at=time.time(),
        )

    def end(self, sweep: str, trial: int, state: str, why: str = "") -> None:
        """Insert a trial's end."""
        self.insert(END, sweep=sweep, trial=trial, state=state, why=why, at=time.time())

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **values: Any) -> None:
        """Change columns of the rows that meet the condition."""
        self._connection.execute(table.update().where(where).values(**values))

    def delete(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> None:
        """Delete the rows that meet every condition."""
        self._connection.execute(table.delete().where(*where))

    def copy_reports(
        self, source: tuple[str, int], target: tuple[str, int], *, until: int | None = None
    ) -> None:
        """Copy another sweep's reports of the same trial, times included; `until`: the last epoch to copy."""
        condition = [REPORT.c.sweep == source[0], REPORT.c.trial == source[1]]
        if until is not None:
            condition.append(REPORT.c.epoch <= until)
        columns = (REPORT.c.epoch, REPORT.c.at, REPORT.c.seconds, REPORT.c.body)
        for row in self._connection.execute(
            sa.select(*columns).where(*condition).order_by(REPORT.c.epoch)
        ).all():
            epoch, at, seconds, body = row
            self.insert(
                REPORT,
                sweep=target[0],
                trial=target[1],
                epoch=epoch,
                at=at,
                seconds=seconds,
                body=body,
            )


def _durable_sqlite(connection: Any, _record: Any) -> None:
    # WAL lets the MLflow writer read while the driver writes; FULL makes a commit survive a power cut, not only a kill.
    cursor = connection.cursor()
    cursor.execute(
        "PRAGMA busy_timeout=60000"
    )  # first: the next line, too, may have to wait for another process
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
