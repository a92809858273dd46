"""Rules on what belongs to no sweep: rows, folders, locks and databases of a workspace."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from sweeps.doctor.file_evidence import FileEvidence
from sweeps.doctor.finding import Finding, Level, Rule
from sweeps.doctor.repairs import DeleteLock, megabytes
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.lock import is_locked
from sweeps.storage.workspace import WorkspacePaths

_LOCK = re.compile(r"\.(.+)\.lock")


@dataclass
class WorkspaceEvidence:
    """What a workspace has beside its sweeps."""

    workspace: Path
    files: FileEvidence
    sweeps: set[str] = field(default_factory=set[str])
    hashes: set[str] = field(default_factory=set[str])  # of the trials of every sweep
    rows: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """(table, sweep) -> number of rows."""


def read_workspace(ledger: Ledger, workspace: Path, files: FileEvidence) -> WorkspaceEvidence:
    """Return what a workspace has beside its sweeps; `files` were listed before.

    The files are those in the workspace: other workspaces may use the folder of a `store.files`.
    """
    evidence = WorkspaceEvidence(workspace, files)
    for table in tables.META.sorted_tables:
        # A start that is refused leaves a lease and no sweep.
        if table not in (tables.SWEEP, tables.LEASE) and "sweep" in table.c:
            column = table.c.sweep
            counts = sa.select(column, sa.func.count().label("rows")).group_by(column)
            for row in ledger.select(counts):
                evidence.rows[table.name, row["sweep"]] = row["rows"]
    evidence.hashes = {row["hash"] for row in ledger.select(sa.select(tables.TRIAL.c.hash))}
    evidence.sweeps = set(ledger.sweep_names())
    return evidence


def rows_of_unknown_sweeps(evidence: WorkspaceEvidence) -> Iterator[Finding]:
    """Yield the tables that have rows of a sweep which does not exist."""
    for (table, sweep), count in evidence.rows.items():
        if sweep not in evidence.sweeps:
            yield Finding(
                f"table {table} has {count} rows of sweep {sweep!r}, which does not exist"
            )


def unknown_folders(evidence: WorkspaceEvidence) -> Iterator[Finding]:
    """Yield the folders of trials that no sweep has."""
    for name, sizes in sorted(evidence.files.sizes.items()):
        if name in evidence.hashes:
            continue
        size = sum(sizes.values())
        yield Finding(f"trials/{name} ({len(sizes)} files, {megabytes(size)}) is of no sweep")


def stale_locks(evidence: WorkspaceEvidence) -> Iterator[Finding]:
    """Yield the locks of sweeps that do not exist. The lock of a sweep stays for its next run."""
    for file in sorted(evidence.workspace.glob(".*.lock")):
        match = _LOCK.fullmatch(file.name)
        sweep = match[1] if match else ""
        if match and sweep not in evidence.sweeps and not is_locked(evidence.workspace, sweep):
            text = f"{file.name} is the lock of a sweep that does not exist"
            yield Finding(text, repairs=(DeleteLock(sweep),))


def damaged_databases(workspace: Path) -> Iterator[Finding]:
    """Yield the SQLite files of a workspace that SQLite itself finds damaged."""
    paths = WorkspacePaths(workspace)
    for file in (paths.ledger, paths.mlflow):
        if not file.exists():
            continue
        try:
            connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)
            try:
                rows = connection.execute("PRAGMA quick_check(3)").fetchall()
            finally:
                connection.close()
        except sqlite3.OperationalError:
            continue  # locked or not allowed; opening it says so
        except sqlite3.DatabaseError as error:
            rows = [(str(error),)]
        problems = [" ".join(str(text).split()) for (text,) in rows if text != "ok"]
        if problems:
            yield Finding(f"{file.name}: {'; '.join(problems)}")


WORKSPACE_RULES: dict[str, Rule] = {
    "unknown-sweep": Rule(
        Level.PROBLEM,
        "every row of the ledger is of one of its sweeps",
        "the numbers of the rows are in no table",
        "restore the ledger from a backup; reports are never deleted here",
        rows_of_unknown_sweeps,
    ),
    "unknown-folder": Rule(
        Level.NOTE,
        "every folder of a trial is of a trial of this ledger",
        "it takes space; its weights may be all that is left of an earlier ledger, or another "
        "workspace may use the folder as its store.files",
        "--repair leaves it; delete the folder yourself if nobody needs it",
        unknown_folders,
    ),
    "stale-lock": Rule(
        Level.NOTE,
        "every lock is of a sweep of this ledger",
        "nothing: it is a small file that nobody holds, left by a start that was refused",
        "--repair deletes it",
        stale_locks,
    ),
}
"""Rules on a workspace as a whole; they are looked at only if no sweep is named."""

DATABASE_RULE = Rule(
    Level.PROBLEM,
    "the databases of the workspace are whole",
    "commands fail, or read wrong numbers",
    "restore the file from a backup; MLflow's is written anew by --repair once it is moved away",
    damaged_databases,
)
"""Looked at before the ledger is opened."""
