"""Connects to the database of a ledger: checks what it is, and creates the tables it lacks.

A database that cannot be opened, and a file that is no ledger, is an error of the user: the message
has the rule, the URL without its password, and the remedy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from sweeps.errors import SweepError
from sweeps.ledger.connect_errors import cause, remedy
from sweeps.ledger.tables import META
from sweeps.ledger.upgrade import ADDED, upgrade
from sweeps.storage import sqlite_header
from sweeps.urls import opened_url, redacted, sqlite_file

CONNECT_SECONDS = 10
"""How long a connection attempt may take, unless the URL has a `connect_timeout` of its own."""

SCHEMA = 1
"""Version of the tables in a SQLite file (`PRAGMA user_version`). A column that is added needs no
new version: an older program refuses a ledger with a column that it does not know.
"""


def connect(url: str, *, title: str, create: bool = True) -> sa.Engine | None:
    """Return the connections to a ledger; None if there is none and it is not to be created.

    Args:
        url: of the database, with its password.
        title: what names the ledger in messages: `store.ledger`.
        create: whether to create a ledger that does not exist. Tables and columns that an older
            version did not have are added in any case.

    Raises:
        SweepError: the database cannot be opened, or is not the ledger of this program.
    """
    shown = _shown(url)
    with _as_sweep_errors(url, title):
        file = sqlite_file(url)
        if file is not None and not _prepare_file(file, title, create=create):
            return None
        engine = _engine(url, title)
        try:
            statements = _missing_tables(engine, title, shown)
            _make_durable(engine)  # not before the check: it changes the file
            has_tables = len(statements) < len(_creation())
            if not has_tables and not create:
                engine.dispose()
                return None
            if statements:
                with engine.begin() as connection:
                    for statement in statements:
                        connection.execute(statement)
            upgrade(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine


def _shown(url: str) -> str:
    """Return a URL for a message: the path of a SQLite file, else the URL without its password."""
    with contextlib.suppress(ValueError):
        file = sqlite_file(url)
        if file is not None:
            return repr(str(file))
    return repr(redacted(url, url))


@contextlib.contextmanager
def _as_sweep_errors(url: str, title: str) -> Iterator[None]:
    """Turn the errors of SQLAlchemy and of a driver into a SweepError with rule and remedy."""
    shown = _shown(url)
    try:
        yield
    except SweepError:
        raise
    except ModuleNotFoundError as error:
        raise SweepError(
            f"{title} must name a driver that is installed, got {shown}: {cause(error, url)}; use "
            "postgresql+psycopg://… and pip install 'vae-sweeps[postgres]'"
        ) from None
    except NoSuchModuleError:
        raise SweepError(
            f"{title} must name a driver that SQLAlchemy knows, got {shown}; use "
            "postgresql+psycopg://… or sqlite:///…"
        ) from None
    except (SQLAlchemyError, ImportError, ValueError, TypeError, OSError) as error:
        raise SweepError(
            f"{title} must be a database that can be opened, got {shown}: {cause(error, url)}; "
            f"{remedy(error, url)}"
        ) from None


@contextlib.contextmanager
def ledger_errors(title: str) -> Iterator[None]:
    """Turn an error of the database into a SweepError while a command reads or writes a ledger."""
    try:
        yield
    except DBAPIError as error:
        raise SweepError(
            f"{title} can no longer be read or written: {cause(error, None)}; {remedy(error, None)}"
        ) from error


def _engine(url: str, title: str) -> sa.Engine:
    """Return the connections to a database; none is opened yet."""
    parsed = sa.make_url(opened_url(url))
    if parsed.drivername == "postgresql":  # SQLAlchemy 2.0 would take psycopg2
        parsed = parsed.set(drivername="postgresql+psycopg")
    dialect = parsed.get_dialect()
    if dialect.is_async:
        raise SweepError(
            f"{title} must name a driver that is not for asyncio, got {redacted(url, url)!r}; use "
            "postgresql+psycopg://…"
        )
    arguments: dict[str, Any] = {}
    if dialect.driver in ("psycopg", "psycopg2") and "connect_timeout" not in parsed.query:
        arguments["connect_timeout"] = CONNECT_SECONDS
    if dialect.driver == "psycopg" and importlib.util.find_spec("psycopg") is None:
        raise ModuleNotFoundError("there is no package psycopg")
    engine = sa.create_engine(parsed, connect_args=arguments)
    if dialect.name == "sqlite":
        event.listen(engine, "connect", _wait_for_writers)
    return engine


def _wait_for_writers(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=60000")
    cursor.close()


def _make_durable(engine: sa.Engine) -> None:
    """Let a SQLite file keep what is committed, on every connection from now on."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _make_sqlite_durable)
        engine.dispose()


def _make_sqlite_durable(connection: Any, _record: Any) -> None:
    # WAL lets the MLflow writer read while the driver writes. FULL makes a commit survive a power
    # cut, not only a kill.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


# ---- tables


def _creation() -> list[ExecutableDDLElement]:
    """Return the statements that create the tables and indexes.

    Not `create_all`: it looks first and creates afterwards, so two processes may collide.
    """
    statements: list[ExecutableDDLElement] = []
    for table in META.sorted_tables:
        statements.append(CreateTable(table, if_not_exists=True))
        statements += [CreateIndex(index, if_not_exists=True) for index in _indexes(table)]
    return statements


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _missing_tables(engine: sa.Engine, title: str, shown: str) -> list[ExecutableDDLElement]:
    """Return the statements that create what a database lacks of a ledger.

    Raises:
        SweepError: it holds tables of another program, or of a newer version of this one.
    """
    inspector = sa.inspect(engine)
    names = set(inspector.get_table_names())
    ours = [table.name for table in META.sorted_tables]
    if names and names.isdisjoint(ours) and engine.dialect.name == "sqlite":
        raise SweepError(
            f"{title} must be a ledger of this program or a new file, got {shown}, which holds the "
            f"tables of another program ({_listed(sorted(names))}); name another file, or move "
            "this one away"
        )
    _check_version(engine, title, shown)
    present = [name for name in ours if name in names]
    columns = inspector.get_multi_columns(filter_names=present) if present else {}
    for table in META.sorted_tables:
        if table.name in names:
            listed = next(each for key, each in columns.items() if key[1] == table.name)
            _check_columns(table, {column["name"] for column in listed}, title, shown)
    indexed = inspector.get_multi_indexes(filter_names=present) if present else {}
    indexes = {index["name"] for each in indexed.values() for index in each}
    statements: list[ExecutableDDLElement] = []
    for table in META.sorted_tables:
        if table.name not in names:
            statements.append(CreateTable(table, if_not_exists=True))
        for index in _indexes(table):
            if index.name not in indexes:
                statements.append(CreateIndex(index, if_not_exists=True))
    return statements


def _check_version(engine: sa.Engine, title: str, shown: str) -> None:
    """Raise a SweepError for a SQLite file of a newer version."""
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        version = connection.execute(sa.text("PRAGMA user_version")).scalar_one()
    if version > SCHEMA:
        _refuse_newer(f"schema {version}; this version has {SCHEMA}", title, shown)


def _check_columns(table: sa.Table, present: set[str], title: str, shown: str) -> None:
    """Raise a SweepError if a table is of another program or of a newer version."""
    added_later = {column.name for column in ADDED.get(table, ())}
    known = {column.name for column in table.columns}
    lacking = sorted(known - added_later - present)
    if lacking:
        raise SweepError(
            f"{title} must be a ledger of this program, got {shown}, whose table {table.name!r} is "
            f"of another program (it has no column {_listed(lacking)}); name another database, or "
            "move this one away"
        )
    unknown = sorted(present - known)
    if unknown:
        _refuse_newer(f"column {_listed(unknown)} of table {table.name!r}", title, shown)


def _refuse_newer(what: str, title: str, shown: str) -> None:
    raise SweepError(
        f"{title} must be a ledger of this version or an older one, got {shown}, which a newer "
        f"version has written ({what}); update this program, or name another workspace"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


# ---- the file of a SQLite ledger


def _prepare_file(file: Path, title: str, *, create: bool) -> bool:
    """Return whether there is a file to open; create it if there is none and it is asked for.

    Raises:
        SweepError: it is a folder, or a file that is no database.
        OSError: it cannot be read, or its folder cannot be written to.
    """
    log = file.with_name(f"{file.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0  # before the next look: its file came first
    if file.is_dir():
        raise SweepError(
            f"{title} must be a file, got {str(file)!r}, which is a folder; move it away, or name "
            "another file"
        )
    if file.exists():
        _check_header(file, title)
        return True
    if has_log:
        raise SweepError(
            f"{title} must be a SQLite file, got {str(file)!r}, which is missing while "
            f"{log.name!r}, the latest changes of it, is there; put the file back, or move "
            f"{log.name!r} away too: the sweeps then begin again"
        )
    if create:
        _create_file(file)
    return create


def _check_header(file: Path, title: str) -> None:
    """Raise a SweepError if a file does not begin as a SQLite database does.

    Ledgers are created completely or not at all, so an empty file is no ledger that a kill left.

    The file is not opened here but by SQLite. When a process closes any descriptor of a file, the
    kernel drops all of the process's locks on it, those of its open SQLite connections too. Another
    process would then take the database for unused, and both would damage it.
    """
    if file.stat().st_size and sqlite_header.is_database(file):
        return
    what = "is no SQLite database" if file.stat().st_size else "is empty (0 bytes)"
    raise SweepError(
        f"{title} must be a SQLite file of this program, got {str(file)!r}, which {what}; put a "
        "copy of the ledger back, or move this file away: the sweeps then begin again"
    )


def _create_file(file: Path) -> None:
    """Create a SQLite file with all tables, completely or not at all.

    Of two processes that create it at the same time, one wins, and the other opens its file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(_new_database())
            stream.flush()
            os.fsync(stream.fileno())
        aside.chmod(0o644)  # mkstemp makes it private; other users may share the folder
        with contextlib.suppress(FileExistsError):
            _link(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def _link(aside: Path, file: Path) -> None:
    """Give a file its name unless another file has it.

    Raises:
        FileExistsError: another file has it.
    """
    try:
        os.link(aside, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as exFAT: a kill may leave a part there
        with open(file, "xb") as stream:
            stream.write(aside.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())


def _new_database() -> bytes:
    """Return the bytes of a SQLite database with the tables and without rows."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            for statement in _creation():
                connection.execute(statement)
            connection.execute(sa.text(f"PRAGMA user_version={SCHEMA}"))
        raw = engine.raw_connection()
        try:
            driver: Any = raw.driver_connection
            return driver.serialize()
        finally:
            raw.close()
    finally:
        engine.dispose()
