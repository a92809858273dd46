"""The durable record of every event of every sweep of a workspace.

Each event is one transaction. The ledger is SQLite in the workspace by default, or PostgreSQL by
URL. The rungs of ASHA, the history of the sampler, MLflow, the run table and the budget are
computed from its rows; after a crash nothing else is read. Reports are unique on (sweep, trial,
epoch): writing one a second time changes nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from sweeps.errors import LedgerDamagedError
from sweeps.ledger.states import EndReason, TrialState, Verdict
from sweeps.ledger.tables import DECISION, END, META, ORDER, REPORT, SWEEP, TRIAL, Row
from sweeps.ledger.upgrade import upgrade
from sweeps.storage.workspace import WorkspacePaths
from sweeps.urls import absolute_url, opened_url, sqlite_file, sqlite_text, sqlite_url
from vae_core.hyperparameters.registry import unknown_name


class Ledger:
    """Transactions and queries on the ledger of one workspace."""

    def __init__(self, url: str | sa.URL) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _make_sqlite_durable)
        # Not `create_all`: it looks first and creates afterwards, so two processes may collide.
        with self._engine.begin() as connection:
            for table in META.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        upgrade(self._engine)

    @classmethod
    def of_workspace(cls, workspace: Path, url: str | None = None) -> Ledger:
        """Open the ledger of a workspace, and create it if there is none.

        Args:
            workspace: the folder.
            url: of a database elsewhere; it is remembered in the workspace.
        """
        paths = WorkspacePaths(workspace)
        workspace.mkdir(parents=True, exist_ok=True)
        if url is not None:
            url = absolute_url(url)
            paths.ledger_url.touch(mode=0o600)  # a URL may hold a password
            paths.ledger_url.write_text(_remembered(url, workspace.resolve()))
        elif paths.ledger_url.exists():
            url = _recalled(paths.ledger_url.read_text().strip(), workspace.resolve())
        try:
            return cls(opened_url(url) if url else sqlite_url(paths.ledger.resolve()))
        except OperationalError:  # locked, away, or not to be written
            raise
        except DatabaseError as error:
            raise LedgerDamagedError(
                f"the ledger cannot be read: {error.orig}; restore ledger.db from a copy, or name "
                "another workspace with --workspace"
            ) from error

    @classmethod
    def existing(cls, workspace: Path) -> Ledger:
        """Open the ledger of a workspace in which a sweep has run.

        Raises:
            LookupError: the workspace has no ledger.
        """
        paths = WorkspacePaths(workspace)
        if not paths.ledger.exists() and not paths.ledger_url.exists():
            raise LookupError(
                f"no sweeps in {workspace}: it has no ledger; name another with --workspace"
            )
        return cls.of_workspace(workspace)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open one atomic, durable change: all rows of the block are written, or none."""
        with self._engine.begin() as connection:
            yield Transaction(connection)

    def rows(
        self,
        table: sa.Table,
        *where: sa.ColumnElement[bool],
        order: sa.Column[Any] | None = None,
    ) -> list[Row]:
        """Return the rows of a table that meet every condition."""
        query = sa.select(table).where(*where)
        if order is not None:
            query = query.order_by(order)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def sweep(self, name: str) -> Row | None:
        """Return the row of a sweep with its spec as a mapping, None if there is no such sweep."""
        rows = self.rows(SWEEP, SWEEP.c.name == name)
        return {**rows[0], "spec": json.loads(rows[0]["spec"])} if rows else None

    def require_sweep(self, name: str) -> Row:
        """Return the row of a sweep, as `sweep` does.

        Raises:
            LookupError: there is no sweep of this name; the message names the nearest one.
        """
        row = self.sweep(name)
        if row is None:
            raise LookupError(unknown_name("sweep", name, self.sweep_names()))
        return row

    def sweep_names(self) -> list[str]:
        """Return the names of all sweeps, the oldest first."""
        return [row["name"] for row in self.rows(SWEEP, order=SWEEP.c.created)]

    def of(self, table: sa.Table, sweep: str) -> list[Row]:
        """Return all rows of one sweep, the oldest first."""
        return self.rows(table, table.c.sweep == sweep, order=ORDER[table])

    def trials_elsewhere(self, sweep: str, trial_hash: str) -> list[Row]:
        """Return sweep, number and state of the ended trials with this hash in other sweeps."""
        query = (
            sa.select(TRIAL.c.sweep, TRIAL.c.number, END.c.state)
            .join(END, sa.and_(END.c.sweep == TRIAL.c.sweep, END.c.trial == TRIAL.c.number))
            .where(TRIAL.c.hash == trial_hash, TRIAL.c.sweep != sweep)
            .order_by(END.c.seq)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

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
        existing = sa.select(REPORT.c.seq).where(
            REPORT.c.sweep == sweep, REPORT.c.trial == trial, REPORT.c.epoch == epoch
        )
        if self._connection.execute(existing).first() is not None:
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

    def copy_reports(
        self, source: tuple[str, int], target: tuple[str, int], *, until: int | None = None
    ) -> None:
        """Copy the reports of the same trial from another sweep, with their times.

        Args:
            source: (sweep, number) of the trial to copy from.
            target: (sweep, number) of the trial to copy to.
            until: the last epoch to copy; None copies all.
        """
        conditions = [REPORT.c.sweep == source[0], REPORT.c.trial == source[1]]
        if until is not None:
            conditions.append(REPORT.c.epoch <= until)
        query = sa.select(REPORT).where(*conditions).order_by(REPORT.c.epoch)
        for row in self._connection.execute(query).mappings().all():
            copied = {key: row[key] for key in ("epoch", "at", "seconds", "body")}
            self.insert(REPORT, sweep=target[0], trial=target[1], **copied)


_IN_WORKSPACE = "sqlite:///{workspace}/"
"""How the remembered URL of a SQLite file inside the workspace begins: it moves with the folder."""


def _remembered(url: str, workspace: Path) -> str:
    """Return the text of `ledger.url`: a file inside the workspace is named relative to it."""
    file = sqlite_file(url)
    if file is None or not file.resolve().is_relative_to(workspace):
        return url
    return _IN_WORKSPACE + quote(file.resolve().relative_to(workspace).as_posix())


def _recalled(text: str, workspace: Path) -> str:
    """Return the URL that `_remembered` wrote, for the workspace where it lies now."""
    if not text.startswith(_IN_WORKSPACE):
        return text
    return sqlite_text(workspace / unquote(text.removeprefix(_IN_WORKSPACE)))


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return column values with enumerations as texts: database drivers treat them differently."""
    return {
        name: value.value if isinstance(value, StrEnum) else value for name, value in values.items()
    }


def _make_sqlite_durable(connection: Any, _record: Any) -> None:
    # WAL lets the MLflow writer read while the driver writes. FULL makes a commit survive a power
    # cut, not only a kill.
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=60000")  # first, as the next line may have to wait too
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
