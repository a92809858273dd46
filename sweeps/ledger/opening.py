"""Which ledger a workspace has: `ledger.db` in it, or a database elsewhere that it remembers.

`ledger.url` in the workspace remembers the URL of `store.ledger`, so that `sweeps status` and the
other commands, which read no spec, find the ledger. It is written only after a connection has
worked. A password that the spec has in full stands in this file and nowhere else, as passwords do
in `~/.pgpass`; only its owner can read it. `${NAME}` and PGPASSWORD keep it out of here too.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from sweeps.errors import SweepError
from sweeps.ledger.connecting import connect
from sweeps.ledger.tables import SWEEP
from sweeps.storage.real_urls import real_url
from sweeps.storage.workspace import WorkspacePaths, require_folder, require_writable
from sweeps.urls import absolute_url, expanded, redacted, sqlite_file, variables

_IN_WORKSPACE = "sqlite:///{workspace}/"
"""How the remembered URL of a SQLite file inside the workspace begins: it moves with the folder."""


class LedgerLocation(NamedTuple):
    """Where the ledger of a workspace is."""

    workspace: Path
    url: str  # it may hold `${NAME}`
    title: str  # what names it in messages

    @property
    def real_url(self) -> str:
        """The URL with the values of its environment variables.

        Raises:
            SweepError: a variable is not set.
        """
        url = real_url(self.url, "ledger", title=self.title)
        assert url is not None
        return url

    @property
    def shown(self) -> str:
        """The URL for a message: without its password; the path of a SQLite file."""
        try:
            file = sqlite_file(self.url)
        except ValueError:
            file = None
        return redacted(self.url, self.url) if file is None else str(file)


def open_ledger(workspace: Path, url: str | None = None) -> sa.Engine:
    """Return the connections to the ledger of a workspace; create it if there is none.

    Args:
        workspace: the folder; it is created.
        url: the spec's `store.ledger`; once a connection has worked, the workspace remembers it.

    Raises:
        SweepError: the workspace cannot be written to, the ledger cannot be opened, or the
            workspace has sweeps in another ledger.
    """
    require_writable(workspace)
    location = find_ledger(workspace, url)
    if url is not None:
        _require_same_ledger(location)
    engine = _connect(location, create=True)
    assert engine is not None, "a ledger that is to be created exists"
    if url is not None:
        try:
            _remember(location)
        except BaseException:
            engine.dispose()
            raise
    return engine


def as_engine(database: sa.Engine | str) -> sa.Engine:
    """Return the connections to a database that is given as such, or by its URL."""
    if isinstance(database, sa.Engine):
        return database
    engine = connect(database, title="the ledger")
    assert engine is not None, "a ledger that is to be created exists"
    return engine


def open_existing(workspace: Path, url: str | None = None) -> sa.Engine | None:
    """Return the connections to the ledger of a workspace, None if it has none; nothing is created.

    Arguments and errors are those of `open_ledger`.
    """
    location = find_ledger(workspace, url)
    if url is not None:
        _require_same_ledger(location)
    engine = _connect(location, create=False)
    if engine is None and url is not None:
        _require_folder(location)
    return engine


def why_missing(workspace: Path) -> str:
    """Return the message for a workspace that has no ledger."""
    remembered = _remembered_location(workspace)
    if remembered is None:
        return f"no sweeps in {workspace}: it has no ledger; name another with --workspace"
    return (
        f"no sweeps in {workspace}: {remembered.title} holds none ({remembered.shown}); put it "
        "back there, or name another workspace with --workspace"
    )


def _require_folder(location: LedgerLocation) -> None:
    """Raise a SweepError if the file of a SQLite ledger could not be created."""
    file = sqlite_file(location.real_url)
    try:
        if file is not None:
            require_folder(file.parent)
    except OSError as error:
        raise SweepError(
            f"{location.title} must be a database that can be opened, got {str(file)!r}: "
            f"{error.strerror} at {error.filename!r}; name a file in a folder that can be written "
            "to"
        ) from None


def _connect(location: LedgerLocation, *, create: bool) -> sa.Engine | None:
    """Return the connections to a ledger; an error also names the other ledger of the workspace."""
    try:
        return connect(location.real_url, title=location.title, create=create)
    except SweepError as error:
        paths = WorkspacePaths(location.workspace)
        is_remembered = location == _remembered_location(location.workspace)
        if is_remembered and paths.ledger.is_file():
            hint = f"without {paths.ledger_url.name} the ledger is {str(paths.ledger)!r}"
            raise SweepError(f"{error}; {hint}, which is there too") from None
        raise


def find_ledger(workspace: Path, url: str | None = None) -> LedgerLocation:
    """Return where the ledger of a workspace is: at a given URL, as remembered, or in `ledger.db`.

    Raises:
        SweepError: `ledger.url` cannot be read.
    """
    if url is not None:
        return LedgerLocation(workspace, url, "store.ledger")
    return _remembered_location(workspace) or _file_location(workspace)


def title_of(workspace: Path) -> str:
    """Return what names the ledger of a workspace in messages."""
    if WorkspacePaths(workspace).ledger_url.exists():
        return f"the ledger that {str(WorkspacePaths(workspace).ledger_url)!r} names"
    return f"the ledger of workspace {str(workspace)!r}"


def _file_location(workspace: Path) -> LedgerLocation:
    file = WorkspacePaths(workspace.resolve()).ledger
    url = f"sqlite:///{quote(str(file))}"
    return LedgerLocation(workspace, url, f"the ledger of workspace {str(workspace)!r}")


def _remembered_location(workspace: Path) -> LedgerLocation | None:
    """Return where the remembered ledger is; None if the workspace remembers none."""
    file = WorkspacePaths(workspace).ledger_url
    rule = f"{str(file)!r} must hold the URL of the ledger"
    ways = (
        "write the URL into it (sqlite:///… or postgresql+psycopg://…), or delete the file: the "
        "ledger is then ledger.db in the workspace"
    )
    try:
        text = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise SweepError(f"{rule}, got a file that is no text; {ways}") from None
    except OSError as error:
        raise SweepError(f"{rule}, and cannot be read ({error.strerror}); {ways}") from None
    scheme = text.partition("://")[0].partition("+")[0]
    if scheme not in ("sqlite", "postgresql") and not text.startswith("${"):
        raise SweepError(f"{rule}, got {redacted(text[:80], text)!r}; {ways}")
    url = _recalled(text, workspace.resolve())
    return LedgerLocation(workspace, url, f"the ledger that {str(file)!r} names")


# ---- a workspace has one ledger


def _require_same_ledger(location: LedgerLocation) -> None:
    """Raise a SweepError if the workspace has sweeps in another ledger, which would be hidden.

    A ledger that has all its sweeps is accepted: the database was moved, or has another name.
    """
    remembered = _remembered_location(location.workspace)
    earlier = remembered or _file_location(location.workspace)
    if remembered is None and not WorkspacePaths(location.workspace).ledger.exists():
        return
    if _place(earlier) == _place(location):
        return
    other = (
        f"workspace {str(location.workspace)!r} has its ledger at {earlier.shown}, and "
        f"store.ledger names another, {location.shown}"
    )
    try:
        hidden = _sweeps(earlier)
    except SweepError as error:
        file = "ledger.db" if remembered is None else "ledger.url"
        raise SweepError(
            f"{other}; which sweeps the first one holds cannot be seen: {error}; use another "
            f"workspace, or delete {file} there if that ledger holds no sweep"
        ) from None
    hidden -= _sweeps(location) if hidden else set()
    if hidden:
        names = sorted(name for name, _ in hidden)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise SweepError(
            f"{other}: its sweeps would no longer be found ({', '.join(names[:3])}{more}); use "
            f"another workspace for the other ledger, or go back: {_way_back(earlier)}"
        )


def _way_back(earlier: LedgerLocation) -> str:
    if earlier.url == _file_location(earlier.workspace).url:
        return "leave store.ledger out of the spec"
    return f"give store.ledger: {earlier.shown}, or leave it out"


def _place(location: LedgerLocation) -> object:
    """Return what two URLs of one database have in common: not the user, the password, options."""
    url = location.real_url
    try:
        file = sqlite_file(url)
        parsed = sa.make_url(url)
    except (ValueError, ArgumentError):
        return url
    if file is not None:
        return file.resolve()
    default_port = 5432 if parsed.get_backend_name() == "postgresql" else None
    host = (parsed.host or "").lower()
    return parsed.get_backend_name(), host, parsed.port or default_port, parsed.database


def _sweeps(location: LedgerLocation) -> set[tuple[str, float]]:
    """Return name and time of the beginning of every sweep in a ledger; nothing is created."""
    engine = connect(location.real_url, title=location.title, create=False)
    if engine is None:
        return set()
    try:
        with engine.connect() as connection:
            rows = connection.execute(sa.select(SWEEP.c.name, SWEEP.c.created))
            return {(name, created) for name, created in rows}
    finally:
        engine.dispose()


# ---- ledger.url


def _remember(location: LedgerLocation) -> None:
    """Write `ledger.url`, readable by its owner only, unless it says the same."""
    file = WorkspacePaths(location.workspace).ledger_url
    text = _remembered(location.url, location.workspace.resolve())
    try:
        if file.exists() and file.read_text(encoding="utf-8").strip() == text:
            file.chmod(0o600)
            return
        handle, name = tempfile.mkstemp(prefix=".ledger.url.", dir=file.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise SweepError(
            f"{str(file)!r} must be a file that can be written to: it remembers store.ledger, got "
            f"{error.strerror}; make it writable, or name another workspace"
        ) from None


def _remembered(url: str, workspace: Path) -> str:
    """Return the text of `ledger.url`: a file inside the workspace is named relative to it.

    A SQLite file is remembered by its absolute path, also if variables name it; a URL with a
    password is remembered with its `${NAME}`.
    """
    if url.startswith("sqlite"):
        url = absolute_url(expanded(url)) if variables(url) else absolute_url(url)
        file = sqlite_file(url)
        if file is not None and file.resolve().is_relative_to(workspace):
            return _IN_WORKSPACE + quote(file.resolve().relative_to(workspace).as_posix())
    return url


def _recalled(text: str, workspace: Path) -> str:
    """Return the URL that `_remembered` wrote, for the workspace where it lies now."""
    if not text.startswith(_IN_WORKSPACE):
        return text
    file = workspace / unquote(text.removeprefix(_IN_WORKSPACE))
    return f"sqlite:///{quote(str(file))}"
